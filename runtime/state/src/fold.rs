//! Folds the log into the base: up to the oldest checkpoint that is kept, each key once however often it changed, in
//! transactions of some milliseconds.

mod run;

use redb::{ReadableTable, WriteTransaction};
use wasmill_core::description::StateKind;

use crate::{
    chunk,
    database::{BASE, LOG, entries, log_epoch, log_key, remove_prefix},
    effects::{self, Effects},
    layout,
    manifest::{StoredManifest, StoredState},
    rows::Rows,
};
use run::Run;

/// Entries that one transaction writes: smaller ones write the same pages of the tree more often, larger ones hold up commits.
const STEP_ENTRIES: usize = 16_384;

/// Rows that are added up at a time, about.
const STEP_ROWS: usize = 32 << 10;

/// A fold in progress. What is dropped half-way can be done again from the start.
#[derive(Debug)]
pub(crate) struct Fold {
    /// Everything up to this epoch is folded.
    pub(crate) to: u64,
    states: Vec<FoldedState>,
    /// Being written.
    pending: Option<Pending>,
    /// Keys of the chunks.
    chunks: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Pending {
    /// Values.
    Run(Run),
    /// Anything else.
    Effects(Effects),
}

#[derive(Debug)]
struct FoldedState {
    state: StoredState,
    /// What has expired by then is not written.
    horizon: i64,
    /// In the order written.
    chunks: Vec<FoldedChunk>,
    /// The first key group that is not folded.
    next_group: u32,
}

/// A chunk, in memory only while its key groups are folded.
#[derive(Debug)]
struct FoldedChunk {
    key: Vec<u8>,
    first: u16,
    last: u16,
    rows: Option<Rows>,
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
                chunks: Vec::new(),
                next_group: 0,
            })
            .collect();
        let mut chunks = Vec::new();
        // All are read now and again later, since together they may be more than should be in memory; but nothing is folded
        // where one of them is damaged.
        for chunk in log.range::<&[u8]>(..&log_key(to.saturating_add(1), 0)[..])? {
            let (key, bytes) = chunk?;
            let key = key.value().to_vec();
            let (number, rows) = match chunk::decode(bytes.value()) {
                Ok(chunk) => chunk,
                Err(why) => return Ok(Err(bad_chunk(&key, why))),
            };
            if let Some(state) = states.iter_mut().find(|state| state.state.number == number)
                && let (Some(&first), Some(&last)) = (rows.groups.first(), rows.groups.last())
            {
                state.chunks.push(FoldedChunk { key: key.clone(), first, last, rows: None });
            }
            chunks.push(key);
        }
        Ok(Ok(Fold { to, states, pending: None, chunks }))
    }

    /// Writes some entries to the database that has the log; true when all are written and [`Fold::finish`] is left to do.
    pub(crate) fn step(&mut self, transaction: &WriteTransaction) -> Result<bool, redb::Error> {
        self.step_from(&transaction.open_table(LOG)?, transaction)
    }

    /// The same, where the log may be in another database.
    pub(crate) fn step_from(
        &mut self,
        log: &impl ReadableTable<&'static [u8], &'static [u8]>,
        transaction: &WriteTransaction,
    ) -> Result<bool, redb::Error> {
        let mut base = transaction.open_table(BASE)?;
        let mut left = STEP_ENTRIES;
        while left > 0 {
            let Some(folded) = self.states.last_mut() else { return Ok(true) };
            let more = match &mut self.pending {
                None => {
                    self.pending = folded.next(log)?;
                    match &self.pending {
                        Some(Pending::Effects(effects)) => effects.begin(&mut base)?,
                        Some(Pending::Run(_)) => {}
                        None => drop(self.states.pop()),
                    }
                    continue;
                }
                Some(Pending::Run(run)) => run.write(folded, &mut base, &mut left)?,
                Some(Pending::Effects(effects)) => {
                    let more = effects.write_next(folded, &mut base)?;
                    left -= usize::from(more);
                    more
                }
            };
            if !more {
                self.pending = None;
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

type Base<'a> = redb::Table<'a, &'static [u8], &'static [u8]>;

impl FoldedState {
    /// What the next key groups with rows leave; `None` behind the last.
    fn next(&mut self, log: &impl ReadableTable<&'static [u8], &'static [u8]>) -> Result<Option<Pending>, redb::Error> {
        self.chunks.retain(|chunk| u32::from(chunk.last) >= self.next_group);
        let from = self.next_group;
        let mut rows = 0;
        while rows < STEP_ROWS {
            let Some(group) = self.chunks.iter().filter_map(|chunk| chunk.next_group(self.next_group)).min() else {
                break;
            };
            self.next_group = u32::from(group) + 1;
            for chunk in &mut self.chunks {
                rows += chunk.load(group, log)?.len();
            }
        }
        if rows == 0 {
            return Ok(None);
        }
        let groups = from..self.next_group;
        if self.state.shape.kind == StateKind::Value
            && let Some(run) = Run::of(&self.chunks, groups.clone(), rows)
        {
            return Ok(Some(Pending::Run(run)));
        }
        // A group at a time: rows of a group are in the order of chunks.
        let mut effects = Effects::new(self.state.number, self.state.shape);
        for chunk in &self.chunks {
            for (rows, row) in chunk.rows_of(&groups) {
                effects.add(log_epoch(&chunk.key), rows.row(row));
            }
        }
        Ok(Some(Pending::Effects(effects)))
    }
}

impl FoldedChunk {
    /// The first key group from `from` on that it has rows of.
    fn next_group(&self, from: u32) -> Option<u16> {
        let Some(rows) = &self.rows else { return Some(self.first) };
        rows.groups.get(rows.of_groups(u16::try_from(from).ok()?, u32::MAX).start).copied()
    }

    /// The rows of a key group. What it holds is read when the first of its groups is asked for.
    fn load(
        &mut self,
        group: u16,
        log: &impl ReadableTable<&'static [u8], &'static [u8]>,
    ) -> Result<std::ops::Range<usize>, redb::Error> {
        if !(self.first..=self.last).contains(&group) {
            return Ok(0..0);
        }
        let rows = match self.rows.take() {
            Some(rows) => rows,
            None => {
                let stored = ReadableTable::get(log, &self.key[..])?;
                let chunk = stored.map_or(Err("it is gone"), |bytes| chunk::decode(bytes.value()));
                chunk.map_err(|why| redb::Error::Corrupted(bad_chunk(&self.key, why)))?.1
            }
        };
        Ok(self.rows.insert(rows).of_groups(group, u32::from(group) + 1))
    }

    /// Its rows of some key groups, as far as it is in memory.
    fn rows_of(&self, groups: &std::ops::Range<u32>) -> impl Iterator<Item = (&Rows, usize)> {
        let from = u16::try_from(groups.start).unwrap_or(u16::MAX);
        let rows = self.rows.iter();
        rows.flat_map(move |rows| rows.of_groups(from, groups.end).map(move |row| (rows, row)))
    }
}

impl Effects {
    /// Removes what is gone whatever comes.
    fn begin(&self, base: &mut Base<'_>) -> Result<(), redb::Error> {
        for &group in &self.truncated {
            remove_prefix(base, &layout::group_start(self.state, group.into()))?;
        }
        for prefix in &self.cleared {
            remove_prefix(base, prefix)?;
        }
        Ok(())
    }

    /// Writes the next entry, if there is one.
    fn write_next(&mut self, folded: &FoldedState, base: &mut Base<'_>) -> Result<bool, redb::Error> {
        let Some((key, effect)) = self.entries.pop_first() else { return Ok(false) };
        let shape = folded.state.shape;
        let stored = match &effect {
            effects::Effect::List { .. } => ReadableTable::get(base, &key[..])?.map(|v| v.value().to_vec()),
            _ => None,
        };
        let mut net = self.net(&key, stored.as_deref(), &effect);
        if shape.expires.is_some() {
            net = net.and_then(|net| effects::unexpired(shape, &net, folded.horizon).unwrap_or(Some(net)));
        }
        match net {
            Some(value) => drop(base.insert(&key[..], &value[..])?),
            None => drop(base.remove(&key[..])?),
        }
        Ok(true)
    }
}
