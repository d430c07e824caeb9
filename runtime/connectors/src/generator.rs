//! Makes rows up: the same ones for the same seed, at any parallelism.

use std::time::Duration;

use tokio::time::Instant;
use wasmill_core::{
    Batch, BoxFuture, Codec, Source, SourceContext, SourceFactory,
    source::{BatchLimit, ConnectorError, SourceEvent},
};

/// Rows numbered from 0: row i has the value i (u64) and the key `mix(i + seed * GOLDEN) / 2 modulo keys` (u64), where `mix` is
/// the finaliser of splitmix64. Subtask s of p makes the rows s, s + p, s + 2p, ...
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
        let (subtask, step) = (u64::from(context.place.subtask), u64::from(context.parallelism));
        Ok(Box::new(Generator { spec: self.clone(), next: subtask, step, pace: None, ended: false }))
    }
}

struct Generator {
    spec: GeneratorSource,
    next: u64,
    step: u64,
    /// When the first row was made, and which one it was, where there is a rate.
    pace: Option<(Instant, u64)>,
    ended: bool,
}

/// Bytes of a row with key and value: the two, their ends, and a timestamp.
const ROW_BYTES: usize = 32;

impl Generator {
    /// Rows that are left, at most `limit`.
    fn left(&self, limit: usize) -> usize {
        match self.spec.count {
            None => limit,
            Some(count) => count.saturating_sub(self.next).div_ceil(self.step).min(limit as u64) as usize,
        }
    }

    /// Rows that the rate allows by now, at most `limit`.
    async fn allowed(&mut self, limit: usize, linger: Duration) -> usize {
        let Some(rate) = self.spec.rate else { return limit };
        let (since, first) = *self.pace.get_or_insert((Instant::now(), self.next));
        let made = (self.next - first) / self.step;
        let due = |elapsed: Duration| (elapsed.as_secs_f64() * rate as f64 / self.step as f64) as u64 + 1;
        if due(since.elapsed()) <= made {
            // Until the next row is due, and so long that rows travel together.
            let wait = Duration::from_secs_f64((made * self.step) as f64 / rate as f64).saturating_sub(since.elapsed());
            tokio::time::sleep(wait.max(linger)).await;
        }
        (due(since.elapsed()).saturating_sub(made)).min(limit as u64) as usize
    }

    /// So many rows, column by column: one loop a column.
    fn rows(&mut self, rows: usize) -> Batch {
        let (first, step) = (self.next, self.step);
        let number = |i: usize| first + i as u64 * step;
        let ends: Vec<u32> = (1..=rows).map(|i| i as u32 * 8).collect();
        let mut batch = Batch { value_ends: ends.clone(), ..Batch::default() };
        batch.values = column(rows, number);
        if self.spec.keys > 0 {
            let (seed, keys) = (self.spec.seed.wrapping_mul(GOLDEN), self.spec.keys);
            batch.keys = column(rows, |i| (mix(number(i).wrapping_add(seed)) >> 1) % keys);
            batch.key_ends = ends;
        }
        if let Some((start, every)) = self.spec.event_time {
            batch.timestamps =
                (0..rows).map(|i| start.saturating_add((number(i) as i64).saturating_mul(every))).collect();
        }
        self.next += rows as u64 * step;
        batch
    }
}

impl Source for Generator {
    fn splits(&self) -> usize {
        1
    }

    fn next(&mut self, limit: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async move {
            let rows = self.left(limit.rows.min((limit.bytes / ROW_BYTES).max(1)));
            if rows == 0 {
                return Ok(match std::mem::replace(&mut self.ended, true) {
                    false => SourceEvent::SplitEnd { split: 0 },
                    true => SourceEvent::End,
                });
            }
            let rows = self.allowed(rows, limit.linger).await;
            Ok(match rows {
                0 => SourceEvent::Idle,
                rows => SourceEvent::Rows { split: 0, batch: self.rows(rows) },
            })
        })
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
    use wasmill_core::JobName;

    use super::*;

    fn rows(source: &GeneratorSource, parallelism: u32, limit: usize) -> Vec<(i64, Option<u64>, u64)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut all = Vec::new();
        for subtask in 0..parallelism {
            let place = JobName::local("test").place("numbers", subtask);
            let mut source = source.create(SourceContext { place, parallelism }).unwrap();
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
}
