//! Names the moments at which a test may crash a job.

/// A moment in the life of a checkpoint. Whatever happens at one, a later attempt gives the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CrashPoint {
    /// The sources are about to be told of a checkpoint.
    Triggered,
    /// A subtask has cut its state and sent its barrier on.
    Cut,
    /// A subtask has handed over part of its changes.
    Step,
    /// A subtask is about to acknowledge.
    Acknowledged,
    /// All subtasks have acknowledged; nothing is stored.
    Complete,
    /// State and manifest are stored; no sink has committed.
    Stored,
    /// A sink has committed, others perhaps not.
    SinkCommitted,
    /// All sinks have committed; the store does not know it.
    Committed,
}

impl CrashPoint {
    /// All of them, in the order in which a checkpoint passes them.
    pub const ALL: [CrashPoint; 8] = [
        CrashPoint::Triggered,
        CrashPoint::Cut,
        CrashPoint::Step,
        CrashPoint::Acknowledged,
        CrashPoint::Complete,
        CrashPoint::Stored,
        CrashPoint::SinkCommitted,
        CrashPoint::Committed,
    ];
}

/// Told of every crash point that a job passes; may end the process there. Called from any thread.
pub trait CrashPlan: Send + Sync {
    /// The job is at `point`.
    fn at(&self, point: CrashPoint);
}
