//! Sends every row to every receiver.

use super::{AbsentKey, Partitioner, Routing};
use crate::Batch;

/// Copies each batch to all receivers.
#[derive(Debug)]
pub struct Broadcast {
    receivers: usize,
}

impl Broadcast {
    /// Towards `receivers` subtasks.
    pub fn new(receivers: usize) -> Broadcast {
        Broadcast { receivers }
    }
}

impl Partitioner for Broadcast {
    fn route(&mut self, _batch: &Batch) -> Result<Routing<'_>, AbsentKey> {
        Ok(if self.receivers == 1 { Routing::One(0) } else { Routing::All })
    }
}
