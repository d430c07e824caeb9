//! The store of one job: opens subtasks, and hands everything that touches the disk to the blocking pool.

#[cfg(test)]
mod faults;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use wasmill_core::{
    BoxFuture, KeyedState, Manifest, Quota, StateBackend,
    description::{StateDescription, StateScope},
    quota::{Charge, Use},
    state::{Committed, Restored, StateError, StateScopeRequest},
    time::TimeDomain,
};

use crate::{
    background::Background,
    checkpoints::Checkpoints,
    database::{BASE, Database, entries},
    directory::{Directory, Files},
    effects::{self, Effects},
    keyed::Keyed,
    layout::{self, BROADCAST, Shape},
    manifest::{StoredManifest, StoredState, What},
    rows::{Rows, contract},
    savepoint,
    subtask::{CopiedEntry, Subtask},
};

/// How a store uses memory, and how many checkpoints it keeps.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bound of the page cache, bytes. Charged to `quota` as long as the store is open.
    pub cache_bytes: u64,
    /// When a subtask holds more bytes of writes that no checkpoint has, a checkpoint is asked for early. Four times as
    /// much of what is in the log, of the whole job, is folded into the base.
    pub buffer_bytes: u64,
    /// How many complete checkpoints are kept, at least 1.
    pub keep: usize,
    /// What the page cache is charged to. Write buffers are charged to the quota of their
    /// [`StateScopeRequest`].
    pub quota: Quota,
}

impl StoreOptions {
    /// A page cache of 64 MiB for the job, write buffers of 64 MiB a subtask, one checkpoint.
    pub fn new(quota: Quota) -> StoreOptions {
        StoreOptions { cache_bytes: 64 << 20, buffer_bytes: 64 << 20, keep: 1, quota }
    }
}

/// Keyed state and checkpoints of one job, in one state directory.
///
/// Its futures must be awaited within a tokio runtime: what touches the disk runs on its blocking pool. The store is closed,
/// and its directory unlocked, when it, the states of its subtasks and such work are all gone.
///
/// ```
/// use wasmill_core::{JobName, Manifest, Quota, StateBackend};
/// use wasmill_state::{ReadError, Reader, RedbState, StoreOptions};
/// # let folder = tempfile::tempdir()?;
/// # let directory = folder.path().join("state");
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let manifest = |epoch| Manifest {
/// #     epoch, attempt: 1, job: JobName::local("count"), max_parallelism: 128, triggered: 0, finished: false,
/// #     nodes: vec![], committables: vec![],
/// # };
/// let store = RedbState::open(&directory, StoreOptions::new(Quota::new("job `count`", 1 << 30)))?;
/// assert_eq!(runtime.block_on(store.restore())?.manifest, None);
/// assert!(matches!(Reader::open(&directory), Err(ReadError::InUse { .. })));
/// // ... subtasks open their state, write to it, and are cut and sealed at epoch 1 ...
/// runtime.block_on(store.commit(manifest(1)))?;
/// drop(store);
/// assert_eq!(Reader::open(&directory)?.manifest().epoch, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RedbState(Arc<Store>);

/// What the subtasks of a job share.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) database: Database,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) options: StoreOptions,
    pub(crate) inner: Mutex<Inner>,
    /// Held by whoever writes: a commit, a piece of background work, a restore.
    pub(crate) turn: Mutex<Background>,
    /// The highest epoch that anybody used.
    highest: AtomicU64,
    /// Whether more is in the log than should be.
    behind: AtomicBool,
    _cache: Charge,
    /// Unlocked after the database is closed: fields are dropped in their order.
    _directory: Directory,
}

/// What changes while the job runs. Never held while waiting for the disk.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    /// Complete checkpoints, the oldest first.
    pub(crate) kept: Vec<Arc<StoredManifest>>,
    /// How states of this attempt are stored.
    pub(crate) states: Vec<StoredState>,
    /// The first number that no state has had.
    pub(crate) next_state: u32,
    /// The subtasks of this attempt.
    pub(crate) open: Vec<Arc<Subtask>>,
    /// The log as it was restored, until the attempt's first commit: epoch, state, rows.
    pub(crate) loaded: Vec<(u64, u32, Arc<Rows>)>,
    /// Bytes of each epoch in the log.
    pub(crate) log: BTreeMap<u64, u64>,
    /// Whether the base has anything.
    pub(crate) has_base: bool,
    /// Whether the database failed, so that it must be opened anew.
    pub(crate) failed: bool,
}

impl RedbState {
    /// Opens the store in `directory`, which is made if need be, and locks it. Blocks on the disk: the checksums of the whole
    /// database are verified.
    ///
    /// # Errors
    /// [`StateError::Store`] when the directory is in use, cannot be written to or holds a damaged database;
    /// [`StateError::OverQuota`] for the page cache.
    pub fn open(directory: &Path, options: StoreOptions) -> Result<RedbState, StateError> {
        Self::over(Directory::lock(directory)?, options)
    }

    /// Begins anew in `directory`: removes the checkpoints and the state that are there. Blocks on the disk.
    ///
    /// # Errors
    /// As [`RedbState::open`].
    pub fn create(directory: &Path, options: StoreOptions) -> Result<RedbState, StateError> {
        let directory = Directory::lock(directory)?;
        Self::clear(&directory)?;
        Self::over(directory, options)
    }

    /// Begins in `directory` from a copy of a savepoint, in place of what is there. Blocks on the disk.
    ///
    /// # Errors
    /// [`StateError::Store`] when the savepoint cannot be read; then what is in the directory stays. Else as
    /// [`RedbState::open`].
    pub fn from_savepoint(folder: &Path, directory: &Path, options: StoreOptions) -> Result<RedbState, StateError> {
        let manifest = savepoint::manifest(folder)?;
        let directory = Directory::lock(directory)?;
        Self::clear(&directory)?;
        savepoint::copy(folder, &manifest, &directory.path)?;
        Self::over(directory, options)
    }

    fn clear(directory: &Directory) -> Result<(), StateError> {
        // The manifests first: state without one is refused, a manifest without its state would be worse.
        Checkpoints::new(&directory.path, Files::default()).clear()?;
        let path = directory.database();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StateError::Store(format!("cannot remove `{}`: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }

    fn over(directory: Directory, options: StoreOptions) -> Result<RedbState, StateError> {
        let cache_bytes = usize::try_from(options.cache_bytes).unwrap_or(usize::MAX);
        let database = Database::open(directory.database(), cache_bytes)?;
        Self::with(directory, options, database, Files::default())
    }

    fn with(
        directory: Directory,
        options: StoreOptions,
        database: Database,
        files: Files,
    ) -> Result<RedbState, StateError> {
        let cache = options.quota.charge(Use::StoreCache, options.cache_bytes)?;
        let checkpoints = Checkpoints::new(&directory.path, files);
        Ok(RedbState(Arc::new(Store {
            database,
            checkpoints,
            options,
            inner: Mutex::default(),
            turn: Mutex::default(),
            highest: AtomicU64::new(0),
            behind: AtomicBool::new(false),
            _cache: cache,
            _directory: directory,
        })))
    }
}

impl StateBackend for RedbState {
    fn restore(&self) -> BoxFuture<'_, Result<Restored, StateError>> {
        let store = self.0.clone();
        Box::pin(blocking(move || store.restore()))
    }

    fn open(&self, request: StateScopeRequest) -> Result<Arc<dyn KeyedState>, StateError> {
        let subtask = self.0.admit(request)?;
        Ok(Arc::new(Keyed { store: self.0.clone(), subtask }))
    }

    fn commit(&self, manifest: Manifest) -> BoxFuture<'_, Result<Committed, StateError>> {
        let store = self.0.clone();
        Box::pin(blocking(move || store.commit(manifest)))
    }

    fn committed(&self, epoch: u64) -> BoxFuture<'_, Result<(), StateError>> {
        let store = self.0.clone();
        Box::pin(blocking(move || store.committed(epoch)))
    }

    fn work(&self) -> BoxFuture<'_, Result<bool, StateError>> {
        let store = self.0.clone();
        Box::pin(blocking(move || store.work()))
    }

    fn wants_checkpoint(&self) -> bool {
        let bound = self.0.options.buffer_bytes;
        lock(&self.0.inner).open.iter().any(|subtask| subtask.buffers().layers.uncommitted_bytes() as u64 > bound)
    }

    fn savepoint(&self, epoch: u64, folder: PathBuf) -> BoxFuture<'_, Result<(), StateError>> {
        let store = self.0.clone();
        Box::pin(blocking(move || store.savepoint(epoch, &folder)))
    }
}

impl Store {
    /// The epoch is in use: it must never be used again.
    pub(crate) fn used(&self, epoch: u64) {
        self.highest.fetch_max(epoch, Ordering::Relaxed);
    }

    /// The highest epoch that was used.
    pub(crate) fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    /// Whether writers should wait a little, so that folding catches up.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// How much of the log is folded at the latest, bytes.
    pub(crate) fn fold_bytes(&self) -> u64 {
        self.options.buffer_bytes.saturating_mul(4)
    }

    /// How much a subtask may hold with what it keeps of what is folded already, bytes: together no more than what waits to be
    /// folded at the latest.
    pub(crate) fn kept_bytes(&self, inner: &Inner) -> usize {
        usize::try_from(self.fold_bytes() / inner.open.len().max(1) as u64).unwrap_or(usize::MAX)
    }

    /// Looks again whether folding is behind.
    pub(crate) fn measure(&self, inner: &Inner) {
        let bytes: u64 = inner.log.values().sum();
        self.behind.store(bytes > self.fold_bytes().saturating_mul(2).max(1 << 20), Ordering::Relaxed);
    }

    /// Verifies what a subtask asks for, and gives it what the last checkpoint has of it.
    fn admit(&self, request: StateScopeRequest) -> Result<Arc<Subtask>, StateError> {
        let StateScopeRequest { place, parallelism, states, range, max_parallelism, epoch, quota } = request;
        if range.start > range.end || u32::from(range.end) > max_parallelism.get() {
            let max = max_parallelism.get();
            return Err(contract(format!("{place} cannot own key groups {}..{} of {max}", range.start, range.end)));
        }
        self.used(epoch);
        let mut inner = lock(&self.inner);
        let overlaps = |other: &&Arc<Subtask>| {
            other.place.operator == place.operator && other.range.start < range.end && range.start < other.range.end
        };
        if let Some(other) = inner.open.iter().find(overlaps) {
            return Err(contract(format!(
                "{place} cannot own key groups {range}: subtask {} owns {}",
                other.place.subtask, other.range
            )));
        }
        let restored = inner.kept.last().cloned();
        if let Some(stored) = restored.as_ref().filter(|stored| !stored.savepoint)
            && stored.manifest.job != place.job
        {
            return Err(contract(format!(
                "the state directory holds the checkpoints of {}, and this is {}: give each job a directory of its own",
                stored.manifest.job, place.job
            )));
        }
        let mut stored = Vec::new();
        for state in &states {
            stored.push(inner.number(&place.operator, What::State(state.name.clone()), shape(state))?);
        }
        for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
            stored.push(inner.number(&place.operator, What::Timers(domain), Shape::TIMERS)?);
        }
        let has_base = inner.has_base;
        let subtask =
            Subtask::new(place, range, max_parallelism, states, stored, quota, epoch, has_base).map(Arc::new)?;
        for (epoch, number, rows) in &inner.loaded {
            if let Some(state) = subtask.all_stored().iter().position(|(stored, _)| stored == number) {
                subtask.load(state, *epoch, rows)?;
            }
        }
        let before = restored.and_then(|stored| Some(stored.manifest.node(&subtask.place.operator)?.subtasks.len()));
        if before.is_some_and(|before| before != parallelism as usize) && subtask.place.subtask > 0 {
            let copies = subtask.all_stored().iter().enumerate();
            for (state, _) in copies.filter(|(_, (_, shape))| shape.scope == StateScope::Broadcast) {
                let entries = self.first_copy(&inner, subtask.stored(state))?;
                subtask.begin_copy(state, &entries)?;
            }
        }
        inner.open.push(subtask.clone());
        Ok(subtask)
    }

    /// What subtask 0 had of a broadcast state at the restored checkpoint.
    fn first_copy(&self, inner: &Inner, (number, shape): (u32, Shape)) -> Result<Vec<CopiedEntry>, StateError> {
        let mut effects = Effects::new(number, shape);
        for (epoch, _, rows) in inner.loaded.iter().filter(|(_, of, _)| *of == number) {
            rows.rows().filter(|row| row.group == BROADCAST).for_each(|row| effects.add(*epoch, row));
        }
        let from = layout::group_start(number, BROADCAST.into());
        let to = layout::group_start(number, u32::from(BROADCAST) + 1);
        self.database.read(|transaction| {
            let base = transaction.open_table(BASE)?;
            let mut copy = Vec::new();
            for entry in effects.over(entries(&base, &from, &to)?, &from, &to) {
                let (stored, value) = entry?;
                let parts = layout::parse(&stored);
                let value = effects::for_guest(shape, &value, i64::MIN).flatten();
                if let (Some(parts), Some((value, _))) = (parts, value) {
                    copy.push(CopiedEntry { key: parts.key.to_vec(), map_key: parts.map_key.to_vec(), value });
                }
            }
            Ok(copy)
        })
    }
}

impl Inner {
    /// The number of a state: the one that the restored checkpoint has, or a new one.
    fn number(&mut self, operator: &str, what: What, shape: Shape) -> Result<(u32, Shape), StateError> {
        let known = |state: &&StoredState| state.operator == operator && state.what == what;
        if let Some(known) = self.states.iter().find(known) {
            if known.shape != shape {
                return Err(contract(format!(
                    "{what:?} of `{operator}` is stored as {:?}, which does not fit {shape:?}",
                    known.shape
                )));
            }
            return Ok((known.number, shape));
        }
        let number = self.next_state;
        self.next_state = number.checked_add(1).ok_or_else(|| contract("the store has had too many states"))?;
        self.states.push(StoredState { number, operator: operator.to_string(), what, shape });
        Ok((number, shape))
    }
}

fn shape(state: &StateDescription) -> Shape {
    Shape { kind: state.kind, scope: state.scope, expires: state.ttl.map(|ttl| ttl.domain) }
}

/// Runs what waits for the disk on the blocking pool. It runs to its end even when nobody waits for it any more.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    let failed = |error| StateError::Store(format!("its work on the blocking pool did not end: {error}"));
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// What these locks guard is valid at every step, so a panic elsewhere does not make it unusable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
