//! Makes one or two words of a key, by which it is looked up.

use crate::column::words;

/// In the last byte of the second word stands the length of a key of up to 15 bytes, or this.
pub(super) const LONG: u64 = 0xff << 56;

/// A key as it is looked up.
pub(super) trait Word: Copy + PartialEq + Default {
    fn hash(self) -> u64;
}

impl Word for u64 {
    #[inline(always)]
    fn hash(self) -> u64 {
        mix(self, 0)
    }
}

impl Word for [u64; 2] {
    #[inline(always)]
    fn hash(self) -> u64 {
        mix(self[0], self[1])
    }
}

/// Two multiplications, so that every bit of both words reaches the low bits of the result: keys such as `user-000001`
/// and whole numbers as `f64` differ in high bits only, which one multiplication and a fold leave in heaps.
#[inline(always)]
fn mix(low: u64, high: u64) -> u64 {
    let low = low.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    (low ^ high).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 32
}

/// The words of a key of up to 15 bytes at `start` of `bytes`.
#[inline(always)]
pub(super) fn short(bytes: &[u8], start: usize, key: &[u8]) -> [u64; 2] {
    let length = key.len();
    let [low, high] = match bytes.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(block) => {
            let (words, _) = block.as_chunks::<8>();
            let bits = |bytes: usize| if bytes >= 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 };
            [u64::from_le_bytes(words[0]) & bits(length), u64::from_le_bytes(words[1]) & bits(length.saturating_sub(8))]
        }
        None => words(key),
    };
    [low, high | (length as u64) << 56]
}

/// The words of a longer key: its hash and its length.
#[inline(never)]
pub(super) fn long(key: &[u8]) -> [u64; 2] {
    let (chunks, rest) = key.as_chunks::<8>();
    let turn = |hash: u64, word: u64| {
        let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ product.rotate_left(32)
    };
    let hash = chunks.iter().fold(key.len() as u64, |hash, chunk| turn(hash, u64::from_le_bytes(*chunk)));
    [turn(hash, words(rest)[0]), LONG | key.len() as u64]
}
