//! Holds what the store of one instance holds: its limits, what it is connected to, and the call in progress.

use std::{sync::Arc, time::Instant};

use wasmill_core::{Description, KeyedState, OperatorError, Outbox, Place, Quota, TimerService};
use wasmtime::{Store, UpdateDeadline, component::ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::{
    budget::Budget,
    import::{log::Log, metrics::Reporter},
    limits::Limits,
    memory::Memory,
    runtime::Runtime,
    stopwatch::Stopwatch,
    ticker::Ticking,
    wasi::{CallClock, Randoms},
};

/// Resources (streams, pollables) that one guest may hold at once.
const RESOURCE_LIMIT: usize = 10_000;

/// The data of one instance's store.
pub(crate) struct Guest {
    pub(crate) phase: Phase,
    pub(crate) connections: Option<Connections>,
    pub(crate) max_batch_bytes: u64,
    /// Whether the batch being processed is of a keyed input.
    pub(crate) keyed_input: bool,
    /// Whether the call in progress has written state.
    pub(crate) wrote: bool,
    pub(crate) memory: Memory,
    pub(crate) budget: Budget,
    pub(crate) stopwatch: Stopwatch,
    pub(crate) log: Arc<Log>,
    pub(crate) metrics: Option<Reporter>,
    pub(crate) clock: CallClock,
    pub(crate) randoms: Randoms,
    pub(crate) table: ResourceTable,
    wasi: WasiCtx,
    _ticking: Ticking,
    /// Keeps the ticker's thread alive for as long as there is a guest to stop.
    runtime: Runtime,
}

/// Which export is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Describe,
    Open,
    Process,
    OnTimers,
    Snapshot,
    SnapshotStep,
    Finish,
    Migrate,
}

impl Phase {
    /// The WIT name of the export.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Describe => "describe",
            Phase::Open => "open",
            Phase::Process => "process",
            Phase::OnTimers => "on-timers",
            Phase::Snapshot => "snapshot",
            Phase::SnapshotStep => "snapshot-step",
            Phase::Finish => "finish",
            Phase::Migrate => "migrate",
        }
    }
}

/// What the instance of a subtask is connected to; a throw-away instance is not.
pub(crate) struct Connections {
    pub(crate) description: Arc<Description>,
    pub(crate) state: Arc<dyn KeyedState>,
    pub(crate) timers: Arc<dyn TimerService>,
    pub(crate) outbox: Outbox,
}

/// What a guest is made from.
pub(crate) struct Setting<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) limits: &'a Limits,
    pub(crate) place: &'a Place,
    pub(crate) seed: u64,
    pub(crate) processing_time: i64,
    pub(crate) quota: Option<&'a Quota>,
}

impl Guest {
    /// A store for a new instance.
    ///
    /// # Errors
    /// When the quota cannot be charged.
    pub(crate) fn store(
        setting: &Setting<'_>,
        connections: Option<Connections>,
        metrics: Option<Reporter>,
    ) -> Result<Store<Guest>, OperatorError> {
        let Setting { runtime, limits, place, .. } = *setting;
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCE_LIMIT);
        let ticks = runtime.0.ticks();
        let guest = Guest {
            phase: if connections.is_some() { Phase::Open } else { Phase::Describe },
            connections,
            max_batch_bytes: limits.max_batch_bytes,
            keyed_input: false,
            wrote: false,
            memory: Memory::new(limits, setting.quota)?,
            budget: Budget::new(ticks.clone(), limits.call_budget),
            stopwatch: Stopwatch::new(Instant::now),
            log: Arc::new(Log::new(place.clone())),
            metrics,
            clock: CallClock::new(setting.processing_time),
            randoms: Randoms::new(setting.seed, &place.operator, place.subtask),
            table,
            // Nothing is granted by default but the right to make sockets, which no address is allowed for.
            wasi: WasiCtx::builder().allow_tcp(false).allow_udp(false).build(),
            _ticking: ticks.keep(),
            runtime: runtime.clone(),
        };
        let mut store = Store::new(&runtime.0.engine, guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(usize::try_from(limits.max_batch_bytes).unwrap_or(usize::MAX));
        store.call_hook(|mut store, crossing| {
            store.data_mut().stopwatch.cross(crossing);
            Ok(())
        });
        store.epoch_deadline_callback(|mut store| {
            let turn = store.data_mut().budget.look_up()?;
            Ok(UpdateDeadline::YieldCustom(1, turn))
        });
        Ok(store)
    }

    /// The most instances that the process may have.
    pub(crate) fn max_instances(&self) -> u32 {
        self.runtime.0.max_instances
    }

    /// What the instance is connected to.
    ///
    /// # Errors
    /// [`OperatorError::Contract`] when `import` is called from `describe` or `migrate`.
    pub(crate) fn connections(&self, import: &str) -> Result<&Connections, OperatorError> {
        self.connections.as_ref().ok_or_else(|| self.refused(import, &format!("`{}` is pure", self.phase.name())))
    }

    /// That `import` may not be called now.
    pub(crate) fn refused(&self, import: &str, why: &str) -> OperatorError {
        OperatorError::Contract(format!("it called `{import}` from `{}`: {why}", self.phase.name()))
    }

    /// Refuses what is over the bound on bytes that cross in a call.
    ///
    /// # Errors
    /// The limit `max-batch-size`.
    pub(crate) fn fits(&self, bytes: usize, what: &str) -> Result<(), OperatorError> {
        if bytes as u64 <= self.max_batch_bytes {
            return Ok(());
        }
        let message = format!("{what} of {bytes} bytes; {} may cross in one call", self.max_batch_bytes);
        Err(OperatorError::Limit { limit: "max-batch-size", message })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.log.close();
    }
}

/// A call begins.
pub(crate) fn begin(store: &mut Store<Guest>, phase: Phase, processing_time: Option<i64>) {
    store.set_epoch_deadline(1);
    let guest = store.data_mut();
    guest.phase = phase;
    guest.wrote = false;
    guest.budget.begin();
    guest.log.begin();
    if let Some(time) = processing_time {
        guest.clock.set(time);
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
