//! Decides which epoch a write belongs to, and what of a subtask's writes is still in memory.

use std::collections::VecDeque;

use wasmill_core::description::{StateKind, StateScope};

use crate::{
    index::StateRows,
    layout::Shape,
    rows::{RowId, Rows},
    settled::Settled,
};

/// The writes of one subtask, an epoch each, the oldest first and the current one last.
#[derive(Debug)]
pub(crate) struct Layers {
    layers: VecDeque<Layer>,
    shapes: Vec<Shape>,
    /// What there was when the call began that may be undone.
    mark: Option<Vec<(u64, Vec<RowId>)>>,
    /// Of each state what is found for several layers at once.
    settled: Vec<Settled>,
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
        let settled = shapes.iter().map(|_| Settled::default()).collect();
        Layers { layers: [Layer::new(epoch, &shapes)].into(), shapes, mark: None, settled }
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

    /// Where the values of a state are found, the newest first; up to `steps` steps are taken to have fewer such places.
    pub(crate) fn values(&mut self, state: usize, mut steps: usize) -> (impl Iterator<Item = &StateRows>, &Settled) {
        let Layers { layers, shapes, settled, .. } = self;
        let shape = shapes[state];
        let mut may_settle = shape.kind == StateKind::Value && shape.scope == StateScope::Keyed;
        let settled = &mut settled[state];
        for layer in layers.iter_mut() {
            let rows = &mut layer.states[state];
            if rows.is_empty() || rows.is_settled() {
                continue;
            }
            rows.complete();
            // In their order, or older rows would hide newer ones.
            may_settle = may_settle && layer.sealed && !rows.is_truncated();
            may_settle = may_settle && settled.absorb(layer.epoch, rows, &mut steps);
        }
        let rows = layers.iter().rev().map(move |layer| &layer.states[state]);
        (rows.filter(|rows| !rows.is_empty() && !rows.is_settled()), settled)
    }

    /// All layers, the oldest first.
    pub(crate) fn oldest_first(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter()
    }

    /// Bytes of all layers, about.
    pub(crate) fn bytes(&self) -> usize {
        let settled: usize = self.settled.iter().map(Settled::bytes).sum();
        self.layers.iter().map(Layer::bytes).sum::<usize>() + settled
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
        let is_folded = |layer: &Layer| layer.committed && layer.epoch <= epoch;
        for (state, settled) in self.settled.iter_mut().enumerate() {
            // A row that is found only in what goes now is newer than what would be found without it.
            let found = |rows: &StateRows| rows.is_empty() || rows.is_settled();
            let is_whole = self.layers.iter().filter(|layer| is_folded(layer)).all(|layer| found(&layer.states[state]));
            let next = self.layers.iter().find(|layer| !is_folded(layer)).map_or(0, |layer| layer.epoch);
            settled.folded(next, is_whole);
        }
        self.layers.retain(|layer| !is_folded(layer));
    }

    /// Drops what the base has too, the oldest first, until all takes `bound` bytes at most.
    pub(crate) fn shed(&mut self, bound: usize) {
        while self.bytes() > bound {
            let kept = self.settled.iter_mut().filter_map(|settled| Some((settled.oldest_kept()?, settled)));
            let Some((_, oldest)) = kept.min_by_key(|(epoch, _)| *epoch) else { return };
            oldest.drop_oldest();
        }
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

    /// Random epochs of writes, folds and reads, against a map of what each key has; a read is given few steps, so that layers
    /// are in every stage of settling. What memory does not know must be what the base has.
    #[test]
    fn the_newest_value_is_found_wherever_it_is() {
        use std::collections::BTreeMap;

        use wasmill_core::key_group::hash;

        use crate::{
            rows::{Act, Row},
            table::{Find, Tag},
        };

        let shape = Shape { kind: StateKind::Value, scope: StateScope::Keyed, expires: None };
        let (mut kept, mut dropped) = (0, 0);
        for seed in 1..=60u64 {
            let mut random = seed;
            let mut next = |below: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % below
            };
            let (mut layers, mut model, mut base) = (Layers::new(1, vec![shape]), BTreeMap::new(), BTreeMap::new());
            // Writes that are not in the base: epoch, key, value; 0 for none.
            let mut log: Vec<(u64, u64, u64)> = Vec::new();
            let few = next(2) == 0;
            for step in 0..400 {
                match next(10) {
                    0..5 => {
                        for _ in 0..next(40) {
                            let (key, value) = (next(60), next(4) * (step + 1));
                            // Some are late ones of the epoch that was cut, of keys that have not changed since.
                            let current = layers.current();
                            let late = layers.cut_unsealed().filter(|_| next(2) == 0);
                            let changed = log.iter().any(|(epoch, of, _)| (*epoch, *of) == (current, key));
                            let epoch = late.filter(|_| !changed).unwrap_or(current);
                            let bytes = (key.to_le_bytes(), value.to_le_bytes());
                            let act = if value == 0 { Act::Delete } else { Act::Put };
                            let value_bytes = if value == 0 { &[] } else { &bytes.1[..] };
                            let row =
                                Row { act, group: 0, key: &bytes.0, map_key: &[], value: value_bytes, expires: None };
                            layers.of(epoch).unwrap().states[0].segments_mut().add(row, false);
                            log.push((epoch, key, value));
                            model.insert(key, value);
                        }
                    }
                    5 => drop(layers.cut(layers.current())),
                    6 => layers.seal(),
                    7 => {
                        let to = layers.cut_unsealed().unwrap_or(layers.current()) - 1;
                        layers.committed(to);
                        layers.folded(to);
                        if next(3) == 0 {
                            layers.shed(next(3_000) as usize);
                        }
                        log.sort_by_key(|(epoch, ..)| *epoch);
                        log.iter().filter(|(epoch, ..)| *epoch <= to).for_each(|(_, key, value)| {
                            base.insert(*key, *value);
                        });
                        log.retain(|(epoch, ..)| *epoch > to);
                        match layers.settled[0].oldest_kept() {
                            Some(_) => kept += 1,
                            None => dropped += 1,
                        }
                    }
                    _ => {
                        let steps = if few { next(8) } else { 1_000 };
                        let (newest_first, settled) = layers.values(0, steps as usize);
                        let newest_first: Vec<_> = newest_first.collect();
                        for key in 0..60u64 {
                            let (bytes, tag) = (key.to_le_bytes(), Tag::of(hash(&key.to_le_bytes())));
                            let mut found =
                                newest_first.iter().filter_map(|rows| rows.find(tag, &bytes, rows.first(tag)));
                            let found = found.next().or_else(|| settled.find(tag, &bytes, settled.first(tag)));
                            let found = found
                                .map(|(rows, row)| rows.value(row).first_chunk().map_or(0, |v| u64::from_le_bytes(*v)));
                            let found = found.unwrap_or_else(|| base.get(&key).copied().unwrap_or(0));
                            let expected = model.get(&key).copied().unwrap_or(0);
                            assert_eq!(found, expected, "seed {seed}, step {step}, key {key}");
                        }
                    }
                }
            }
        }
        assert!(kept > 100 && dropped > 100, "{kept} folds left rows in memory, {dropped} did not");
    }
}
