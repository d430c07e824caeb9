//! Where the rows of a subtask come from: a source with its watermarks, or an input gate.

mod source;

use std::time::Duration;

pub(crate) use source::{SourceHead, SourceHeadContext};
use wasmill_core::{Batch, source::SplitState};

use crate::{
    error::Stop,
    gate::{GateEvent, InputGate},
};

/// What a subtask gets from its head.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Rows of one input.
    Batch { input: u32, batch: Batch },
    /// The watermark advanced.
    Watermark(i64),
    /// All input became idle (true) or active (false).
    Idle(bool),
    /// All before belongs to the checkpoint of this epoch.
    Barrier(u64),
    /// Nothing came for a while; there may be other things to do.
    Quiet,
    /// Nothing more comes; the watermark was at the end of time before.
    End,
}

/// The head of a subtask.
pub(crate) enum Head {
    /// Rows come from other subtasks.
    Gate(InputGate),
    /// Rows come from outside.
    Source(Box<SourceHead>),
}

impl Head {
    /// What comes next. Losing nothing when dropped while waiting is promised for gates, and for sources only as far as
    /// [`wasmill_core::Source::next`] does: the subtask drops it for a due timer on a gate, on a source only at cancellation.
    pub(crate) async fn next(&mut self) -> Result<Arrival, Stop> {
        match self {
            Head::Source(source) => source.next().await,
            Head::Gate(gate) => match gate.next().await {
                GateEvent::Batch { input, batch } => Ok(Arrival::Batch { input, batch }),
                GateEvent::Watermark(watermark) => Ok(Arrival::Watermark(watermark)),
                GateEvent::Idle(idle) => Ok(Arrival::Idle(idle)),
                GateEvent::Barrier(epoch) => Ok(Arrival::Barrier(epoch)),
                GateEvent::End => Ok(Arrival::End),
                GateEvent::Lost => Err(Stop::Lost),
            },
        }
    }

    /// The subtask had to wait for room downstream: in that time a source could give no rows, and is not idle for it.
    pub(crate) fn held_up(&mut self) {
        if let Head::Source(source) = self {
            source.held_up();
        }
    }

    /// How long a source has worked since the last call; a gate does not work.
    pub(crate) fn take_worked(&mut self) -> Duration {
        match self {
            Head::Source(source) => source.take_worked(),
            Head::Gate(_) => Duration::ZERO,
        }
    }

    /// Where the splits of a source stand. An error says why the source cannot tell.
    pub(crate) fn splits(&self) -> Result<Vec<SplitState>, String> {
        match self {
            Head::Source(source) => source.splits(),
            Head::Gate(_) => Ok(Vec::new()),
        }
    }
}
