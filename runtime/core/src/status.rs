//! What a running subtask tells of itself: counters it alone writes and anybody may read.

mod crossing;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

pub use crossing::{CallStages, Crossing};

use crate::time::NO_WATERMARK;

macro_rules! status {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The live counters of one subtask of one source, operator or sink. Written once a batch, not once a record.
        #[derive(Debug)]
        pub struct Status {
            $($(#[$doc])* pub $name: Counter,)*
            watermark: AtomicI64,
        }

        /// A copy of a [`Status`] at one moment.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct StatusSnapshot {
            $($(#[$doc])* pub $name: u64,)*
            /// The watermark, milliseconds since the Unix epoch.
            pub watermark: i64,
        }

        impl Default for Status {
            fn default() -> Status {
                Status { $($name: Counter::default(),)* watermark: AtomicI64::new(NO_WATERMARK) }
            }
        }

        impl Default for StatusSnapshot {
            fn default() -> StatusSnapshot {
                StatusSnapshot { $($name: 0,)* watermark: NO_WATERMARK }
            }
        }

        impl Status {
            /// All counters now.
            pub fn snapshot(&self) -> StatusSnapshot {
                StatusSnapshot { $($name: self.$name.get(),)* watermark: self.watermark.load(Ordering::Relaxed) }
            }
        }

        impl StatusSnapshot {
            /// Counters added up, the lower watermark: how an operator is shown over its subtasks.
            #[must_use]
            pub fn plus(self, other: StatusSnapshot) -> StatusSnapshot {
                StatusSnapshot {
                    $($name: self.$name + other.$name,)*
                    watermark: self.watermark.min(other.watermark),
                }
            }
        }
    };
}

status! {
    /// Rows that came in.
    records_in,
    /// Rows that went out.
    records_out,
    /// Batches that came in.
    batches_in,
    /// Bytes that came in, as [`crate::Batch::bytes`] counts them.
    bytes_in,
    /// Bytes that went out.
    bytes_out,
    /// Rows that no operator takes: emitted on an output that the job file leaves unconnected.
    records_unconnected,
    /// Nanoseconds in which the subtask worked; shared by all of a chain.
    busy_ns,
    /// Nanoseconds in which the subtask waited for input; shared by all of a chain.
    idle_ns,
    /// Nanoseconds in which the subtask waited for room downstream; shared by all of a chain.
    backpressured_ns,
    /// Nanoseconds inside the operator, downstream work and waiting excluded.
    operator_ns,
    /// Nanoseconds of the stage source: reading and decoding.
    source_ns,
    /// Nanoseconds of the stage partition: choosing each row's subtask downstream, and gathering its batches.
    partition_ns,
    /// Nanoseconds of the stage lower: moving what a component is given into its memory.
    lower_ns,
    /// Nanoseconds of the stage guest: in the operator's own code. A native operator is never elsewhere.
    guest_ns,
    /// Nanoseconds of the stage lift: moving what a component emits and writes out of its memory, and checking it.
    lift_ns,
    /// Nanoseconds of the stage state: state and timers that a component reads and writes, while it waits for them.
    state_ns,
    /// Nanoseconds of the stage queue: waiting for room in the channels to the nodes downstream.
    queue_ns,
    /// Nanoseconds of the stage wait: waiting for input; only of the node at the head of a chain.
    wait_ns,
    /// Nanoseconds of the stage sink: writing.
    sink_ns,
    /// Nanoseconds of the stage checkpoint: cutting an epoch, and handing over what changed in it.
    checkpoint_ns,
    /// 1 when the subtask has finished.
    finished,
}

impl StatusSnapshot {
    /// The names of the stages, in the order of [`StatusSnapshot::stages`]: as a record meets them, then what stops it.
    pub const STAGES: [&'static str; 10] =
        ["source", "lower", "guest", "lift", "state", "partition", "sink", "checkpoint", "queue", "wait"];

    /// Nanoseconds in each stage. What the subtasks of the chain were busy with beyond these is the engine's own: calling
    /// operators, firing timers, reading channels.
    pub fn stages(&self) -> [u64; 10] {
        [
            self.source_ns,
            self.lower_ns,
            self.guest_ns,
            self.lift_ns,
            self.state_ns,
            self.partition_ns,
            self.sink_ns,
            self.checkpoint_ns,
            self.queue_ns,
            self.wait_ns,
        ]
    }
}

impl Status {
    /// Publishes the watermark.
    pub fn set_watermark(&self, watermark: i64) {
        self.watermark.store(watermark, Ordering::Relaxed);
    }
}

/// A count with one writer and any readers.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds. Only ever to be called by the one subtask that the count is of: two that add at once would lose one of both.
    pub fn add(&self, amount: u64) {
        // A locked addition costs several times as much.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// The count now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
