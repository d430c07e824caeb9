//! Workload W1: records of a number (u64, little-endian) and 100 bytes, mapped and filtered.

use wasmill_sdk::prelude::*;

/// Reads the ten digits at the start of the payload, adds one, writes the digits behind them and the number.
pub struct Parse;

#[operator(shared)]
impl RecordOperator for Parse {
    type Key = ();
    type Value = Bytes;
    type Output = MapValues<Bytes>;

    fn open(_: &mut Setup) -> Result<Self> {
        Ok(Parse)
    }

    fn process(&mut self, record: Record<'_, (), Bytes>, _: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        if record.value.len() < 28 {
            return Err(Error::record("it is too short"));
        }
        let record = out.set_mut(record.value);
        let mut number = record[8..18].iter().fold(0, |number, digit| number * 10 + u64::from(digit & 15)) + 1;
        record[..8].copy_from_slice(&number.to_le_bytes());
        for digit in record[18..28].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        Ok(())
    }
}

/// Keeps a pseudo-random half.
#[operator(shared)]
pub fn half(record: Record<'_, (), Bytes>, out: &mut Keep) -> Result<()> {
    let number = record.value.first_chunk().ok_or_else(|| Error::record("it is too short"))?;
    if (mix(u64::from_le_bytes(*number)) as i64) >= 0 {
        out.keep();
    }
    Ok(())
}

/// The finaliser of splitmix64.
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

wasmill_sdk::operators! { "parse" => Parse, "half" => half }
