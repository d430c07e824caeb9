//! Where the time of a subtask goes: waiting is idle, a source's own work is busy.

mod common;

use std::{sync::Arc, time::Duration};

use common::*;
use wasmill_core::{
    BoxFuture, Codec, Source, SourceContext, SourceFactory,
    graph::Exchange::*,
    source::{BatchLimit, ConnectorError, SourceEvent},
};
use wasmill_engine::start;

const NAP: Duration = Duration::from_millis(100);

/// Is pending for a nap, and then ends. Says whether that was work.
struct Napping(bool);

impl SourceFactory for Napping {
    fn codecs(&self) -> (Codec, Codec) {
        Default::default()
    }
    fn has_event_time(&self) -> bool {
        false
    }
    fn create(&self, _: SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        Ok(Box::new(Napping(self.0)))
    }
}

impl Source for Napping {
    fn splits(&self) -> Vec<String> {
        vec![]
    }
    fn position(&self, _: usize) -> Result<Vec<u8>, ConnectorError> {
        Err(ConnectorError::new("it has no splits"))
    }
    fn works_while_pending(&self) -> bool {
        self.0
    }
    fn next(&mut self, _: BatchLimit) -> BoxFuture<'_, Result<SourceEvent, ConnectorError>> {
        Box::pin(async {
            tokio::time::sleep(NAP).await;
            Ok(SourceEvent::End)
        })
    }
}

#[tokio::test]
async fn waiting_is_idle_and_working_is_busy() {
    for works in [false, true] {
        let mut job = line(numbers(0, 1, 1), vec![], (1, Collected::default()), 1, &[Rebalance]);
        job.sources.get_mut(&0).unwrap().factory = Arc::new(Napping(works));
        let progress = start(job).await.unwrap().wait().await.unwrap().progress;
        let source = progress.nodes[0].subtasks[0];
        let nap = NAP.as_nanos() as u64;
        let (most, least) = if works { (source.busy_ns, source.idle_ns) } else { (source.idle_ns, source.busy_ns) };
        assert!(most >= nap && least < nap / 2, "{works}: {source:?}");
        assert!(progress.nodes[1].subtasks[0].idle_ns >= nap, "the sink waits");
    }
}
