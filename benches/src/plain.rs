//! The floor: each workload as a plain loop of one thread, no engine. Also the independent source of the counts and sums
//! that every other variant must reproduce.

use std::{collections::HashMap, hint::black_box, path::Path};

use anyhow::Result;

use crate::{
    ends::{put_digits, stamp},
    text::each_word,
    workload::Outcome,
};

/// The finaliser of splitmix64: the generator of all workloads, as in the peers' benchmarks.
pub(crate) fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Every row once; the sum of row numbers.
pub(crate) fn pass(records: u64) -> Outcome {
    let sum = (0..records).fold(0u64, |sum, i| sum.wrapping_add(black_box(i)));
    Outcome { rows: records, sum }
}

/// W2: rows over so many keys; the sum of each row's running count.
pub(crate) fn keyed_count(records: u64, keys: u64) -> Outcome {
    let mut counts: HashMap<u64, u64> = HashMap::with_capacity(keys as usize);
    let mut sum = 0u64;
    for i in 0..records {
        let count = counts.entry((mix(i) >> 1) % keys).or_default();
        *count += 1;
        sum = sum.wrapping_add(*count);
    }
    Outcome { rows: records, sum }
}

/// Distinct words, and all words.
pub(crate) fn word_count(lines: &[Vec<u8>], repeats: u64) -> Outcome {
    let mut counts: HashMap<Vec<u8>, u64> = HashMap::new();
    for _ in 0..repeats {
        for line in lines {
            let words = line.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            for word in words {
                let word = word.to_ascii_lowercase();
                *counts.entry(word).or_default() += 1;
            }
        }
    }
    Outcome { rows: counts.len() as u64, sum: counts.values().sum() }
}

/// W6: the running count of each word of a text; how many words, and the sum of the counts.
pub(crate) fn running_word_count(folder: &Path) -> Result<Outcome> {
    let mut counts: HashMap<Box<[u8]>, u64> = HashMap::new();
    let mut outcome = Outcome { rows: 0, sum: 0 };
    each_word(folder, |word| {
        let count = match counts.get_mut(word) {
            Some(count) => count,
            None => counts.entry(word.into()).or_default(),
        };
        *count += 1;
        outcome.rows += 1;
        outcome.sum = outcome.sum.wrapping_add(*count);
    })?;
    Ok(outcome)
}

/// W1: each record's number plus one, written into it, for a pseudo-random half of them; the sum of those numbers.
pub(crate) fn records(records: u64) -> Outcome {
    let mut payload = [b'a'; 100];
    let (mut rows, mut sum) = (0, 0u64);
    for i in 0..records {
        put_digits(&mut payload[..10], black_box(i));
        let number = payload[..10].iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')) + 1;
        put_digits(&mut payload[10..20], number);
        if (mix(number) as i64) >= 0 {
            black_box(&payload);
            rows += 1;
            sum = sum.wrapping_add(number);
        }
    }
    Outcome { rows, sum }
}

/// W3: rows a key and window of 10 s of event time.
pub(crate) fn windows(records: u64) -> Outcome {
    let mut counts: HashMap<(u64, i64), u64> = HashMap::new();
    for i in 0..records {
        let (key, time) = stamp(i);
        *counts.entry((key, time / 10_000)).or_default() += 1;
    }
    Outcome { rows: counts.len() as u64, sum: counts.values().sum() }
}
