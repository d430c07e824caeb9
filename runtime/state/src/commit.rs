//! Completes checkpoints: an epoch's writes go to the log in one transaction with one fsync, then the manifest is written.

use std::{collections::BTreeMap, sync::Arc};

use redb::Durability;
use wasmill_core::{
    Manifest,
    description::StateKind,
    state::{Committed, StateError},
};

use crate::{
    backend::{Store, lock},
    chunk,
    database::{Facts, LOG, log_key},
    layout::Shape,
    manifest::StoredManifest,
    rows::{Rows, by_group, contract},
};

/// Rows of one state of one subtask in one epoch.
struct Part {
    epoch: u64,
    state: u32,
    shape: Shape,
    segments: Vec<Arc<Rows>>,
}

impl Store {
    /// Makes everything sealed up to a manifest's epoch durable, and then the manifest.
    pub(crate) fn commit(&self, manifest: Manifest) -> Result<Committed, StateError> {
        let _turn = lock(&self.turn);
        let epoch = manifest.epoch;
        self.used(epoch);
        let (open, states, next_state, last) = {
            let inner = lock(&self.inner);
            let last = inner.kept.last().map(|stored| stored.manifest.epoch);
            (inner.open.clone(), inner.states.clone(), inner.next_state, last)
        };
        if let Some(last) = last.filter(|&last| epoch <= last) {
            return Err(contract(format!("epoch {epoch} cannot be committed: epoch {last} is already")));
        }
        let mut parts = Vec::new();
        for subtask in &open {
            let buffers = subtask.buffers();
            if let Some(open) = buffers.layers.unsealed(epoch) {
                return Err(contract(format!(
                    "epoch {epoch} cannot be committed: {} has not handed over epoch {open}",
                    subtask.place
                )));
            }
            for layer in buffers.layers.to_commit(epoch) {
                for (rows, &(state, shape)) in layer.states.iter().zip(subtask.all_stored()) {
                    if !rows.is_empty() {
                        let segments = rows.segments().all().to_vec();
                        parts.push(Part { epoch: layer.epoch, state, shape, segments });
                    }
                }
            }
        }
        let written = self.log(epoch, next_state, &parts);
        drop(parts);
        let (committed, bytes) = match written {
            Ok(written) => written,
            Err(error) => {
                lock(&self.inner).failed = true;
                return Err(error);
            }
        };
        {
            let mut inner = lock(&self.inner);
            inner.loaded = Vec::new();
            for (epoch, bytes) in bytes {
                *inner.log.entry(epoch).or_default() += bytes;
            }
            self.measure(&inner);
        }
        let bound = self.kept_bytes(&lock(&self.inner));
        for subtask in &open {
            let mut buffers = subtask.buffers();
            buffers.layers.committed(epoch);
            buffers.shed(bound);
        }
        // What the job does not have any more is forgotten, and removed some time.
        let states = states.into_iter().filter(|state| state.is_described(&manifest)).collect();
        let stored = StoredManifest { manifest, states, savepoint: false };
        self.checkpoints.write(&stored)?;
        let mut inner = lock(&self.inner);
        inner.kept.push(Arc::new(stored));
        let over = inner.kept.len().saturating_sub(self.options.keep.max(1));
        let gone: Vec<_> = inner.kept.drain(..over).collect();
        drop(inner);
        for stored in gone {
            // One file too many is tried again after a restart, when it is read as one that is kept.
            let _ = self.checkpoints.remove(stored.manifest.epoch);
        }
        Ok(committed)
    }

    /// Appends to the log. Returns what that came to, in all and by epoch.
    fn log(&self, epoch: u64, next_state: u32, parts: &[Part]) -> Result<(Committed, BTreeMap<u64, u64>), StateError> {
        let facts = Facts { highest: self.highest().max(epoch), next_state, ..self.database.facts()? };
        self.database.write(Durability::Immediate, |transaction| {
            facts.write(transaction)?;
            let mut log = transaction.open_table(LOG)?;
            let (mut committed, mut bytes, mut chunks) = (Committed::default(), BTreeMap::new(), BTreeMap::new());
            for part in parts {
                for rows in by_group(&part.segments, part.shape.kind == StateKind::Map, chunk::CHUNK_BYTES) {
                    let chunk = chunk::encode(part.state, &rows);
                    let number = chunks.entry(part.epoch).or_insert(0u32);
                    log.insert(&log_key(part.epoch, *number)[..], &chunk[..])?;
                    *number += 1;
                    committed.entries += rows.len() as u64;
                    committed.bytes += chunk.len() as u64;
                    *bytes.entry(part.epoch).or_default() += chunk.len() as u64;
                }
            }
            Ok((committed, bytes))
        })
    }

    /// Notes that a checkpoint's committables are committed.
    pub(crate) fn committed(&self, epoch: u64) -> Result<(), StateError> {
        let _turn = lock(&self.turn);
        let kept = |stored: &Arc<StoredManifest>| stored.manifest.epoch == epoch;
        let there = lock(&self.inner).kept.iter().any(kept);
        if there {
            self.checkpoints.mark_committed(epoch)?;
        }
        Ok(())
    }
}
