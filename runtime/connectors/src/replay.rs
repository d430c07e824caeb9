//! Runs sources up to a cut and goes on from their positions: what tests of sources share.

use std::{sync::Arc, time::Duration};

use wasmill_core::{
    Batch, JobName, Source, SourceContext, SourceFactory,
    source::{BatchLimit, ConnectorError, SourceEvent, SplitState},
    time::SplitWatermarks,
};

/// Splits as a checkpoint holds them.
pub(crate) type Splits = Arc<[SplitState]>;

/// What became of a run: the rows, and the splits that have not ended.
pub(crate) struct Run {
    pub(crate) rows: Vec<Vec<u8>>,
    pub(crate) splits: Splits,
    /// Whether all subtasks came to their end.
    pub(crate) ended: bool,
}

/// So many rows at a time.
pub(crate) fn limit(rows: usize) -> BatchLimit {
    BatchLimit { rows, bytes: 1 << 20, linger: Duration::from_millis(1) }
}

/// One subtask.
pub(crate) fn subtask(
    factory: &dyn SourceFactory,
    (subtask, parallelism): (u32, u32),
    restored: Option<Splits>,
) -> Result<Box<dyn Source>, ConnectorError> {
    let place = JobName::local("test").place("source", subtask);
    factory.create(SourceContext { place, parallelism, restored })
}

/// Runs a source, subtask s for at most `calls(s)` calls of `next` with `rows` rows at most each. `show` makes of a batch what
/// is compared.
pub(crate) fn run(
    factory: &dyn SourceFactory,
    parallelism: u32,
    restored: Option<&Splits>,
    (rows, calls): (usize, &dyn Fn(u32) -> usize),
    show: &dyn Fn(&Batch) -> Vec<Vec<u8>>,
) -> Result<Run, ConnectorError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (mut run, mut splits) = (Run { rows: Vec::new(), splits: [].into(), ended: true }, Vec::new());
    for number in 0..parallelism {
        let mut source = subtask(factory, (number, parallelism), restored.cloned())?;
        let mut ids: Vec<Option<String>> = source.splits().into_iter().map(Some).collect();
        let mut ended = false;
        for _ in 0..calls(number) {
            match runtime.block_on(source.next(limit(rows)))? {
                SourceEvent::Rows { split, batch } => {
                    assert!(ids[split].is_some(), "rows of a split that ended");
                    assert!((1..=rows).contains(&batch.rows()));
                    assert_eq!(batch.check(), Ok(()));
                    run.rows.extend(show(&batch));
                }
                SourceEvent::SplitEnd { split } => assert!(ids[split].take().is_some(), "a split ended twice"),
                SourceEvent::Idle => {}
                SourceEvent::End => {
                    ended = true;
                    break;
                }
            }
        }
        assert!(!ended || ids.iter().all(Option::is_none), "a source ended before its splits");
        run.ended &= ended;
        for (split, id) in ids.into_iter().enumerate() {
            let Some(id) = id else { continue };
            splits.push(SplitState { id, position: source.position(split)?, watermarks: SplitWatermarks::default() });
        }
    }
    let mut ids: Vec<&str> = splits.iter().map(|split| split.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), splits.len(), "ids are unique");
    run.splits = splits.into();
    Ok(run)
}

/// The values of a batch.
pub(crate) fn values(batch: &Batch) -> Vec<Vec<u8>> {
    batch.iter().map(|row| row.value.unwrap_or_default().to_vec()).collect()
}

/// All there is, in one go.
pub(crate) fn whole(factory: &dyn SourceFactory, parallelism: u32) -> Result<Vec<Vec<u8>>, ConnectorError> {
    run(factory, parallelism, None, (1_000, &|_| usize::MAX), &values).map(|run| run.rows)
}

/// Asserts that rows before a cut and those after it are all rows, none twice, wherever the cut is and at any parallelism
/// before and after; and again with a second cut in the second run.
pub(crate) fn assert_replays(factory: &dyn SourceFactory, rows: usize, expected: &[Vec<u8>], parallelism: u32) {
    let sorted = |parts: &[&Vec<Vec<u8>>]| {
        let mut all: Vec<Vec<u8>> = parts.iter().flat_map(|part| part.iter().cloned()).collect();
        all.sort();
        all
    };
    let expected = sorted(&[&expected.to_vec()]);
    for cut in 0.. {
        // Subtasks are cut at different places.
        let first = run(factory, parallelism, None, (rows, &|s| cut + 2 * s as usize), &values).unwrap();
        for after in 1..=3 {
            let second =
                run(factory, after, Some(&first.splits), (rows, &|s| cut.min(5) + s as usize), &values).unwrap();
            let again = 4 - after;
            let third = run(factory, again, Some(&second.splits), (rows + 1, &|_| usize::MAX), &values).unwrap();
            assert!(third.ended && third.splits.is_empty());
            let all = sorted(&[&first.rows, &second.rows, &third.rows]);
            assert_eq!(all.len(), expected.len(), "cut {cut}, parallelism {parallelism}, {after}, {again}");
            assert!(all == expected, "cut {cut}, parallelism {parallelism}, {after}, {again}");
        }
        if first.ended {
            return;
        }
    }
}
