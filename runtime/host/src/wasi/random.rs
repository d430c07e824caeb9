//! Answers WASI's random numbers from generators seeded by job, operator and subtask, so that a replay is a replay.
//!
//! None of them is fit for secrets, whatever WASI calls it: who knows the job's seed knows them all.

use sha2::{Digest, Sha256};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use crate::guest::Guest;

/// The generators of one instance, independent of each other.
pub(crate) struct Randoms {
    random: Generator,
    insecure: Generator,
    seed: (u64, u64),
}

impl Randoms {
    /// The generators of subtask `subtask` of `operator`, in a job seeded with `seed`.
    pub(crate) fn new(seed: u64, operator: &str, subtask: u32) -> Randoms {
        let generator = |purpose: u8| {
            let mut hash = Sha256::new();
            hash.update([purpose]);
            hash.update(seed.to_le_bytes());
            hash.update(subtask.to_le_bytes());
            hash.update(operator);
            Generator::new(&hash.finalize())
        };
        let mut seeds = generator(2);
        Randoms { random: generator(0), insecure: generator(1), seed: (seeds.next(), seeds.next()) }
    }
}

/// xoshiro256++ of Blackman and Vigna.
struct Generator([u64; 4]);

impl Generator {
    /// Seeded with 32 bytes, not all zero (a hash never is, in practice; then a constant is taken).
    fn new(seed: &[u8]) -> Generator {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.chunks_exact(8)) {
            *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
        }
        if state == [0; 4] {
            state[0] = 1;
        }
        Generator(state)
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

impl Guest {
    fn checked_length(&self, length: u64) -> wasmtime::Result<usize> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.fits(length, "it asked for random bytes")?;
        Ok(length)
    }
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        let length = self.checked_length(length)?;
        Ok(self.randoms.random.bytes(length))
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.randoms.random.next())
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        let length = self.checked_length(length)?;
        Ok(self.randoms.insecure.bytes(length))
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.randoms.insecure.next())
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok(self.randoms.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs for the state 1, 2, 3, 4, as the authors' C program prints them (also the test of the crate
    /// `rand_xoshiro`).
    #[test]
    fn the_generator_is_xoshiro256_plus_plus() {
        let seed: Vec<u8> = [1u64, 2, 3, 4].iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut generator = Generator::new(&seed);
        let expected = [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386];
        assert_eq!([(); 4].map(|()| generator.next()), expected);
    }

    #[test]
    fn numbers_repeat_for_the_same_place_and_differ_for_another() {
        let first = |seed, operator, subtask| Randoms::new(seed, operator, subtask).random.next();
        assert_eq!(first(1, "a", 0), first(1, "a", 0));
        let others = [first(2, "a", 0), first(1, "b", 0), first(1, "a", 1), Randoms::new(1, "a", 0).insecure.next()];
        assert!(!others.contains(&first(1, "a", 0)));
    }
}
