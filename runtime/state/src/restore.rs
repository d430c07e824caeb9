//! Decides where an attempt begins, out of what is on disk alone: the newest complete checkpoint that can be read.

use std::{collections::BTreeMap, sync::Arc};

use redb::{Durability, ReadableTable};
use wasmill_core::state::{Restored, StateError};

use crate::{
    backend::{Inner, Store, lock},
    background::Background,
    database::{BASE, LOG, log_epoch, log_key},
    fold::{Fold, bad_chunk, read_log},
    manifest::{BadManifest, StoredManifest},
};

impl Store {
    /// Goes back to the newest complete checkpoint and forgets what is later.
    pub(crate) fn restore(&self) -> Result<Restored, StateError> {
        let mut turn = lock(&self.turn);
        *turn = Background::default();
        let failed = std::mem::take(&mut *lock(&self.inner)).failed;
        if failed {
            self.database.reopen()?;
        }
        let facts = self.database.facts()?;
        let mut warnings = Vec::new();
        let epochs = self.checkpoints.epochs()?;
        let mut kept = self.readable(&epochs, facts.folded, &mut warnings)?;
        let (mut chunks, mut newest_chunk) = (Vec::new(), 0);
        for (key, chunk) in self.database.read(|transaction| read_log(&transaction.open_table(LOG)?, u64::MAX))? {
            let epoch = log_epoch(&key);
            newest_chunk = newest_chunk.max(epoch);
            match chunk {
                Ok((state, rows)) => chunks.push((epoch, state, Arc::new(rows))),
                // What is behind the newest checkpoint is of no use anyway.
                Err(why) => self.pass_over(&mut kept, epoch, &bad_chunk(&key, why), &mut warnings)?,
            }
        }
        let base_is_empty = self.database.read(|transaction| Ok(transaction.open_table(BASE)?.first()?.is_none()))?;
        if kept.is_empty() && (!warnings.is_empty() || !base_is_empty) {
            let why = if warnings.is_empty() { "its manifests are missing".to_string() } else { warnings.join("; ") };
            return Err(StateError::Store(format!(
                "no checkpoint can be read: {why}. Start from a savepoint with `--from-savepoint`, or begin anew with \
                 `--fresh`"
            )));
        }
        let epoch = kept.last().map_or(0, |stored| stored.manifest.epoch);
        if newest_chunk > epoch {
            self.database.write(Durability::Immediate, |transaction| {
                let mut log = transaction.open_table(LOG)?;
                let after = log_key(epoch + 1, 0);
                Ok(log.retain_in::<&[u8], _>(&after[..].., |_, _| false)?)
            })?;
            chunks.retain(|(of, ..)| *of <= epoch);
        }
        let seen = epochs.iter().map(|(epoch, _)| *epoch).max().unwrap_or(0);
        let next_epoch = seen.max(facts.highest).max(newest_chunk).max(self.highest()) + 1;
        let mut log = BTreeMap::new();
        for (epoch, _, rows) in &chunks {
            *log.entry(*epoch).or_default() += rows.bytes() as u64;
        }
        let mut has_base = !base_is_empty;
        if let Some(oldest) = kept.first().filter(|_| log.values().sum::<u64>() > 2 * self.fold_bytes()) {
            // More than should be in memory: the job begins later, and lighter.
            self.fold_all(oldest)?;
            chunks.retain(|(epoch, ..)| *epoch > oldest.manifest.epoch);
            log.retain(|epoch, _| *epoch > oldest.manifest.epoch);
            has_base = true;
        }
        let states = kept.last().map(|stored| stored.states.clone()).unwrap_or_default();
        *turn = Background::new(self.dead_states(&kept)?);
        let manifest = kept.last().map(|stored| stored.manifest.clone());
        let next_state = facts.next_state;
        let inner = Inner { kept, states, next_state, loaded: chunks, log, has_base, ..Inner::default() };
        self.measure(&inner);
        *lock(&self.inner) = inner;
        Ok(Restored { manifest, next_epoch, warnings })
    }

    /// The checkpoints whose manifests can be read, the oldest first; others are set aside.
    fn readable(
        &self,
        epochs: &[(u64, bool)],
        folded: u64,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Arc<StoredManifest>>, StateError> {
        let mut kept = Vec::new();
        for &(epoch, _) in epochs.iter().filter(|(_, is_manifest)| *is_manifest) {
            let why = match self.checkpoints.read(epoch) {
                Ok(_) if epoch < folded => format!("the state has been folded up to epoch {folded}"),
                Ok(stored) => {
                    kept.push(Arc::new(stored));
                    continue;
                }
                Err(BadManifest::Damaged(why)) => why,
                Err(BadManifest::Format(format)) => {
                    return Err(StateError::Store(format!(
                        "`{}` has format version {format}, and this Wasmill reads version {}: use the Wasmill that wrote it",
                        self.checkpoints.path(epoch).display(),
                        crate::FORMAT_VERSION
                    )));
                }
            };
            let path = self.checkpoints.path(epoch);
            let aside = self.checkpoints.set_aside(epoch)?;
            warnings.push(format!(
                "the manifest `{}` of checkpoint {epoch} is damaged and passed over: {why} (kept as `{}`)",
                path.display(),
                aside.display()
            ));
        }
        Ok(kept)
    }

    /// Passes over the checkpoints that need a part of the log that cannot be read.
    fn pass_over(
        &self,
        kept: &mut Vec<Arc<StoredManifest>>,
        epoch: u64,
        what: &str,
        warnings: &mut Vec<String>,
    ) -> Result<(), StateError> {
        while let Some(stored) = kept.pop_if(|stored| stored.manifest.epoch >= epoch) {
            self.checkpoints.set_aside(stored.manifest.epoch)?;
            warnings.push(format!("checkpoint {} is damaged and passed over: {what}", stored.manifest.epoch));
        }
        Ok(())
    }

    /// Folds everything up to the oldest checkpoint that is kept.
    fn fold_all(&self, oldest: &StoredManifest) -> Result<(), StateError> {
        let fold = self.database.read(|transaction| Fold::new(&transaction.open_table(LOG)?, oldest))?;
        let mut fold = fold.map_err(StateError::Store)?;
        while !self.database.write(Durability::None, |transaction| fold.step(transaction))? {}
        self.finish_fold(&fold, Durability::Immediate)
    }

    /// Numbers of states that the base has and no checkpoint knows.
    fn dead_states(&self, kept: &[Arc<StoredManifest>]) -> Result<Vec<u32>, StateError> {
        let known = |number| kept.iter().any(|stored| stored.states.iter().any(|state| state.number == number));
        self.database.read(|transaction| {
            let base = transaction.open_table(BASE)?;
            let (mut dead, mut from) = (Vec::new(), Vec::new());
            while let Some(row) = base.range::<&[u8]>(&from[..]..)?.next() {
                let (key, _) = row?;
                let Some(number) = key.value().first_chunk().map(|number| u32::from_be_bytes(*number)) else { break };
                if !known(number) {
                    dead.push(number);
                }
                let Some(next) = number.checked_add(1) else { break };
                from = next.to_be_bytes().to_vec();
            }
            Ok(dead)
        })
    }
}
