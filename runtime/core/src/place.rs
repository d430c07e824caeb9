//! Says where something runs: carried by limits, metrics and errors from the start.

use std::{fmt, sync::Arc};

/// A job of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobName {
    /// Whose job it is.
    pub tenant: Arc<str>,
    /// The job's name in its job file.
    pub job: Arc<str>,
}

impl JobName {
    /// The tenant of a process that one person runs for themselves.
    pub const LOCAL: &'static str = "local";

    /// The job `job` of [`JobName::LOCAL`].
    pub fn local(job: &str) -> JobName {
        JobName { tenant: Self::LOCAL.into(), job: job.into() }
    }

    /// Subtask `subtask` of `operator` in this job.
    pub fn place(&self, operator: &str, subtask: u32) -> Place {
        Place { job: self.clone(), operator: operator.into(), subtask }
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if &*self.tenant != Self::LOCAL {
            write!(f, "tenant `{}`, ", self.tenant)?;
        }
        write!(f, "job `{}`", self.job)
    }
}

/// One subtask of one source, operator or sink.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The job it belongs to.
    pub job: JobName,
    /// The id in the job file.
    pub operator: Arc<str>,
    /// Index of the parallel subtask, from 0.
    pub subtask: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, `{}`, subtask {}", self.job, self.operator, self.subtask)
    }
}
