//! Decides what is done off the path of records, a bounded piece at a time: folding, removing what has expired, removing
//! states that no checkpoint knows any more.

use std::collections::BTreeMap;

use redb::{Durability, ReadableTable};
use wasmill_core::state::StateError;

use crate::{
    backend::{Store, lock},
    database::{BASE, Facts, LOG},
    expire::Sweep,
    fold::Fold,
    layout,
};

/// More epochs than these in the log are folded, however small: a read may have to look at each.
const MOST_EPOCHS: usize = 32;

/// Entries of a state that is gone, removed at a time.
const STEP_ENTRIES: usize = 8_192;

/// Work in progress.
#[derive(Debug, Default)]
pub(crate) struct Background {
    fold: Option<Fold>,
    sweep: Option<Sweep>,
    /// Up to when each state was swept.
    pub(crate) swept: BTreeMap<u32, i64>,
    dead: Vec<u32>,
}

impl Background {
    /// Nothing in progress; `dead` states are to be removed.
    pub(crate) fn new(dead: Vec<u32>) -> Background {
        Background { dead, ..Background::default() }
    }
}

impl Store {
    /// Does a bounded piece of work; false when there is none.
    pub(crate) fn work(&self) -> Result<bool, StateError> {
        let mut turn = lock(&self.turn);
        let done = self.piece(&mut turn);
        if done.is_err() {
            // What was begun is begun anew.
            (turn.fold, turn.sweep) = (None, None);
            lock(&self.inner).failed = true;
        }
        done
    }

    fn piece(&self, turn: &mut Background) -> Result<bool, StateError> {
        if let Some(mut fold) = turn.fold.take() {
            if self.database.write(Durability::None, |transaction| fold.step(transaction))? {
                self.finish_fold(&fold, Durability::None)?;
            } else {
                turn.fold = Some(fold);
            }
            return Ok(true);
        }
        if let Some(fold) = self.due_fold()? {
            turn.fold = Some(fold);
            return Ok(true);
        }
        if let Some(number) = turn.dead.pop() {
            if self.remove_state(number)? {
                turn.dead.push(number);
            }
            return Ok(true);
        }
        if turn.sweep.is_none() {
            let oldest = lock(&self.inner).kept.first().cloned();
            turn.sweep = oldest.and_then(|oldest| Sweep::due(&oldest, &turn.swept));
        }
        let Some(sweep) = &mut turn.sweep else { return Ok(false) };
        if sweep.step(&self.database)? {
            turn.swept.insert(sweep.state.number, sweep.horizon);
            turn.sweep = None;
        }
        Ok(true)
    }

    /// A fold up to the oldest checkpoint that is kept, if the log is long enough.
    fn due_fold(&self) -> Result<Option<Fold>, StateError> {
        let oldest = {
            let inner = lock(&self.inner);
            let Some(oldest) = inner.kept.first() else { return Ok(None) };
            let (mut epochs, mut bytes) = (0, 0);
            for (_, of) in inner.log.range(..=oldest.manifest.epoch) {
                epochs += 1;
                bytes += of;
            }
            if bytes <= self.fold_bytes() && epochs <= MOST_EPOCHS {
                return Ok(None);
            }
            oldest.clone()
        };
        let fold = self.database.read(|transaction| Fold::new(&transaction.open_table(LOG)?, &oldest))?;
        fold.map(Some).map_err(StateError::Store)
    }

    /// Takes what is folded out of the log, and out of memory.
    pub(crate) fn finish_fold(&self, fold: &Fold, durability: Durability) -> Result<(), StateError> {
        let facts = Facts { folded: fold.to, ..self.database.facts()? };
        self.database.write(durability, |transaction| {
            facts.write(transaction)?;
            fold.finish(transaction)
        })?;
        let mut inner = lock(&self.inner);
        inner.log.retain(|epoch, _| *epoch > fold.to);
        inner.loaded.retain(|(epoch, ..)| *epoch > fold.to);
        inner.has_base = true;
        self.measure(&inner);
        for subtask in &inner.open {
            let mut buffers = subtask.buffers();
            buffers.folded(fold.to);
            buffers.shed(self.kept_bytes(&inner));
        }
        Ok(())
    }

    /// Removes some entries of a state; whether some are left.
    fn remove_state(&self, number: u32) -> Result<bool, StateError> {
        let from = number.to_be_bytes();
        let end = layout::group_start(number, 1 << 16);
        self.database.write(Durability::None, |transaction| {
            let mut base = transaction.open_table(BASE)?;
            let next = base.range::<&[u8]>(&from[..]..&end[..])?.nth(STEP_ENTRIES).transpose()?;
            let next = next.map(|(key, _)| key.value().to_vec());
            base.retain_in::<&[u8], _>(&from[..]..next.as_deref().unwrap_or(&end), |_, _| false)?;
            Ok(next.is_some())
        })
    }
}
