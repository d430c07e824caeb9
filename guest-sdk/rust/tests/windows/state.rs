//! What windows keep, and what becomes of it after a crash.

use wasmill_sdk::{prelude::*, testing::Harness};

use crate::sums::*;

fn restored(harness: &mut Harness<Sum>, windows: &str, lateness: u64) -> Harness<Sum> {
    let config = format!(r#"{{"windows": "{windows}", "lateness": {lateness}}}"#);
    Harness::restore(&config, &harness.snapshot().unwrap(), |_| ()).unwrap()
}

#[test]
fn windows_go_on_after_a_crash() {
    for windows in ["tumbling 10", "session 5", "sliding 10 by 5"] {
        let mut harness = open(windows);
        push(&mut harness, &[(1, 5), (2, 8)]);
        let mut harness = restored(&mut harness, windows, 0);
        push(&mut harness, &[(4, 9)]);
        harness.watermark(14).unwrap();
        let last = fired(&mut harness).pop();
        let expected = match windows {
            "tumbling 10" => (0, 10, 7),
            "session 5" => (5, 14, 7),
            _ => (5, 15, 7),
        };
        assert_eq!(last, Some(expected));
        assert!(harness.snapshot().unwrap().state.is_empty());
        assert_eq!(harness.memory().timers(TimeDomain::EventTime).count(), 0);
    }
}

#[test]
fn a_window_that_has_fired_fires_again_when_the_watermark_began_anew() {
    for windows in ["tumbling 10", "session 5"] {
        let mut harness = open_late(windows, 100);
        push(&mut harness, &[(1, 5)]);
        harness.watermark(9).unwrap();
        assert_eq!(fired(&mut harness).len(), 1);
        let mut harness = restored(&mut harness, windows, 100);
        // There is no watermark yet: the row is not late, and its window is told of again with both.
        push(&mut harness, &[(2, 5)]);
        assert_eq!(fired(&mut harness), []);
        harness.watermark(20).unwrap();
        let fired: Vec<i64> = fired(&mut harness).into_iter().map(|(_, _, sum)| sum).collect();
        assert_eq!(fired, [3], "{windows}");
        harness.watermark(109).unwrap();
        assert!(harness.snapshot().unwrap().state.is_empty());
    }
}

/// Gathers words, which are on the heap.
struct Words;

#[operator(shared)]
impl WindowOperator for Words {
    type Key = u64;
    type Value = Text;
    type Accumulator = Text;
    type Output = Output<u64, Text>;

    fn open(_: &mut Setup) -> Result<(Self, Windows)> {
        Ok((Words, Windows::sliding(ms(10), ms(5))))
    }

    fn add(&mut self, word: &Record<'_, u64, Text>, words: &mut String) -> Result<()> {
        words.push_str(word.value);
        Ok(())
    }

    fn merge(&mut self, words: &mut String, other: &String) -> Result<()> {
        words.push_str(other);
        Ok(())
    }

    fn emit(&mut self, key: u64, _: Window, words: &String, out: &mut Self::Output) -> Result<()> {
        out.emit(key, words);
        Ok(())
    }
}

#[test]
fn what_windows_gather_counts_as_memory() {
    let mut harness = Harness::<Words>::open_with("{}", |context| context.state_cache_bytes = 64 * 1024).unwrap();
    let word = "x".repeat(500);
    // Each key takes its place in the cache with the first round; from then on only what it has gathered grows.
    for round in 0..8 {
        for key in 0..20 {
            harness.push(key, &word, round).unwrap();
        }
        // 20 keys with a string each of twice its length at most: 30 KB to 60 KB after three rounds, 80 KB after eight.
        assert!(round > 1 || harness.memory().writes() == 0, "round {round}");
    }
    assert!(harness.memory().writes() > 0);
    harness.finish().unwrap();
    let lengths: Vec<usize> = harness.output().into_iter().map(|(_, words, _)| words.len()).collect();
    // Windows up to 5, 10 and 15: of five rows, eight and three.
    assert_eq!(lengths.len(), 60);
    assert_eq!(lengths.iter().sum::<usize>(), 2 * 20 * 8 * 500);
}
