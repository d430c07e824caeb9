//! Makes rows up: the same ones for the same seed, at any parallelism.

use wasmill_core::{Batch, Codec, Source, SourceContext, SourceFactory, source::ConnectorError};

use crate::numbered::{Made, Numbered};

/// Rows numbered from 0: row i has the value i (u64) and the key `mix(i + seed * GOLDEN) / 2 modulo keys` (u64), where `mix` is
/// the finaliser of splitmix64.
///
/// The source has as many splits as it had subtasks when the job was first started: split k of n makes the rows k, k + n,
/// k + 2n, ... A job that goes on at another parallelism deals the same splits out anew; a subtask with several takes a batch
/// of each in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratorSource {
    /// How many rows in all; `None` without end.
    pub count: Option<u64>,
    /// Rows per second over all subtasks; `None` as fast as they are taken.
    pub rate: Option<u64>,
    /// Changes the keys; with 0 they are those of the benchmarks.
    pub seed: u64,
    /// Number of different keys; 0 makes rows without a key.
    pub keys: u64,
    /// Event time of row 0 and milliseconds from row to row; `None` for rows without event time.
    pub event_time: Option<(i64, i64)>,
}

impl GeneratorSource {
    /// `count` rows over `keys` keys, as fast as they are taken.
    pub fn counting(count: u64, keys: u64) -> GeneratorSource {
        GeneratorSource { count: Some(count), rate: None, seed: 0, keys, event_time: None }
    }
}

impl SourceFactory for GeneratorSource {
    fn codecs(&self) -> (Codec, Codec) {
        (Codec::named("u64"), Codec::named("u64"))
    }

    fn has_event_time(&self) -> bool {
        self.event_time.is_some()
    }

    fn create(&self, context: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        Numbered::create(self.clone(), self.count, self.rate, &context)
    }
}

impl Made for GeneratorSource {
    /// Key and value, their ends, and a timestamp.
    const ROW_BYTES: usize = 32;

    /// Column by column: one loop a column.
    fn rows(&mut self, first: u64, step: u64, rows: usize) -> Batch {
        let number = |i: usize| first + i as u64 * step;
        let ends: Vec<u32> = (1..=rows).map(|i| i as u32 * 8).collect();
        let mut batch = Batch { value_ends: ends.clone(), ..Batch::default() };
        batch.values = column(rows, number);
        if self.keys > 0 {
            let (seed, keys) = (self.seed.wrapping_mul(GOLDEN), self.keys);
            batch.keys = column(rows, |i| (mix(number(i).wrapping_add(seed)) >> 1) % keys);
            batch.key_ends = ends;
        }
        if let Some((start, every)) = self.event_time {
            batch.timestamps =
                (0..rows).map(|i| start.saturating_add((number(i) as i64).saturating_mul(every))).collect();
        }
        batch
    }
}

/// A column of numbers, written by the word.
fn column(rows: usize, number: impl Fn(usize) -> u64) -> Vec<u8> {
    let mut bytes = vec![0; rows * 8];
    let (entries, _) = bytes.as_chunks_mut::<8>();
    for (i, entry) in entries.iter_mut().enumerate() {
        *entry = number(i).to_le_bytes();
    }
    bytes
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of splitmix64 (Steele, Lea and Flood 2014).
fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(GOLDEN);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;
    use wasmill_core::{
        JobName,
        source::{BatchLimit, SourceEvent, SplitState},
        time::SplitWatermarks,
    };

    use super::*;
    use crate::replay::{self, Splits};

    fn rows(source: &GeneratorSource, parallelism: u32, limit: usize) -> Vec<(i64, Option<u64>, u64)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut all = Vec::new();
        for subtask in 0..parallelism {
            let place = JobName::local("test").place("numbers", subtask);
            let mut source = source.create(SourceContext { place, parallelism, restored: None }).unwrap();
            let limit = BatchLimit { rows: limit, bytes: 1 << 20, linger: Duration::from_millis(1) };
            loop {
                match runtime.block_on(source.next(limit)).unwrap() {
                    SourceEvent::Rows { batch, .. } => {
                        assert_eq!(batch.check(), Ok(()));
                        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
                        all.extend(batch.iter().map(|r| (r.timestamp, r.key.map(number), number(r.value.unwrap()))));
                    }
                    SourceEvent::End => break,
                    _ => {}
                }
            }
        }
        all.sort_by_key(|row| row.2);
        all
    }

    /// The keys by the same function in Python:
    /// `[(mix(i) >> 1) % 100000 for i in range(5)]`, where `mix` is the finaliser of splitmix64.
    #[test]
    fn the_keys_are_those_of_the_benchmarks() {
        let keys: Vec<u64> =
            rows(&GeneratorSource::counting(5, 100_000), 1, 100).iter().map(|row| row.1.unwrap()).collect();
        assert_eq!(keys, [3767, 11232, 74055, 69526, 1989]);
    }

    #[test]
    fn rows_do_not_depend_on_parallelism_or_batches() {
        let source = GeneratorSource { event_time: Some((1_000, 10)), ..GeneratorSource::counting(103, 7) };
        let whole = rows(&source, 1, 1_000);
        assert_eq!(
            whole.iter().map(|row| (row.0, row.2)).collect::<Vec<_>>(),
            (0..103).map(|i| (1_000 + 10 * i as i64, i)).collect::<Vec<_>>()
        );
        for (parallelism, limit) in [(2, 9), (4, 1), (5, 50)] {
            assert_eq!(rows(&source, parallelism, limit), whole);
        }
        let keyless = rows(&GeneratorSource::counting(2, 0), 1, 9);
        assert!(keyless.iter().all(|row| row.1.is_none()));
    }

    #[test]
    fn a_rate_is_kept() {
        let since = std::time::Instant::now();
        let source = GeneratorSource { rate: Some(1_000), ..GeneratorSource::counting(201, 3) };
        assert_eq!(rows(&source, 1, 1_000).len(), 201);
        assert!((0.19..2.0).contains(&since.elapsed().as_secs_f64()), "{:?}", since.elapsed());
    }

    /// Rows due within the linger time travel together; those that are rare do not wait for others; a full batch waits for nothing.
    #[test]
    fn rows_of_a_rate_travel_together() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let batches = |rate: u64, rows: usize, linger: u64| {
            let source = GeneratorSource { rate: Some(rate), count: None, ..GeneratorSource::counting(0, 3) };
            let place = JobName::local("test").place("numbers", 0);
            let mut source = source.create(SourceContext { place, parallelism: 1, restored: None }).unwrap();
            let limit = BatchLimit { rows, bytes: 1 << 20, linger: Duration::from_millis(linger) };
            runtime.block_on(async {
                let (since, mut batches) = (Instant::now(), Vec::new());
                while batches.len() < 4 {
                    if let SourceEvent::Rows { batch, .. } = source.next(limit).await.unwrap() {
                        batches.push(batch.rows());
                    }
                }
                (batches, since.elapsed())
            })
        };
        // A machine that is busy makes batches larger and later, never smaller or earlier.
        let (together, elapsed) = batches(1_000, 1_000, 20);
        assert!(together[1..].iter().all(|rows| *rows >= 20) && elapsed >= Duration::from_millis(60), "{together:?}");
        let (rare, elapsed) = batches(20, 1_000, 1);
        assert!(rare.iter().sum::<usize>() >= 4 && elapsed >= Duration::from_millis(150), "{rare:?} in {elapsed:?}");
        let (full, elapsed) = batches(1_000, 5, 10_000);
        assert!(full[1..] == [5; 3] && elapsed < Duration::from_secs(10), "{full:?} in {elapsed:?}");
    }

    /// Rows as `timestamp key value`.
    fn shown(batch: &Batch) -> Vec<Vec<u8>> {
        let show = |row: wasmill_core::Row<'_>| format!("{} {:?} {:?}", row.timestamp, row.key, row.value).into_bytes();
        batch.iter().map(show).collect()
    }

    #[test]
    fn rows_before_a_cut_and_after_it_are_all_rows() {
        let source = GeneratorSource { event_time: Some((1_000, 10)), ..GeneratorSource::counting(43, 7) };
        let mut expected = Vec::new();
        let all = replay::run(&source, 1, None, (1_000, &|_| usize::MAX), &shown).unwrap();
        for parallelism in [1, 2, 5] {
            for (cut, after) in (0..14).flat_map(|cut| [(cut, 1), (cut, 2), (cut, 3), (cut, 7)]) {
                let first = replay::run(&source, parallelism, None, (4, &|s| cut + s as usize), &shown).unwrap();
                let second = replay::run(&source, after, Some(&first.splits), (3, &|_| usize::MAX), &shown).unwrap();
                assert!(second.ended && second.splits.is_empty());
                let mut rows = [first.rows, second.rows].concat();
                rows.sort();
                expected.clone_from(&all.rows);
                expected.sort();
                assert_eq!(rows, expected, "cut {cut} of {parallelism}, then {after}");
            }
        }
    }

    #[test]
    fn splits_stay_those_of_the_first_start_and_take_turns() {
        let source = GeneratorSource::counting(100, 0);
        let first = replay::run(&source, 3, None, (4, &|_| 1), &replay::values).unwrap();
        let ids: Vec<(&str, &str)> =
            first.splits.iter().map(|s| (s.id.as_str(), std::str::from_utf8(&s.position).unwrap())).collect();
        assert_eq!(
            ids,
            [
                ("0/3", r#"{"split":0,"of":3,"next":12}"#),
                ("1/3", r#"{"split":1,"of":3,"next":13}"#),
                ("2/3", r#"{"split":2,"of":3,"next":14}"#)
            ]
        );
        let after =
            replay::run(&source, 2, Some(&first.splits), (2, &|s| 4 * (1 - s as usize)), &replay::values).unwrap();
        let numbers: Vec<u64> = after.rows.iter().map(|v| u64::from_le_bytes(v[..].try_into().unwrap())).collect();
        assert_eq!(numbers, [12, 15, 14, 17, 18, 21, 20, 23], "subtask 0 has splits 0 and 2");
        let ids: Vec<&str> = after.splits.iter().map(|split| split.id.as_str()).collect();
        assert_eq!(ids, ["0/3", "2/3", "1/3"]);
    }

    #[test]
    fn a_split_that_is_left_out_gives_nothing_until_it_is_taken_in_again() {
        for rate in [None, Some(1_000_000)] {
            let source = GeneratorSource { rate, ..GeneratorSource::counting(40, 0) };
            let first = replay::run(&source, 2, None, (4, &|_| 1), &replay::values).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let mut source = replay::subtask(&source, (0, 1), Some(first.splits.clone())).unwrap();
            let mut rows = [0, 0];
            let take = |event: SourceEvent, rows: &mut [usize; 2]| {
                if let SourceEvent::Rows { split, batch } = event {
                    rows[split] += batch.rows();
                }
            };
            take(runtime.block_on(source.next(replay::limit(4))).unwrap(), &mut rows);
            assert!(source.pause(0, true));
            let before = rows[0];
            let ended = loop {
                match runtime.block_on(source.next(replay::limit(4))).unwrap() {
                    SourceEvent::SplitEnd { split } => break split,
                    event => take(event, &mut rows),
                }
            };
            assert_eq!((ended, rows[0]), (1, before), "only split 1 gives rows");
            assert!(matches!(runtime.block_on(source.next(replay::limit(4))).unwrap(), SourceEvent::Idle), "no end");
            assert!(source.pause(0, false));
            loop {
                match runtime.block_on(source.next(replay::limit(4))).unwrap() {
                    SourceEvent::End => break,
                    event => take(event, &mut rows),
                }
            }
            assert_eq!(rows.iter().sum::<usize>() + first.rows.len(), 40);
        }
    }

    #[test]
    fn positions_that_are_none_are_refused() {
        let source = GeneratorSource::counting(10, 0);
        let wrong = [
            "",
            "{}",
            "[]",
            r#"{"split":0,"of":0,"next":0}"#,
            r#"{"split":2,"of":2,"next":2}"#,
            r#"{"split":0,"of":2,"next":3}"#,
            r#"{"split":0,"of":1,"next":18446744073709551615}"#,
            r#"{"split":0,"of":1,"next":-1}"#,
            r#"{"split":0,"of":1,"next":0,"file":"a"}"#,
        ];
        for position in wrong {
            let (position, watermarks) = (position.as_bytes().to_vec(), SplitWatermarks::default());
            let splits: Splits = [SplitState { id: "0/1".into(), position, watermarks }].into();
            let error = replay::subtask(&source, (0, 1), Some(splits)).err().unwrap().to_string();
            assert!(error.contains("the checkpoint's position of `0/1` is of no use here"), "{error}");
        }
    }

    #[test]
    fn a_rate_is_that_of_the_source_however_its_splits_are_dealt() {
        let source = GeneratorSource { count: None, rate: Some(30_000), ..GeneratorSource::counting(0, 3) };
        let first = replay::run(&source, 3, None, (10, &|_| 1), &replay::values).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        for (parallelism, subtask, splits) in [(1, 0, 3), (2, 0, 2), (2, 1, 1), (4, 2, 1)] {
            let mut source = replay::subtask(&source, (subtask, parallelism), Some(first.splits.clone())).unwrap();
            let (since, mut rows) = (Instant::now(), vec![0; splits]);
            while since.elapsed() < Duration::from_millis(60) {
                match runtime.block_on(source.next(replay::limit(1_000))).unwrap() {
                    SourceEvent::Rows { split, batch } => rows[split] += batch.rows(),
                    event => assert!(matches!(event, SourceEvent::Idle)),
                }
            }
            // Ten thousand rows a second and split; a row at once.
            let most = (since.elapsed().as_secs_f64() * 10_000.0) as usize + 1;
            let in_bounds = rows.iter().all(|&rows| (most / 2..=most).contains(&rows));
            assert!(in_bounds, "{rows:?} of at most {most}, at parallelism {parallelism}");
        }
    }
}
