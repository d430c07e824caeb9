//! Splits that a restored source deals out anew: whoever gets them goes on with them.

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::*;
use wasmill_core::{
    BatchBuilder, BoxFuture, Codec, OperatorError, Row, Source, SourceContext, SourceFactory,
    graph::Exchange::*,
    source::{BatchLimit, ConnectorError, SourceEvent},
};
use wasmill_engine::{RestartStrategy, start};

/// Split `a` has one row, split `b` many; each begins in a subtask of its own. After the failure subtask 0, whose split ended,
/// reads `b`.
struct Unequal;

struct UnequalSource(Vec<(String, u64)>);

impl SourceFactory for Unequal {
    fn codecs(&self) -> (Codec, Codec) {
        Default::default()
    }
    fn has_event_time(&self) -> bool {
        true
    }
    fn create(&self, c: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        let all: Vec<(String, u64)> = match &c.restored {
            None => vec![("a".to_string(), 0), ("b".to_string(), 0)],
            Some(splits) => splits.iter().map(|s| (s.id.clone(), u64::from(s.position[0]))).collect(),
        };
        let mine = all.into_iter().enumerate().filter(|(i, _)| *i as u32 == c.place.subtask);
        Ok(Box::new(UnequalSource(mine.map(|(_, split)| split).collect())))
    }
}

impl Source for UnequalSource {
    fn splits(&self) -> Vec<String> {
        self.0.iter().map(|(id, _)| id.clone()).collect()
    }
    fn position(&self, split: usize) -> Result<Vec<u8>, ConnectorError> {
        Ok(vec![self.0[split].1 as u8])
    }
    fn next(&mut self, _: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async {
            let Some((id, next)) = self.0.first_mut() else { return Ok(SourceEvent::End) };
            if *next == if id == "a" { 1 } else { 200 } {
                self.0.clear();
                return Ok(SourceEvent::SplitEnd { split: 0 });
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut builder = BatchBuilder::default();
            let timestamp = 1_000 + *next as i64;
            builder.push(Row { timestamp, key: None, value: Some(&next.to_le_bytes()), headers: &[] });
            *next += 1;
            Ok(SourceEvent::Rows { split: 0, batch: builder.take() })
        })
    }
}

/// Attempt, subtask, and the watermark at which a row came; `None` for the end.
type Seen = (u64, u32, Option<i64>);

/// An operator in a source's subtask lives on with the splits that the subtask is dealt, though its own had ended before the
/// failure: it finishes again, and its time is that of the splits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_had_finished_and_gets_other_splits_goes_on() {
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let note = seen.clone();
    let operator = native(false, move |context, time, call| {
        let (attempt, subtask) = (context.attempt, context.place.subtask);
        let mut seen = note.lock().unwrap();
        match call {
            Call::Process(_, batch) => {
                seen.push((attempt, subtask, Some(time.watermark)));
                if attempt == 1 && batch.timestamps[0] == 1_150 {
                    return Err(OperatorError::Trap("out of cheese".into()));
                }
            }
            Call::Finish => seen.push((attempt, subtask, None)),
            Call::Timers(..) => {}
        }
        Ok(vec![])
    });
    let mut job = line(numbers(0, 1, 1), vec![(2, operator)], (1, Collected::default()), 2, &[Forward, Rebalance]);
    job.sources.get_mut(&0).unwrap().factory = Arc::new(Unequal);
    job.checkpoints.interval = Some(Duration::from_millis(3));
    job.restart = RestartStrategy::FixedDelay { delay: Duration::ZERO, attempts: Some(1) };
    start(job).await.unwrap().wait().await.unwrap();
    let seen = seen.lock().unwrap();
    let again: Vec<_> = seen.iter().filter(|(attempt, subtask, _)| (*attempt, *subtask) == (2, 0)).collect();
    let watermarks: Vec<i64> = again.iter().filter_map(|(.., watermark)| *watermark).collect();
    assert!(watermarks.len() >= 50 && watermarks.is_sorted() && watermarks.iter().all(|at| *at < 1_200), "{again:?}");
    assert_eq!(again.iter().filter(|(.., watermark)| watermark.is_none()).count(), 1, "it finishes again");
}
