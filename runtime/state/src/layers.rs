//! Decides which epoch a change belongs to, what a read sees, and what may be written to the database when.

use std::{collections::VecDeque, sync::Arc};

use crate::changes::Changes;

/// The write buffers of one subtask, an epoch each, the oldest first and the current one last.
#[derive(Debug)]
pub(crate) struct Layers(VecDeque<Layer>);

/// The changes of one epoch.
#[derive(Debug)]
struct Layer {
    epoch: u64,
    /// Nothing more comes.
    sealed: bool,
    changes: Changes,
    /// Changes on their way to the database, older than `changes`: still read from here until they are there.
    writing: Option<Arc<Changes>>,
    /// Whether part of the epoch is in the database already.
    spilled: bool,
}

impl Layer {
    fn new(epoch: u64) -> Layer {
        Layer { epoch, sealed: false, changes: Changes::default(), writing: None, spilled: false }
    }

    fn take(&mut self) -> Arc<Changes> {
        self.restore();
        let taken = Arc::new(std::mem::take(&mut self.changes));
        self.writing = Some(taken.clone());
        taken
    }

    fn restore(&mut self) {
        if let Some(older) = self.writing.take() {
            self.changes.put_under(Arc::unwrap_or_clone(older));
        }
    }
}

impl Layers {
    /// No changes yet; the first belong to `epoch`.
    pub(crate) fn new(epoch: u64) -> Layers {
        Layers([Layer::new(epoch)].into())
    }

    /// The epoch that changes belong to now.
    pub(crate) fn current(&self) -> u64 {
        self.last().epoch
    }

    /// The epoch that was cut and of which changes still come.
    pub(crate) fn cut_unsealed(&self) -> Option<u64> {
        let before = self.0.len().checked_sub(2)?;
        Some(&self.0[before]).filter(|layer| !layer.sealed).map(|layer| layer.epoch)
    }

    /// Ends the current epoch as `epoch`. An error says why not.
    pub(crate) fn cut(&mut self, epoch: u64) -> Result<(), String> {
        if let Some(open) = self.cut_unsealed() {
            return Err(format!("state cannot be cut at epoch {epoch}: epoch {open} is not handed over yet"));
        }
        let current = self.current();
        let Some(next) = epoch.checked_add(1).filter(|_| epoch >= current) else {
            return Err(format!("state cannot be cut at epoch {epoch}: the current epoch is {current}"));
        };
        self.last_mut().epoch = epoch;
        self.0.push_back(Layer::new(next));
        Ok(())
    }

    /// Nothing more comes of the epoch that was cut.
    pub(crate) fn seal(&mut self) {
        if let Some(before) = self.0.len().checked_sub(2) {
            self.0[before].sealed = true;
        }
    }

    /// Where changes of `epoch` go; `None` for an epoch that takes none.
    pub(crate) fn of(&mut self, epoch: u64) -> Option<&mut Changes> {
        // The two newest are the current epoch and the last one that was cut.
        self.0
            .iter_mut()
            .rev()
            .take(2)
            .find(|layer| layer.epoch == epoch && !layer.sealed)
            .map(|layer| &mut layer.changes)
    }

    /// Whether no changes are older than those of `epoch`, not even on their way to the database.
    pub(crate) fn is_oldest(&self, epoch: u64) -> bool {
        self.first().epoch == epoch && self.first().writing.is_none()
    }

    /// The newest change of a key: `None` where there is none, `Some(None)` where it was deleted.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.0.iter().rev().find_map(|layer| {
            layer.changes.get(key).or_else(|| layer.writing.as_ref().and_then(|writing| writing.get(key)))
        })
    }

    /// Bytes of all layers.
    pub(crate) fn bytes(&self) -> u64 {
        let of = |layer: &Layer| layer.changes.bytes() + layer.writing.as_ref().map_or(0, |writing| writing.bytes());
        self.0.iter().map(of).sum()
    }

    /// Bytes of the oldest layer: the only one that may be spilled. Were a later one in the database, the commit of an
    /// earlier epoch would overwrite newer values.
    pub(crate) fn spillable_bytes(&self) -> u64 {
        self.first().changes.bytes()
    }

    /// Takes the oldest layer's changes, to be spilled, with their epoch.
    pub(crate) fn take_oldest(&mut self) -> (u64, Arc<Changes>) {
        let oldest = self.first_mut();
        (oldest.epoch, oldest.take())
    }

    /// What was taken to be spilled is in the database.
    pub(crate) fn spilled(&mut self) {
        let oldest = self.first_mut();
        oldest.writing = None;
        oldest.spilled = true;
    }

    /// An epoch up to `epoch` that has changes and is not sealed: it must not be committed.
    pub(crate) fn unsealed_changes(&self, epoch: u64) -> Option<u64> {
        let dirty = |layer: &&Layer| layer.spilled || layer.writing.is_some() || !layer.changes.is_empty();
        let unsealed = |layer: &&Layer| layer.epoch <= epoch && !layer.sealed;
        self.0.iter().filter(unsealed).find(dirty).map(|layer| layer.epoch)
    }

    /// Takes the changes of all sealed epochs up to `epoch`, to be committed.
    pub(crate) fn take_sealed(&mut self, epoch: u64) -> Vec<(u64, Arc<Changes>)> {
        let sealed = |layer: &&mut Layer| layer.sealed && layer.epoch <= epoch;
        self.0.iter_mut().take_while(sealed).map(|layer| (layer.epoch, layer.take())).collect()
    }

    /// What was taken to be committed is in the database.
    pub(crate) fn committed(&mut self, epoch: u64) {
        self.0.retain(|layer| !(layer.sealed && layer.epoch <= epoch));
    }

    /// What was taken did not get to the database.
    pub(crate) fn restore(&mut self) {
        self.0.iter_mut().for_each(Layer::restore);
    }

    // There is always a layer: the current one is never sealed and so never removed.
    fn first(&self) -> &Layer {
        &self.0[0]
    }

    fn first_mut(&mut self) -> &mut Layer {
        &mut self.0[0]
    }

    fn last(&self) -> &Layer {
        &self.0[self.0.len() - 1]
    }

    fn last_mut(&mut self) -> &mut Layer {
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(layers: &mut Layers, epoch: u64, key: &[u8], value: &[u8]) {
        layers.of(epoch).unwrap().set(key, Some(value));
    }

    #[test]
    fn writes_go_to_the_current_epoch_and_the_one_handed_over() {
        let mut layers = Layers::new(3);
        assert!(layers.of(2).is_none() && layers.of(3).is_some() && layers.of(4).is_none());
        layers.cut(5).unwrap();
        assert_eq!((layers.current(), layers.cut_unsealed()), (6, Some(5)));
        assert!(layers.of(3).is_none() && layers.of(5).is_some() && layers.of(6).is_some());
        layers.seal();
        assert!(layers.of(5).is_none() && layers.of(6).is_some());
    }

    #[test]
    fn a_cut_goes_forward_one_at_a_time() {
        let mut layers = Layers::new(3);
        assert_eq!(layers.cut(2).unwrap_err(), "state cannot be cut at epoch 2: the current epoch is 3");
        layers.cut(3).unwrap();
        assert_eq!(layers.cut(4).unwrap_err(), "state cannot be cut at epoch 4: epoch 3 is not handed over yet");
        layers.seal();
        assert_eq!(layers.cut(3).unwrap_err(), "state cannot be cut at epoch 3: the current epoch is 4");
        assert!(layers.cut(u64::MAX).is_err());
        layers.cut(4).unwrap();
    }

    #[test]
    fn a_late_write_of_the_epoch_that_was_cut_is_under_a_newer_one() {
        let mut layers = Layers::new(1);
        layers.cut(1).unwrap();
        put(&mut layers, 2, b"k", b"new");
        put(&mut layers, 1, b"k", b"old");
        assert_eq!(layers.get(b"k"), Some(Some(&b"new"[..])));
        layers.seal();
        let taken = layers.take_sealed(1);
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].1.get(b"k"), Some(Some(&b"old"[..])));
    }

    #[test]
    fn only_the_oldest_epoch_is_spilled() {
        let mut layers = Layers::new(1);
        put(&mut layers, 1, b"k", b"1");
        layers.cut(1).unwrap();
        layers.seal();
        put(&mut layers, 2, b"k", b"2");
        let (epoch, taken) = layers.take_oldest();
        assert_eq!((epoch, taken.get(b"k")), (1, Some(Some(&b"1"[..]))));
        layers.spilled();
        assert_eq!(layers.spillable_bytes(), 0);
        // Epoch 2 has its turn when epoch 1 is committed.
        layers.committed(1);
        assert_eq!(layers.take_oldest().0, 2);
    }

    #[test]
    fn what_is_being_written_stays_readable_and_returns_when_writing_fails() {
        let mut layers = Layers::new(1);
        put(&mut layers, 1, b"a", b"1");
        put(&mut layers, 1, b"b", b"1");
        let before = layers.bytes();
        let taken = layers.take_oldest().1;
        assert_eq!((layers.get(b"a"), layers.bytes()), (Some(Some(&b"1"[..])), before));
        put(&mut layers, 1, b"a", b"2");
        drop(taken);
        layers.restore();
        assert_eq!(layers.get(b"a"), Some(Some(&b"2"[..])));
        assert_eq!(layers.get(b"b"), Some(Some(&b"1"[..])));
        assert_eq!(layers.bytes(), before);
    }

    #[test]
    fn an_epoch_with_changes_is_not_committed_before_it_is_sealed() {
        let mut layers = Layers::new(1);
        assert_eq!(layers.unsealed_changes(1), None);
        put(&mut layers, 1, b"k", b"1");
        assert_eq!(layers.unsealed_changes(1), Some(1));
        layers.take_oldest();
        layers.spilled();
        assert_eq!(layers.unsealed_changes(1), Some(1));
        layers.cut(1).unwrap();
        assert_eq!(layers.unsealed_changes(1), Some(1));
        layers.seal();
        assert_eq!((layers.unsealed_changes(1), layers.take_sealed(1).len()), (None, 1));
    }
}
