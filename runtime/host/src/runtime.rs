//! Holds what all components of a process share: wasmtime's engine, its pool of instances, the linker and the ticker.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, component::Linker};

use crate::{
    error::HostError,
    guest::Guest,
    imports,
    limits::{Limits, STACK_BYTES},
    ticker::{Ticker, Ticks},
};

/// How a [`Runtime`] is made.
#[derive(Debug, Clone)]
pub struct RuntimeOptions {
    /// Where compiled code is kept; `None` compiles at each start. The directory is made open to its owner only.
    pub cache_directory: Option<PathBuf>,
    /// The most instances that can exist at once, 1 to 5,000. Each reserves some 8 GiB of address space, which costs no
    /// memory.
    pub max_instances: u32,
    /// How often a running guest looks up, at least 1 ms: the grain of call budgets, and how long a spinning guest can
    /// keep a thread from its neighbours.
    pub tick: Duration,
}

impl Default for RuntimeOptions {
    fn default() -> RuntimeOptions {
        RuntimeOptions { cache_directory: None, max_instances: 1_000, tick: Duration::from_millis(10) }
    }
}

/// What all components of a process share. Make one a process; clones are the same one. Its thread ends when the last
/// clone, component and instance is dropped.
#[derive(Clone)]
pub struct Runtime(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest>,
    pub(crate) cache_directory: Option<PathBuf>,
    pub(crate) max_instances: u32,
    ticker: Ticker,
}

impl Runtime {
    /// Makes the engine and reserves its pool.
    ///
    /// # Errors
    /// [`HostError::Runtime`] when the system does not give as much address space, or no thread.
    pub fn new(options: RuntimeOptions) -> Result<Runtime, HostError> {
        let max_instances = options.max_instances.clamp(1, 5_000);
        let failed = |message: String| HostError::Runtime { max_instances, message };
        let engine = Engine::new(&config(max_instances)).map_err(|error| failed(format!("{error:#}")))?;
        let linker = imports::linker(&engine).map_err(|error| failed(format!("{error:#}")))?;
        let ticker = Ticker::start(engine.clone(), options.tick).map_err(|error| failed(error.to_string()))?;
        Ok(Runtime(Arc::new(Inner { engine, linker, cache_directory: options.cache_directory, max_instances, ticker })))
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("max_instances", &self.0.max_instances).finish_non_exhaustive()
    }
}

impl Inner {
    pub(crate) fn ticks(&self) -> &Ticks {
        self.ticker.ticks()
    }
}

/// Memory reservation, guards and signal traps stay what wasmtime makes them: they are what keeps a guest inside.
fn config(max_instances: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(max_instances)
        .total_stacks(max_instances)
        // A component is a handful of core instances (its module, shims, adapters), most without memory or table.
        .total_core_instances(max_instances.saturating_mul(8))
        .total_memories(max_instances.saturating_mul(2))
        .total_tables(max_instances.saturating_mul(4))
        .table_elements(100_000)
        .max_memory_size(Limits::MEMORY_LIMIT as usize);
    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        // Calls of one instance never overlap; without this a call costs less.
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES)
        // The fiber holds the guest's frames and those of the host calls it makes.
        .async_stack_size(2 * STACK_BYTES)
        // A replay on another machine is a replay.
        .relaxed_simd_deterministic(true);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservation_guards_and_signal_traps_are_wasmtimes_defaults() {
        let ours = Engine::new(&config(2)).unwrap();
        let default = Engine::new(&Config::new()).unwrap();
        let memory = |engine: &Engine| {
            (
                engine.get_memory_reservation(),
                engine.get_memory_guard_size(),
                engine.get_guard_before_linear_memory(),
                engine.get_signals_based_traps(),
                engine.get_memory_may_move(),
            )
        };
        let (reservation, guard, before, signals, _) = memory(&ours);
        assert_eq!(memory(&ours), memory(&default));
        // What wasmtime documents for 64-bit hosts.
        assert_eq!((reservation, guard, before, signals), (4 << 30, 32 << 20, true, true));
    }
}
