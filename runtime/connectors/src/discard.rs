//! Drops rows; the engine has counted them.

use wasmill_core::{Batch, BoxFuture, Sink, SinkContext, SinkFactory, sink::Committable, source::ConnectorError};

/// Drops every row; it has nothing to commit.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiscardSink;

impl SinkFactory for DiscardSink {
    fn create(&self, _: SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        Ok(Box::new(DiscardSink))
    }

    fn commit(&self, _: &[Committable]) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn target(&self) -> String {
        "discarded".to_string()
    }
}

impl Sink for DiscardSink {
    fn write(&mut self, _: Batch) -> BoxFuture<'_, Result<(), ConnectorError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn pre_commit(&mut self, _: u64) -> BoxFuture<'static, Result<Option<Committable>, ConnectorError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
