//! Holds where the newest row of each key is, over all epochs of one value state that nothing more comes of: one place to look
//! at, however many epochs are not folded. Epochs that are folded may stay, in place of reading the base.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    index::StateRows,
    rows::{RowId, Rows},
    table::{Candidate, Find, Table, Tag},
};

/// The table is in `1 << PART_BITS` parts, so that no call waits for all of it to grow.
const PART_BITS: u32 = 6;

/// Rows of epochs, the oldest first, and the newest row of each key in them.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Of segments, counted from the first there ever was. Some may be gone.
    parts: Vec<Table>,
    segments: VecDeque<Arc<Rows>>,
    /// The number of the first segment that is left.
    first: u32,
    /// Epochs, and one past the last segment of each.
    epochs: VecDeque<(u64, u32)>,
    /// Epochs before this one are in the base.
    folded: u64,
}

impl Settled {
    /// Takes over keys of `rows`, an epoch after all before; `left` is how many steps may be taken. True when it has all of
    /// them, and `rows` need not be looked at any more.
    pub(crate) fn absorb(&mut self, epoch: u64, rows: &mut StateRows, left: &mut usize) -> bool {
        if self.epochs.back().is_none_or(|(last, _)| *last != epoch) {
            self.segments.extend(rows.segments().all().iter().cloned());
            self.epochs.push_back((epoch, self.end()));
            self.parts.resize_with(1 << PART_BITS, Table::default);
        }
        let begin = self.end() - rows.segments().all().len() as u32;
        let Settled { parts, segments, first, .. } = self;
        let first = *first;
        // What one part gains, hardly ever less: all of it comes one after the other, and is to have room from the start.
        let gain = (rows.places() >> PART_BITS) * 9 / 8 + 64;
        let mut at = None;
        while *left > 0
            && let Some(next) = rows.settle_next()
        {
            *left -= 1;
            let Some((tag, row)) = next else { continue };
            let (part, tag) = tag.split(PART_BITS);
            let table = &mut parts[part];
            let more = if at == Some(part) { 1 } else { gain };
            at = Some(part);
            table.reserve(more, |row| row.segment >= first);
            let key = rows.segments().key(row);
            let row = RowId { segment: row.segment + begin, row: row.row };
            table.set(tag, row, |other| row_key(segments, first, other) == Some(key));
        }
        *left > 0
    }

    /// Epochs before `epoch` are in the base. They may stay if `is_whole`: nothing newer that was folded is missing here.
    pub(crate) fn folded(&mut self, epoch: u64, is_whole: bool) {
        self.folded = epoch;
        while !is_whole && self.oldest_kept().is_some() {
            self.drop_oldest();
        }
    }

    /// The oldest epoch that is here though the base has it.
    pub(crate) fn oldest_kept(&self) -> Option<u64> {
        self.epochs.front().map(|(epoch, _)| *epoch).filter(|epoch| *epoch < self.folded)
    }

    /// Drops the oldest epoch.
    pub(crate) fn drop_oldest(&mut self) {
        if let Some((_, end)) = self.epochs.pop_front() {
            self.segments.drain(..(end - self.first) as usize);
            self.first = end;
        }
        if self.epochs.is_empty() {
            self.parts = Vec::new();
        }
    }

    /// Bytes that it takes beside the rows of epochs that are not folded, about.
    pub(crate) fn bytes(&self) -> usize {
        let kept = self.epochs.iter().rfind(|(epoch, _)| *epoch < self.folded).map_or(self.first, |(_, end)| *end);
        let rows = self.segments.iter().take((kept - self.first) as usize).map(|rows| rows.bytes());
        rows.sum::<usize>() + self.parts.iter().map(Table::bytes).sum::<usize>()
    }

    fn end(&self) -> u32 {
        self.first + self.segments.len() as u32
    }
}

impl Find for Settled {
    #[inline]
    fn first(&self, tag: Tag) -> Option<Candidate> {
        let (part, tag) = tag.split(PART_BITS);
        let table = self.parts.get(part)?;
        table.next(tag, table.probe(tag))
    }

    #[inline]
    fn find(&self, tag: Tag, key: &[u8], mut candidate: Option<Candidate>) -> Option<(&Rows, usize)> {
        let (part, tag) = tag.split(PART_BITS);
        while let Some((row, then)) = candidate {
            if row_key(&self.segments, self.first, row) == Some(key) {
                return Some((&self.segments[(row.segment - self.first) as usize], row.row as usize));
            }
            candidate = self.parts[part].next(tag, then);
        }
        None
    }
}

/// The key of a row, unless it is gone.
#[inline]
fn row_key(segments: &VecDeque<Arc<Rows>>, first: u32, row: RowId) -> Option<&[u8]> {
    let at = row.segment.checked_sub(first)?;
    Some(segments.get(at as usize)?.key(row.row as usize))
}
