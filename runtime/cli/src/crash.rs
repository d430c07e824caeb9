//! Decides at which moment of which checkpoint a test ends the process, and ends it there.

use std::{
    fmt,
    io::{self, Write},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use wasmill_engine::{CrashPlan, CrashPoint};

use crate::exit::Failure;

/// The environment variable by which `wasmill test` tells `wasmill run` where to crash: a [`Crash`].
pub const VARIABLE: &str = "WASMILL_CRASH";

/// What the last line of standard error begins with when the process ends itself; the point follows.
pub const MARK: &str = "wasmill: crash as planned: ";

/// Where an attempt ends: at a point that the checkpoints of the attempt pass. Written `cut:2:1`: when the first subtask
/// cuts its state for the second checkpoint of the attempt. Where that checkpoint does not come to the point so often, the
/// attempt ends at the trigger of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    /// The point.
    pub point: CrashPoint,
    /// Which checkpoint of the attempt, from 1.
    pub barrier: u32,
    /// The how manieth subtask or sink that comes to the point, from 1.
    pub occurrence: u32,
}

/// How a point is written.
pub fn name(point: CrashPoint) -> &'static str {
    match point {
        CrashPoint::Triggered => "triggered",
        CrashPoint::Cut => "cut",
        CrashPoint::Step => "step",
        CrashPoint::Acknowledged => "acknowledged",
        CrashPoint::Complete => "complete",
        CrashPoint::Stored => "stored",
        CrashPoint::SinkCommitted => "sink-committed",
        CrashPoint::Committed => "committed",
        _ => "other",
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", name(self.point), self.barrier, self.occurrence)
    }
}

impl FromStr for Crash {
    type Err = String;

    fn from_str(text: &str) -> Result<Crash, String> {
        let mut parts = text.split(':');
        let point = parts.next().unwrap_or_default();
        let point = CrashPoint::ALL.into_iter().find(|known| name(*known) == point).ok_or_else(|| {
            format!("there is no crash point `{point}`: there are {}", CrashPoint::ALL.map(name).join(", "))
        })?;
        let mut number = || match parts.next().map(str::parse) {
            None => Ok(1),
            Some(Ok(number)) if number > 0 => Ok(number),
            _ => Err("a point is followed by numbers from 1 on".to_string()),
        };
        let (barrier, occurrence) = (number()?, number()?);
        if parts.next().is_some() {
            return Err("there are too many numbers".to_string());
        }
        Ok(Crash { point, barrier, occurrence })
    }
}

/// The plan in the environment, if there is one.
///
/// # Errors
/// When it cannot be understood.
pub(crate) fn from_environment() -> Result<Option<Arc<dyn CrashPlan>>, Failure> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(None) };
    let text = text.to_string_lossy();
    let crash = text.parse().map_err(|why| {
        Failure::usage(format_args!("{VARIABLE} is `{text}`: {why}"))
            .hint("write POINT:CHECKPOINT:SUBTASK, such as `cut:2:1`; it is for tests")
    })?;
    Ok(Some(Arc::new(Plan::new(crash))))
}

/// Watches for the moment.
struct Plan {
    crash: Crash,
    triggered: AtomicU32,
    occurred: AtomicU32,
}

impl Plan {
    fn new(crash: Crash) -> Plan {
        Plan { crash, triggered: AtomicU32::new(0), occurred: AtomicU32::new(0) }
    }

    /// Whether this is the moment.
    fn comes_to(&self, point: CrashPoint) -> bool {
        let Crash { point: wanted, barrier, occurrence } = self.crash;
        if point == CrashPoint::Triggered {
            let triggered = self.triggered.fetch_add(1, Ordering::SeqCst) + 1;
            return triggered > barrier || (wanted == point && triggered == barrier);
        }
        point == wanted
            && self.triggered.load(Ordering::SeqCst) == barrier
            && self.occurred.fetch_add(1, Ordering::SeqCst) + 1 == occurrence
    }
}

impl CrashPlan for Plan {
    fn at(&self, point: CrashPoint) {
        if self.comes_to(point) {
            let _ = writeln!(io::stderr(), "{MARK}{}", name(point));
            // Nothing is unwound, flushed or dropped, as when the power fails or the kernel kills.
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_is_read_as_it_is_written() {
        for point in CrashPoint::ALL {
            let crash = Crash { point, barrier: 3, occurrence: 2 };
            assert_eq!(crash.to_string().parse(), Ok(crash));
        }
        assert_eq!("cut".parse(), Ok(Crash { point: CrashPoint::Cut, barrier: 1, occurrence: 1 }));
        for (wrong, why) in [
            ("", "``"),
            ("nap:1", "sink-committed"),
            ("cut:0", "from 1"),
            ("cut:x", "from 1"),
            ("cut:1:1:1", "too many"),
        ] {
            let refusal = wrong.parse::<Crash>().unwrap_err();
            assert!(refusal.contains(why), "{wrong}: {refusal}");
        }
    }

    /// Two checkpoints of two subtasks.
    const PASSED: [CrashPoint; 8] = [
        CrashPoint::Triggered,
        CrashPoint::Cut,
        CrashPoint::Cut,
        CrashPoint::Stored,
        CrashPoint::Triggered,
        CrashPoint::Cut,
        CrashPoint::Cut,
        CrashPoint::Stored,
    ];

    fn crashes_at(crash: &str) -> Option<usize> {
        let plan = Plan::new(crash.parse().unwrap());
        PASSED.into_iter().position(|point| plan.comes_to(point))
    }

    #[test]
    fn it_crashes_at_the_point_of_the_barrier() {
        for (crash, moment) in [
            ("triggered:1", Some(0)),
            ("cut:1:1", Some(1)),
            ("cut:1:2", Some(2)),
            ("stored:1", Some(3)),
            ("triggered:2", Some(4)),
            ("cut:2:1", Some(5)),
            ("cut:2:2", Some(6)),
            ("stored:2", Some(7)),
            ("stored:3", None),
        ] {
            assert_eq!(crashes_at(crash), moment, "{crash}");
        }
    }

    #[test]
    fn a_barrier_that_does_not_come_to_the_point_is_followed_by_a_crash() {
        assert_eq!(crashes_at("step:1"), Some(4));
        assert_eq!(crashes_at("cut:1:3"), Some(4), "there are only two subtasks");
        assert_eq!(crashes_at("step:2"), None, "but not before the next barrier");
    }
}
