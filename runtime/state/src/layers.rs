//! Decides which epoch a write belongs to, and what of a subtask's writes is still in memory.

use std::collections::VecDeque;

use crate::{
    index::StateRows,
    layout::Shape,
    rows::{RowId, Rows},
};

/// The writes of one subtask, an epoch each, the oldest first and the current one last.
#[derive(Debug)]
pub(crate) struct Layers {
    layers: VecDeque<Layer>,
    shapes: Vec<Shape>,
    /// What there was when the call began that may be undone.
    mark: Option<Vec<(u64, Vec<RowId>)>>,
}

/// The writes of one epoch.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) epoch: u64,
    /// Nothing more comes.
    sealed: bool,
    /// The database's log has it; it stays here for reads until it is folded.
    committed: bool,
    pub(crate) states: Vec<StateRows>,
}

impl Layer {
    fn new(epoch: u64, shapes: &[Shape]) -> Layer {
        let states = shapes.iter().map(|&shape| StateRows::new(shape)).collect();
        Layer { epoch, sealed: false, committed: false, states }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.states.iter().all(StateRows::is_empty)
    }

    fn bytes(&self) -> usize {
        self.states.iter().map(StateRows::bytes).sum()
    }
}

impl Layers {
    /// No writes yet; the first belong to `epoch`.
    pub(crate) fn new(epoch: u64, shapes: Vec<Shape>) -> Layers {
        Layers { layers: [Layer::new(epoch, &shapes)].into(), shapes, mark: None }
    }

    /// Adds stored rows of `epoch`, which is not below that of any added before and below the current one.
    pub(crate) fn add_stored(&mut self, epoch: u64, state: usize, rows: std::sync::Arc<Rows>) {
        let before = self.layers.len() - 1;
        if before == 0 || self.layers[before - 1].epoch != epoch {
            let layer = Layer { sealed: true, committed: true, ..Layer::new(epoch, &self.shapes) };
            self.layers.insert(before, layer);
        }
        let at = self.layers.len() - 2;
        self.layers[at].states[state].segments_mut().push(rows);
    }

    /// The epoch that writes belong to now.
    pub(crate) fn current(&self) -> u64 {
        self.layers.back().map_or(0, |layer| layer.epoch)
    }

    /// The epoch that was cut and of which writes still come.
    pub(crate) fn cut_unsealed(&self) -> Option<u64> {
        let before = self.layers.len().checked_sub(2)?;
        Some(&self.layers[before]).filter(|layer| !layer.sealed).map(|layer| layer.epoch)
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
        if let Some(last) = self.layers.back_mut() {
            last.epoch = epoch;
        }
        self.layers.push_back(Layer::new(next, &self.shapes));
        Ok(())
    }

    /// Nothing more comes of the epoch that was cut.
    pub(crate) fn seal(&mut self) {
        if let Some(before) = self.layers.len().checked_sub(2) {
            self.layers[before].sealed = true;
        }
    }

    /// Where writes of `epoch` go; `None` for an epoch that takes none.
    pub(crate) fn of(&mut self, epoch: u64) -> Option<&mut Layer> {
        // The two newest are the current epoch and the last one that was cut.
        self.layers.iter_mut().rev().take(2).find(|layer| layer.epoch == epoch && !layer.sealed)
    }

    /// All layers that have anything of a state, the newest first.
    pub(crate) fn newest_first(&mut self, state: usize) -> impl Iterator<Item = (u64, &mut StateRows)> {
        let layers = self.layers.iter_mut().rev().map(move |layer| (layer.epoch, &mut layer.states[state]));
        layers.filter(|(_, rows)| !rows.is_empty())
    }

    /// All layers, the oldest first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter()
    }

    /// Bytes of all layers, about.
    pub(crate) fn bytes(&self) -> usize {
        self.layers.iter().map(Layer::bytes).sum()
    }

    /// Bytes that no checkpoint has yet, about.
    pub(crate) fn uncommitted_bytes(&self) -> usize {
        self.layers.iter().filter(|layer| !layer.committed).map(Layer::bytes).sum()
    }

    /// An epoch up to `epoch` that has writes and is not sealed: it must not be committed.
    pub(crate) fn unsealed(&self, epoch: u64) -> Option<u64> {
        let open = |layer: &&Layer| layer.epoch <= epoch && !layer.sealed && !layer.is_empty();
        self.layers.iter().find(open).map(|layer| layer.epoch)
    }

    /// What a checkpoint of `epoch` has to store.
    pub(crate) fn to_commit(&self, epoch: u64) -> impl Iterator<Item = &Layer> {
        self.layers.iter().filter(move |layer| layer.sealed && !layer.committed && layer.epoch <= epoch)
    }

    /// What is sealed up to `epoch` is in the log.
    pub(crate) fn committed(&mut self, epoch: u64) {
        for layer in &mut self.layers {
            layer.committed |= layer.sealed && layer.epoch <= epoch;
        }
        self.layers.retain(|layer| !layer.committed || !layer.is_empty());
    }

    /// What the log had up to `epoch` is in the base.
    pub(crate) fn folded(&mut self, epoch: u64) {
        self.layers.retain(|layer| !layer.committed || layer.epoch > epoch);
    }

    /// Begins a call that may be undone.
    pub(crate) fn begin_call(&mut self) {
        let ends = |layer: &Layer| layer.states.iter().map(|rows| rows.segments().end()).collect();
        self.mark = Some(self.layers.iter().rev().take(2).map(|layer| (layer.epoch, ends(layer))).collect());
    }

    /// Ends it; without `keep` what it wrote is forgotten.
    pub(crate) fn end_call(&mut self, keep: bool) {
        let mark = self.mark.take().filter(|_| !keep).unwrap_or_default();
        for (epoch, ends) in mark {
            for layer in self.layers.iter_mut().filter(|layer| layer.epoch == epoch && !layer.sealed) {
                for (rows, &end) in layer.states.iter_mut().zip(&ends) {
                    if rows.segments().end() != end {
                        rows.truncate(end);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_takes_writes_until_it_is_sealed() {
        let mut layers = Layers::new(1, vec![Shape::TIMERS]);
        assert!(layers.of(1).is_some() && layers.of(0).is_none() && layers.of(2).is_none());
        layers.cut(3).unwrap();
        assert!(layers.of(1).is_none() && layers.of(2).is_none());
        assert!(layers.of(3).is_some() && layers.of(4).is_some(), "what was cut is still handed over");
        assert_eq!(layers.cut(4).unwrap_err(), "state cannot be cut at epoch 4: epoch 3 is not handed over yet");
        layers.seal();
        assert!(layers.of(3).is_none());
        assert_eq!(layers.cut(3).unwrap_err(), "state cannot be cut at epoch 3: the current epoch is 4");
        assert!(layers.cut(u64::MAX).is_err(), "no epoch follows it");
    }
}
