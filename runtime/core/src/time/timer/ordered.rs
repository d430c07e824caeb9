//! Holds millions of timers in order, packed in chunks: a set that finds, adds, removes and marks.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use super::chunk::{Chunk, MARKS, Mark, Timer};

/// Timers in the order (time, key, tag), each once, with a mark. Mark 0 is the one that most have; which timers have another
/// is known without looking at all.
#[derive(Debug, Default)]
pub(super) struct OrderedTimers {
    /// The chunks by where each begins: a chunk holds what is not before its own beginning and before that of the next one.
    /// None is empty.
    index: BTreeMap<Beginning, u32>,
    chunks: Vec<Slot>,
    /// Slots that are empty.
    free: Vec<u32>,
    /// By mark: slots that hold, or held, timers with it.
    marked: [Vec<u32>; MARKS],
    /// How many timers have each mark.
    counts: [usize; MARKS],
}

#[derive(Debug, Default)]
struct Slot {
    chunk: Chunk,
    /// By mark: whether the slot is listed in `marked`.
    listed: [bool; MARKS],
}

/// Where a chunk begins: as short as tells it from the chunk before. The order of the fields is that of timers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Beginning {
    time: i64,
    key: Key,
    tag: u64,
}

/// A key, in place when it is short: the index is searched without following pointers.
#[derive(Debug, Clone)]
enum Key {
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

/// The longest key that stands in place.
const SHORT: usize = 22;

impl Key {
    fn of(key: &[u8]) -> Key {
        let mut short = [0; SHORT];
        match short.get_mut(..key.len()) {
            Some(place) => {
                place.copy_from_slice(key);
                Key::Short(key.len() as u8, short)
            }
            None => Key::Long(key.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Key::Short(length, bytes) => &bytes[..usize::from(*length)],
            Key::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl Beginning {
    /// Before all timers.
    const FIRST: Beginning = Beginning { time: i64::MIN, key: Key::Short(0, [0; SHORT]), tag: 0 };

    fn of(timer: &Timer<'_>) -> Beginning {
        Beginning { time: timer.time, key: Key::of(timer.key), tag: timer.tag }
    }

    /// The shortest that is behind `before`, and not behind `first`.
    fn between(before: Timer<'_>, first: Timer<'_>) -> Beginning {
        let Timer { time, key, tag } = first;
        if before.time < time {
            return Beginning { time, key: Key::of(b""), tag: 0 };
        }
        if before.key == key {
            return Beginning { time, key: Key::of(key), tag };
        }
        let common = before.key.iter().zip(key).take_while(|(a, b)| a == b).count();
        Beginning { time, key: Key::of(&key[..=common]), tag: 0 }
    }
}

impl OrderedTimers {
    pub(super) fn len(&self) -> usize {
        self.counts.iter().sum()
    }

    /// How many timers have a mark.
    pub(super) fn count(&self, mark: Mark) -> usize {
        self.counts[usize::from(mark)]
    }

    /// The slot of the chunk that holds a timer, if any does.
    fn slot(&self, timer: &Timer<'_>) -> Option<u32> {
        self.index.range(..=Beginning::of(timer)).next_back().map(|(_, slot)| *slot)
    }

    /// The slot of the chunk that a timer belongs to; the first one begins before all timers then.
    fn slot_for(&mut self, timer: &Timer<'_>) -> Option<u32> {
        self.slot(timer).or_else(|| {
            let (_, slot) = self.index.pop_first()?;
            self.index.insert(Beginning::FIRST, slot);
            Some(slot)
        })
    }

    fn chunk(&mut self, slot: u32) -> &mut Chunk {
        &mut self.chunks[slot as usize].chunk
    }

    /// The first timer.
    pub(super) fn first(&self) -> Option<Timer<'_>> {
        self.index.first_key_value().map(|(_, slot)| self.chunks[*slot as usize].chunk.get(0))
    }

    /// Takes the first timer out; its mark.
    pub(super) fn remove_first(&mut self) -> Option<Mark> {
        let slot = *self.index.first_key_value()?.1;
        let mark = self.chunk(slot).remove(0);
        self.counts[usize::from(mark)] -= 1;
        if self.chunk(slot).len() == 0 {
            self.index.pop_first();
            self.release(slot);
        }
        Some(mark)
    }

    /// The mark of a timer, if it is there.
    pub(super) fn mark(&self, timer: &Timer<'_>) -> Option<Mark> {
        let chunk = &self.chunks[self.slot(timer)? as usize].chunk;
        chunk.search(timer).ok().map(|i| chunk.mark(i))
    }

    /// Adds a timer; false when it is there already, and keeps its mark.
    pub(super) fn insert(&mut self, timer: &Timer<'_>, mark: Mark) -> bool {
        let Some(slot) = self.slot_for(timer) else {
            let mut chunk = Chunk::default();
            chunk.insert(0, timer, mark);
            let slot = self.acquire(chunk);
            self.index.insert(Beginning::FIRST, slot);
            self.counts[usize::from(mark)] += 1;
            return true;
        };
        let chunk = &self.chunks[slot as usize].chunk;
        // Timers that come in order are not looked for.
        let last = chunk.len() - 1;
        let i = if chunk.get(last) < *timer { Err(last + 1) } else { chunk.search(timer) };
        let Err(i) = i else { return false };
        self.insert_at(slot, i, timer, mark);
        self.counts[usize::from(mark)] += 1;
        true
    }

    fn insert_at(&mut self, mut slot: u32, mut i: usize, timer: &Timer<'_>, mark: Mark) {
        while !self.chunk(slot).has_room(timer) {
            let mut rest = self.chunk(slot).split(i);
            let at = self.chunk(slot).len();
            if i >= at && at > 0 {
                i -= at;
                if rest.has_room(timer) {
                    rest.insert(i, timer, mark);
                    self.place_behind(slot, rest);
                    return;
                }
                slot = self.place_behind(slot, rest);
            } else if at == 0 {
                // It comes before the only one, which is as large as a chunk.
                self.chunk(slot).insert(0, timer, mark);
                self.list(slot);
                self.place_behind(slot, rest);
                return;
            } else {
                self.place_behind(slot, rest);
            }
        }
        self.chunk(slot).insert(i, timer, mark);
        self.list(slot);
    }

    /// Files a chunk behind the one whose timers all come before; its slot.
    fn place_behind(&mut self, before: u32, chunk: Chunk) -> u32 {
        let last = self.chunks[before as usize].chunk.len() - 1;
        let beginning = Beginning::between(self.chunks[before as usize].chunk.get(last), chunk.get(0));
        let slot = self.acquire(chunk);
        self.index.insert(beginning, slot);
        slot
    }

    fn acquire(&mut self, chunk: Chunk) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.chunks.push(Slot::default());
            self.chunks.len() as u32 - 1
        });
        *self.chunk(slot) = chunk;
        self.list(slot);
        slot
    }

    fn release(&mut self, slot: u32) {
        *self.chunk(slot) = Chunk::default();
        self.free.push(slot);
    }

    /// Lists a slot under the marks that its timers have.
    fn list(&mut self, slot: u32) {
        let Slot { chunk, listed } = &mut self.chunks[slot as usize];
        for mark in 1..MARKS {
            if !listed[mark] && chunk.count(mark as Mark) > 0 {
                listed[mark] = true;
                self.marked[mark].push(slot);
            }
        }
    }

    /// Takes a timer out; its mark, if it was there.
    pub(super) fn remove(&mut self, timer: &Timer<'_>) -> Option<Mark> {
        let slot = self.slot(timer)?;
        let i = self.chunk(slot).search(timer).ok()?;
        let mark = self.chunk(slot).remove(i);
        self.counts[usize::from(mark)] -= 1;
        if self.chunks[slot as usize].chunk.is_sparse() {
            self.thin_out(slot, timer);
        }
        Some(mark)
    }

    /// Has a chunk with few timers, which held `timer`, join the next one, or drops it when it is empty.
    fn thin_out(&mut self, slot: u32, timer: &Timer<'_>) {
        let place = Beginning::of(timer);
        if self.chunk(slot).len() == 0 {
            let beginning = self.index.range(..=&place).next_back().map(|(beginning, _)| beginning.clone());
            beginning.map(|beginning| self.index.remove(&beginning));
            self.release(slot);
            return;
        }
        let next = self.index.range((Excluded(&place), Unbounded)).next();
        let Some((beginning, next)) = next.map(|(beginning, slot)| (beginning.clone(), *slot)) else { return };
        if !self.chunks[slot as usize].chunk.may_join(&self.chunks[next as usize].chunk) {
            return;
        }
        self.index.remove(&beginning);
        let behind = std::mem::take(self.chunk(next));
        self.chunk(slot).join(&behind);
        self.list(slot);
        self.release(next);
    }

    /// Tells up to `limit` timers with a mark, and gives them another one, or with `None` takes them out. Returns how many.
    pub(super) fn take_marked(
        &mut self,
        mark: Mark,
        to: Option<Mark>,
        limit: usize,
        mut tell: impl FnMut(Timer<'_>),
    ) -> usize {
        let mut told = 0;
        while told < limit
            && let Some(slot) = self.marked[usize::from(mark)].pop()
        {
            self.chunks[slot as usize].listed[usize::from(mark)] = false;
            if self.chunk(slot).count(mark) == 0 {
                continue;
            }
            // A place in the chunk, to find it by when it is empty.
            let Timer { time, key, tag } = self.chunk(slot).get(0);
            let (key, mut i) = (key.to_vec(), 0);
            while told < limit && self.chunk(slot).count(mark) > 0 {
                let chunk = &mut self.chunks[slot as usize].chunk;
                if chunk.mark(i) != mark {
                    i += 1;
                    continue;
                }
                tell(chunk.get(i));
                told += 1;
                match to {
                    Some(to) => {
                        chunk.set_mark(i, to);
                        self.counts[usize::from(to)] += 1;
                        i += 1;
                    }
                    None => drop(chunk.remove(i)),
                }
                self.counts[usize::from(mark)] -= 1;
            }
            // Those over the limit, and those with the other mark.
            self.list(slot);
            if self.chunk(slot).is_sparse() {
                self.thin_out(slot, &Timer { time, key: &key, tag });
            }
        }
        told
    }
}
