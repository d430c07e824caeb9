//! Decides when state is fetched, handed over and dropped.

use super::{Directory, Slot, States};
use crate::{call::Call, column::Column, error::Result, setup::Setup};

/// Bytes that one `write-many` takes at most, roughly, where all is handed over at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// The most a cache may take: its keys are found by offsets of 32 bits, and one batch comes on top.
const MAX_BYTES: u64 = 2 << 30;

/// The cache of an operator's keyed states. The operators that take records have one; an operator that takes whole batches
/// may make one of its own, and then calls it from each of its methods.
pub struct StateCache {
    directory: Directory,
    width: usize,
    slots: Vec<Slot>,
    /// The epoch that changes belong to.
    epoch: u64,
    /// The epoch that was cut and is not all handed over.
    cut: Option<u64>,
    /// Bytes that the cache may take.
    bound: usize,
    /// Whether the host may have a key that is not here.
    fetch: bool,
    is_used: bool,
}

impl StateCache {
    /// A cache for the states that `setup` was told of, with keys of `width` bytes, 0 where it varies.
    pub fn new(setup: &Setup, width: usize) -> StateCache {
        let context = setup.context();
        StateCache {
            directory: Directory::new(width),
            width,
            slots: Vec::new(),
            epoch: context.map_or(0, |context| context.epoch),
            cut: None,
            bound: context.map_or(0, |context| context.state_cache_bytes.min(MAX_BYTES) as usize),
            fetch: context.is_some_and(|context| context.restored),
            is_used: !setup.description.states.is_empty(),
        }
    }

    /// Looks up the keys of all rows and fetches what the cache does not hold. First hands over what is left of an epoch that
    /// was cut, since the rows may change it.
    ///
    /// # Errors
    /// The record's whose key is null or has a wrong width; the job's when stored bytes do not fit their codec.
    pub fn resolve(&mut self, call: &mut Call<'_>, states: &mut dyn States, keys: Column<'_>, rows: usize) -> Result {
        if !self.is_used {
            return Ok(());
        }
        self.settle(call, states)?;
        let known = self.directory.len();
        self.directory.resolve(keys, rows, &mut self.slots)?;
        let slots = self.directory.len();
        if slots == known {
            return Ok(());
        }
        let missing = self.fetch.then(|| self.directory.keys_from(known));
        let mut loaded = Ok(());
        states.visit(&mut |state| {
            state.grow(slots);
            if let (Some(missing), Ok(())) = (&missing, &loaded) {
                loaded = state.load(&self.directory, known, &call.get_many(state.index(), missing));
            }
        });
        loaded
    }

    /// The slot of each row that was resolved last; empty for an operator without state.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Ends a call that used state: over its bound the cache is written out and dropped.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    pub fn trim(&mut self, call: &mut Call<'_>, states: &mut dyn States) -> Result {
        if !self.is_used {
            return Ok(());
        }
        states.select(Slot::NONE);
        let mut bytes = self.directory.bytes();
        states.visit(&mut |state| bytes += state.bytes());
        if bytes <= self.bound {
            return Ok(());
        }
        self.settle(call, states)?;
        hand_over(&self.directory, call, states, self.epoch, CHUNK_BYTES, usize::MAX)?;
        states.visit(&mut |state| state.clear());
        self.directory = Directory::new(self.width);
        self.fetch = true;
        Ok(())
    }

    /// Cuts state: all changes so far belong to `epoch`, later ones to `epoch + 1`.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    pub fn snapshot(&mut self, call: &mut Call<'_>, states: &mut dyn States, epoch: u64) -> Result {
        self.settle(call, states)?;
        self.cut = Some(epoch);
        self.epoch = epoch + 1;
        Ok(())
    }

    /// Hands over about `max_bytes` of the epoch that was cut; true when all is handed over.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    pub fn snapshot_step(&mut self, call: &mut Call<'_>, states: &mut dyn States, max_bytes: u32) -> Result<bool> {
        if let Some(epoch) = self.cut {
            let max_bytes = max_bytes as usize;
            if !hand_over(&self.directory, call, states, epoch, max_bytes, max_bytes)? {
                return Ok(false);
            }
            self.cut = None;
        }
        Ok(true)
    }

    /// Hands over what is left of the epoch that was cut.
    fn settle(&mut self, call: &mut Call<'_>, states: &mut dyn States) -> Result {
        if let Some(epoch) = self.cut.take() {
            hand_over(&self.directory, call, states, epoch, CHUNK_BYTES, usize::MAX)?;
        }
        Ok(())
    }
}

/// Writes changed entries in chunks of about `chunk` bytes until about `max_bytes`; whether none is left.
fn hand_over(
    directory: &Directory,
    call: &mut Call<'_>,
    states: &mut dyn States,
    epoch: u64,
    chunk: usize,
    max_bytes: usize,
) -> Result<bool> {
    let (mut left, mut failure, mut done) = (max_bytes.max(1), None, true);
    states.visit(&mut |state| {
        while left > 0 && failure.is_none() {
            match state.take_changed(directory, chunk.min(left)) {
                Ok(Some(writes)) => {
                    let bytes = writes.entries.keys.len() + writes.values.len() + writes.operations.len() * 9;
                    left = left.saturating_sub(bytes);
                    call.write_many(state.index(), epoch, &writes);
                }
                Ok(None) => break,
                Err(error) => failure = Some(error),
            }
        }
        done &= !state.is_changed();
    });
    failure.map_or(Ok(done), Err)
}
