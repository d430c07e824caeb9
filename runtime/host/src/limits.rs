//! Holds what one instance may use.

use std::time::Duration;

/// The stack of one call, bytes: fixed, since it is part of every instance's slot in the pool. A guest compiled from
/// Rust or C keeps a second one in its linear memory, whose size its linker decides (1 MiB by default).
pub const STACK_BYTES: usize = 1024 * 1024;

/// What one instance may use. The job file's keys are the names that errors carry: `memory`, `call-budget`,
/// `max-batch-size`, and the fixed `stack`, `tables` and `instances`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of all modules of the component together, bytes.
    pub memory: u64,
    /// Running time of one call: counted in ticks seen while the guest runs, and so kept to within two ticks. Time in
    /// which the guest is suspended (its output is full, its state is read from disk, another subtask has its turn) is
    /// not charged.
    pub call_budget: Duration,
    /// Bytes that may cross the boundary in one call of either side.
    pub max_batch_bytes: u64,
    /// Entries of all tables together.
    pub tables: u32,
    /// Core instances in the component: its module, its adapters and what languages link at run time.
    pub instances: u32,
}

impl Limits {
    /// The most that can be asked for as [`Limits::memory`], bytes: what the address space of a 32-bit memory holds.
    pub const MEMORY_LIMIT: u64 = 4 << 30;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 256 << 20,
            call_budget: Duration::from_secs(10),
            max_batch_bytes: 64 << 20,
            tables: 1 << 20,
            instances: 100,
        }
    }
}
