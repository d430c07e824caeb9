//! The store of one job: opens subtasks, spills their buffers, commits epochs.

#[cfg(test)]
mod faults;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use wasmill_core::{
    BoxFuture, KeyedState, Quota, StateBackend,
    description::{StateKind, StateScope},
    quota::{Charge, Use},
    state::{StateError, StateScopeRequest},
};

use crate::{
    changes::Changes,
    database::Database,
    directory::Directory,
    keyed::Keyed,
    meta::{Facts, StateDeclaration},
    reader::{ReadError, Reader},
    subtask::Subtask,
};

/// How a store uses memory.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bound of the page cache, bytes. Charged to `quota` as long as the store is open.
    pub cache_bytes: u64,
    /// A write buffer of a subtask that holds more, bytes, is spilled to the database.
    pub buffer_bytes: u64,
    /// What the page cache is charged to. Write buffers are charged to the quota of their
    /// [`StateScopeRequest`].
    pub quota: Quota,
}

impl StoreOptions {
    /// A page cache of 64 MiB for the job and write buffers of 64 MiB a subtask.
    pub fn new(quota: Quota) -> StoreOptions {
        StoreOptions { cache_bytes: 64 << 20, buffer_bytes: 64 << 20, quota }
    }
}

/// Keyed state of one job in one redb database.
///
/// Reads and writes that reach the disk, and commits, must be awaited within a tokio runtime: they run on its blocking
/// pool. The store is closed, and its directory unlocked, when it, the states of its subtasks and such work are all
/// gone.
///
/// ```
/// use wasmill_core::{Quota, StateBackend};
/// use wasmill_state::{ReadError, RedbState, StoreOptions};
/// # let folder = tempfile::tempdir()?;
/// # let directory = folder.path().join("state");
/// # let runtime = tokio::runtime::Runtime::new()?;
/// let store = RedbState::create(&directory, StoreOptions::new(Quota::new("job `count`", 1 << 30)))?;
/// assert!(matches!(RedbState::open_read_only(&directory), Err(ReadError::InUse { .. })));
/// // ... subtasks open their state, write to it, and are cut and sealed at epoch 1 ...
/// runtime.block_on(store.commit(1))?;
/// drop(store);
/// assert_eq!(RedbState::open_read_only(&directory)?.epoch(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RedbState(Arc<Store>);

/// What the subtasks of a job share.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) buffer_bytes: u64,
    /// What the store says of itself at the next write.
    facts: Mutex<Facts>,
    subtasks: Mutex<Vec<Arc<Subtask>>>,
    /// Held from taking changes until they are in the database or back in their buffers.
    turn: Mutex<()>,
    _cache: Charge,
}

impl RedbState {
    /// Makes a store in `directory`, which is made if need be, and locks it. Blocks on the disk.
    ///
    /// # Errors
    /// [`StateError::Store`] when the directory is in use, holds the store of a finished job or cannot be
    /// written to;
    /// [`StateError::OverQuota`] for the page cache. Then no store is left behind.
    pub fn create(directory: &Path, options: StoreOptions) -> Result<RedbState, StateError> {
        let cache = options.quota.charge(Use::StoreCache, options.cache_bytes)?;
        let cache_bytes = usize::try_from(options.cache_bytes).unwrap_or(usize::MAX);
        let database = Database::create(Directory::create(directory)?, cache_bytes)?;
        Ok(RedbState::over(database, options.buffer_bytes, cache))
    }

    fn over(database: Database, buffer_bytes: u64, cache: Charge) -> RedbState {
        RedbState(Arc::new(Store {
            database,
            buffer_bytes,
            facts: Mutex::default(),
            subtasks: Mutex::default(),
            turn: Mutex::default(),
            _cache: cache,
        }))
    }

    /// Opens a committed store that no job writes to, to look at it. Nothing in the directory is changed. Blocks on the
    /// disk: the whole file is read once and its checksums are verified.
    ///
    /// # Errors
    /// [`ReadError`]: there is no store, it is in use, incomplete, damaged, or of another format version.
    pub fn open_read_only(directory: &Path) -> Result<Reader, ReadError> {
        Reader::open(directory)
    }
}

impl StateBackend for RedbState {
    fn open(&self, request: StateScopeRequest) -> Result<Arc<dyn KeyedState>, StateError> {
        let subtask = self.0.admit(request)?;
        Ok(Arc::new(Keyed { store: self.0.clone(), subtask }))
    }

    fn commit(&self, epoch: u64) -> BoxFuture<'_, Result<(), StateError>> {
        let store = self.0.clone();
        Box::pin(blocking(move || store.commit(epoch)))
    }
}

impl Store {
    /// Verifies what a subtask asks for, against the others of its job, and gives its operator a number.
    fn admit(&self, request: StateScopeRequest) -> Result<Arc<Subtask>, StateError> {
        let StateScopeRequest { place, states, range, max_parallelism, epoch, quota } = request;
        let refused = |why: String| Err(StateError::Contract(why));
        for state in &states {
            if state.kind != StateKind::Value || state.scope != StateScope::Keyed || state.ttl.is_some() {
                return refused(format!(
                    "state `{}`: only keyed value state without a time to live is supported yet",
                    state.name
                ));
            }
        }
        if range.start > range.end || u32::from(range.end) > max_parallelism.get() {
            let max = max_parallelism.get();
            return refused(format!("{place} cannot own key groups {}..{} of {max}", range.start, range.end));
        }
        let mut facts = lock(&self.facts);
        if let Some((job, max)) = &facts.job
            && (*job != place.job || *max != max_parallelism)
        {
            let (max, other) = (max.get(), max_parallelism.get());
            return refused(format!(
                "the store of {job}, {max} key groups, cannot serve {}, {other} of them",
                place.job
            ));
        }
        let declared: Vec<StateDeclaration> = states.iter().map(StateDeclaration::from).collect();
        let number = facts.operators.iter().position(|(id, _)| **id == *place.operator);
        if let Some(number) = number {
            if facts.operators[number].1 != declared {
                return refused(format!("`{}` describes other states in subtask {}", place.operator, place.subtask));
            }
            let overlaps = |other: &&Arc<Subtask>| {
                usize::from(other.operator) == number && other.range.start < range.end && range.start < other.range.end
            };
            if let Some(other) = lock(&self.subtasks).iter().find(overlaps) {
                return refused(format!(
                    "{place} cannot own key groups {range}: subtask {} owns {}",
                    other.place.subtask, other.range
                ));
            }
        }
        let Ok(operator) = u16::try_from(number.unwrap_or(facts.operators.len())) else {
            return refused(format!("`{}` is one operator too many: a store has at most 65,536", place.operator));
        };
        let id = place.operator.to_string();
        let job = place.job.clone();
        let subtask = Arc::new(Subtask::new(place, operator, range, max_parallelism, states, quota, epoch)?);
        facts.job = Some((job, max_parallelism));
        if number.is_none() {
            facts.operators.push((id, declared));
        }
        lock(&self.subtasks).push(subtask.clone());
        Ok(subtask)
    }

    /// Spills the buffers of all subtasks. Returns whether that freed memory.
    pub(crate) fn spill_all(&self) -> Result<bool, StateError> {
        let subtasks = lock(&self.subtasks).clone();
        self.spill(&subtasks)
    }

    /// Writes the oldest epoch of some subtasks to the database, not as a result: the store says that it is unfinished.
    /// On an error nothing leaves the buffers. Returns whether anything did.
    pub(crate) fn spill(&self, subtasks: &[Arc<Subtask>]) -> Result<bool, StateError> {
        let _turn = lock(&self.turn);
        let mut taken = Vec::new();
        for subtask in subtasks {
            let layers = &mut subtask.buffers().layers;
            if layers.spillable_bytes() > 0 {
                let (epoch, changes) = layers.take_oldest();
                taken.push((epoch, subtask, changes));
            }
        }
        let Some(highest) = taken.iter().map(|&(epoch, ..)| epoch).max() else { return Ok(false) };
        let mut facts = lock(&self.facts).clone();
        facts.unfinished = facts.unfinished.max(Some(highest));
        let unfinished = facts.unfinished;
        let spilled: Vec<_> = taken.iter().map(|&(_, subtask, _)| subtask.clone()).collect();
        let result = self.database.write(&facts, &in_stored_order(taken));
        for subtask in spilled {
            match &result {
                Ok(()) => subtask.buffers().landed(true, |layers| layers.spilled()),
                Err(_) => subtask.buffers().layers.restore(),
            }
        }
        result?;
        lock(&self.facts).unfinished = unfinished;
        Ok(true)
    }

    /// Makes all sealed epochs up to `epoch` durable.
    fn commit(&self, epoch: u64) -> Result<(), StateError> {
        let _turn = lock(&self.turn);
        let mut facts = lock(&self.facts).clone();
        if let Some(last) = facts.epoch.filter(|&last| epoch <= last) {
            return Err(StateError::Contract(format!("epoch {epoch} cannot be committed: epoch {last} is already")));
        }
        let subtasks = lock(&self.subtasks).clone();
        for subtask in &subtasks {
            if let Some(open) = subtask.buffers().layers.unsealed_changes(epoch) {
                return Err(StateError::Contract(format!(
                    "epoch {epoch} cannot be committed: {} has not handed over epoch {open}",
                    subtask.place
                )));
            }
        }
        facts.epoch = Some(epoch);
        facts.unfinished = facts.unfinished.filter(|&unfinished| unfinished > epoch);
        let unfinished = facts.unfinished;
        let mut taken = Vec::new();
        let mut any = vec![false; subtasks.len()];
        for (subtask, any) in subtasks.iter().zip(&mut any) {
            for (epoch, changes) in subtask.buffers().layers.take_sealed(epoch) {
                *any |= !changes.is_empty();
                taken.push((epoch, subtask, changes));
            }
        }
        let result = self.database.write(&facts, &in_stored_order(taken));
        for (subtask, any) in subtasks.iter().zip(any) {
            match &result {
                Ok(()) => subtask.buffers().landed(any, |layers| layers.committed(epoch)),
                Err(_) => subtask.buffers().layers.restore(),
            }
        }
        result?;
        let mut facts = lock(&self.facts);
        (facts.epoch, facts.unfinished) = (Some(epoch), unfinished);
        Ok(())
    }
}

/// Changes on their way to the database, the earlier epoch first, then as they are stored: operators and the ranges of
/// their subtasks do not overlap.
fn in_stored_order(mut taken: Vec<(u64, &Arc<Subtask>, Arc<Changes>)>) -> Vec<Arc<Changes>> {
    taken.sort_by_key(|(epoch, subtask, _)| (*epoch, subtask.operator, subtask.range.start));
    taken.into_iter().map(|(.., changes)| changes).collect()
}

/// Runs what waits for the disk on the blocking pool. It runs to its end even when nobody waits for it any more.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    let failed = |error| StateError::Store(format!("its work on the blocking pool did not end: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// What these locks guard is valid at every step, so a panic elsewhere does not make it unusable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
