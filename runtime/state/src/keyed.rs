//! What the host and the engine call: keyed state of one subtask, over its buffers and the database.

use std::sync::Arc;

use wasmill_core::{
    BoxFuture, KeyedState,
    state::{EntryKeys, StateError, Values, Writes},
};

use crate::{
    backend::{Store, blocking},
    subtask::{Found, Subtask},
};

/// Keyed state of one subtask.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub(crate) store: Arc<Store>,
    pub(crate) subtask: Arc<Subtask>,
}

impl KeyedState for Keyed {
    fn owns(&self, key: &[u8]) -> bool {
        self.subtask.owns(key)
    }

    fn get_many<'a>(&'a self, state: u32, entries: &'a EntryKeys) -> BoxFuture<'a, Result<Values, StateError>> {
        Box::pin(async move {
            let Found { values, mut missing, mut allowance } = self.subtask.read(state, entries)?;
            if missing.is_empty() {
                return Ok(values);
            }
            let store = self.store.clone();
            let stored = blocking(move || {
                missing.sort_unstable();
                let found = store.database.get(missing.iter().map(|(key, _)| key.as_slice()), &mut allowance)?;
                let mut found: Vec<_> = missing.iter().map(|&(_, i)| i).zip(found).collect();
                found.sort_unstable_by_key(|&(i, _)| i);
                Ok(found)
            });
            let mut stored = stored.await?.into_iter().peekable();
            let mut answer = Values::default();
            for i in 0..entries.len() {
                match stored.next_if(|&(place, _)| place == i) {
                    Some((_, value)) => answer.push(value.as_deref()),
                    None => answer.push(values.get(i)),
                }
            }
            Ok(answer)
        })
    }

    fn write_many<'a>(&'a self, state: u32, epoch: u64, writes: &'a Writes) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move {
            let groups = self.subtask.check(state, epoch, writes)?;
            let spillable = match self.subtask.write(state, epoch, writes, &groups) {
                // Buffers may be what fills the quota: those of the whole job are handed over, then it is tried once
                // more.
                Err(StateError::OverQuota(over)) => {
                    let store = self.store.clone();
                    if !blocking(move || store.spill_all()).await? {
                        return Err(over.into());
                    }
                    self.subtask.write(state, epoch, writes, &groups)?
                }
                spillable => spillable?,
            };
            if spillable > self.store.buffer_bytes {
                let (store, subtask) = (self.store.clone(), self.subtask.clone());
                blocking(move || store.spill(&[subtask])).await?;
            }
            Ok(())
        })
    }

    fn cut(&self, epoch: u64) -> Result<(), StateError> {
        self.subtask.buffers().layers.cut(epoch).map_err(StateError::Contract)
    }

    fn seal(&self) {
        self.subtask.buffers().layers.seal();
    }
}
