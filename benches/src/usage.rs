//! Reads what this process has used: CPU time of all threads, and peak memory.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// User and system time of all threads so far.
pub(crate) fn cpu() -> Duration {
    let time = |t: nix::sys::time::TimeVal| Duration::new(t.tv_sec() as u64, t.tv_usec() as u32 * 1_000);
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| time(usage.user_time()) + time(usage.system_time()))
}

/// The most memory that was resident at once, in bytes.
pub(crate) fn peak_memory() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss() as u64 * 1_024)
}
