//! Reads and writes sizes and time spans as a job file has them.
//!
//! Written here, not taken from `humantime` and `bytesize`: what is accepted is part of the job file's published schema
//! (a pattern there, a sentence in the reference), and those crates accept more (`1 month`, `5mb`, `1.5 KiB`) and may
//! accept other things tomorrow.

use std::time::Duration;

/// The units of sizes, bytes.
pub(super) const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// The units of time spans, milliseconds.
pub(super) const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Bytes: a whole number and a unit.
pub(super) fn size(text: &str) -> Option<u64> {
    amount(text, &SIZES)
}

/// A time span: a whole number and a unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    amount(text, &DURATIONS).map(Duration::from_millis)
}

fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Bytes in the largest binary unit that leaves a whole number.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES[..5])
}

/// A time span in the largest unit that leaves a whole number.
pub(super) fn show_duration(duration: Duration) -> String {
    match u64::try_from(duration.as_millis()) {
        Ok(0) => "0s".to_string(),
        Ok(milliseconds) => show(milliseconds, &DURATIONS),
        Err(_) => format!("{duration:?}"),
    }
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().rev().find(|(_, factor)| amount > 0 && amount.is_multiple_of(*factor));
    let (unit, factor) = whole.unwrap_or(&units[0]);
    format!("{}{unit}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let read = ["0B", "64MiB", "1 MiB", "1MB", "3kB", "2TiB"].map(size);
        assert_eq!(read, [0, 67_108_864, 1_048_576, 1_000_000, 3_000, 2_199_023_255_552].map(Some));
        for wrong in ["", "MiB", "64", "1.5MiB", "-1B", "64mib", "64  MiB", "64MiB ", "99999999TiB", "１B", "1e3B"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn time_spans() {
        let read = ["50ms", "2s", "0s", "3 m", "1h", "1d"].map(duration);
        assert_eq!(read, [50, 2_000, 0, 180_000, 3_600_000, 86_400_000].map(|ms| Some(Duration::from_millis(ms))));
        for wrong in ["", "s", "10", "1.5s", "1us", "1 month", "99999999999999999999ms", "999999999999999999d"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn shown_in_the_largest_whole_unit() {
        assert_eq!([0, 1, 1023, 1024, 1536, 4 << 30].map(show_size), ["0B", "1B", "1023B", "1KiB", "1536B", "4GiB"]);
        let shown = [0, 1, 1_000, 90_000, 86_400_000].map(|ms| show_duration(Duration::from_millis(ms)));
        assert_eq!(shown, ["0s", "1ms", "1s", "90s", "1d"]);
    }
}
