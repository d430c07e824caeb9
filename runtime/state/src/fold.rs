//! Folds the log into the base: up to the oldest checkpoint that is kept, each key once however often it changed, in
//! transactions of a few milliseconds.

use redb::{ReadableTable, WriteTransaction};

use crate::{
    chunk,
    database::{BASE, LOG, entries, log_epoch, log_key, remove_prefix},
    effects::{self, Effects},
    layout,
    manifest::{StoredManifest, StoredState},
    rows::Rows,
};

/// Entries that one transaction writes.
const STEP_ENTRIES: usize = 4_096;

/// Rows that are added up at a time, about.
const STEP_ROWS: usize = 32 << 10;

/// A fold in progress. What is dropped half-way can be done again from the start.
#[derive(Debug)]
pub(crate) struct Fold {
    /// Everything up to this epoch is folded.
    pub(crate) to: u64,
    states: Vec<FoldedState>,
    /// Being written.
    pending: Option<Effects>,
    /// Keys of the chunks.
    chunks: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct FoldedState {
    state: StoredState,
    /// What has expired by then is not written.
    horizon: i64,
    /// The epoch and the rows of each chunk, in the order written.
    rows: Vec<(u64, Rows)>,
    /// The first key group that is not folded.
    next_group: u32,
}

/// Chunks up to an epoch, as the log has them: their keys, and what they hold. An error names the chunk.
type Chunks = Vec<(Vec<u8>, Result<(u32, Rows), &'static str>)>;

/// Reads the log up to an epoch.
pub(crate) fn read_log(log: &impl ReadableTable<&'static [u8], &'static [u8]>, to: u64) -> Result<Chunks, redb::Error> {
    let end = log_key(to.saturating_add(1), 0);
    let chunks = entries(log, &[], &end)?;
    chunks.map(|chunk| chunk.map(|(key, bytes)| (key, chunk::decode(&bytes)))).collect()
}

/// What a chunk that cannot be read is called.
pub(crate) fn bad_chunk(key: &[u8], why: &str) -> String {
    let number = key.last_chunk().map_or(0, |number| u32::from_be_bytes(*number));
    format!("chunk {number} of epoch {}: {why}", log_epoch(key))
}

impl Fold {
    /// Begins to fold everything up to the checkpoint of `manifest`. Rows of states that it does not know are of no use to
    /// it nor to a later one.
    pub(crate) fn new(
        log: &impl ReadableTable<&'static [u8], &'static [u8]>,
        manifest: &StoredManifest,
    ) -> Result<Result<Fold, String>, redb::Error> {
        let to = manifest.manifest.epoch;
        let mut states: Vec<FoldedState> = manifest
            .states
            .iter()
            .map(|state| FoldedState {
                state: state.clone(),
                horizon: manifest.horizon(state),
                rows: Vec::new(),
                next_group: 0,
            })
            .collect();
        let mut chunks = Vec::new();
        for (key, chunk) in read_log(log, to)? {
            let (number, rows) = match chunk {
                Ok(chunk) => chunk,
                Err(why) => return Ok(Err(bad_chunk(&key, why))),
            };
            if let Some(state) = states.iter_mut().find(|state| state.state.number == number) {
                state.rows.push((log_epoch(&key), rows));
            }
            chunks.push(key);
        }
        Ok(Ok(Fold { to, states, pending: None, chunks }))
    }

    /// Writes some entries; true when all are written and [`Fold::finish`] is left to do.
    pub(crate) fn step(&mut self, transaction: &WriteTransaction) -> Result<bool, redb::Error> {
        let mut base = transaction.open_table(BASE)?;
        let mut left = STEP_ENTRIES;
        while left > 0 {
            let Some(folded) = self.states.last_mut() else { return Ok(true) };
            let Some(pending) = &mut self.pending else {
                self.pending = folded.next();
                if let Some(pending) = &self.pending {
                    for &group in &pending.truncated {
                        remove_prefix(&mut base, &layout::group_start(folded.state.number, group.into()))?;
                    }
                    for prefix in &pending.cleared {
                        remove_prefix(&mut base, prefix)?;
                    }
                } else {
                    self.states.pop();
                }
                continue;
            };
            let Some((key, effect)) = pending.entries.pop_first() else {
                self.pending = None;
                continue;
            };
            left -= 1;
            let shape = folded.state.shape;
            let stored = match &effect {
                effects::Effect::List { .. } => ReadableTable::get(&base, &key[..])?.map(|v| v.value().to_vec()),
                _ => None,
            };
            let mut net = pending.net(&key, stored.as_deref(), &effect);
            if shape.expires.is_some() {
                net = net.and_then(|net| effects::unexpired(shape, &net, folded.horizon).unwrap_or(Some(net)));
            }
            match net {
                Some(value) => drop(base.insert(&key[..], &value[..])?),
                None => drop(base.remove(&key[..])?),
            }
        }
        Ok(false)
    }

    /// Removes from the log what is folded.
    pub(crate) fn finish(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut log = transaction.open_table(LOG)?;
        for key in &self.chunks {
            log.remove(&key[..])?;
        }
        Ok(())
    }

    /// Does all of it in one transaction.
    pub(crate) fn run(mut self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        while !self.step(transaction)? {}
        self.finish(transaction)
    }
}

impl FoldedState {
    /// What the next key groups with rows leave; `None` behind the last.
    fn next(&mut self) -> Option<Effects> {
        let mut effects = Effects::new(self.state.number, self.state.shape);
        let mut rows = 0;
        while rows < STEP_ROWS {
            let from = u16::try_from(self.next_group).ok();
            let next = from.and_then(|from| {
                let first = |rows: &Rows| rows.groups.get(rows.of_groups(from, u32::MAX).start).copied();
                self.rows.iter().filter_map(|(_, rows)| first(rows)).min()
            });
            let Some(group) = next else { break };
            self.next_group = u32::from(group) + 1;
            for (epoch, chunk) in &self.rows {
                for i in chunk.of_groups(group, self.next_group) {
                    effects.add(*epoch, chunk.row(i));
                    rows += 1;
                }
            }
        }
        (rows > 0).then_some(effects)
    }
}
