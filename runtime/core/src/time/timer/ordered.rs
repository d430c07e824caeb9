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
    key: Vec<u8>,
    tag: u64,
}

impl Beginning {
    /// Before all timers.
    const FIRST: Beginning = Beginning { time: i64::MIN, key: Vec::new(), tag: 0 };

    fn of(timer: &Timer<'_>) -> Beginning {
        Beginning { time: timer.time, key: timer.key.to_vec(), tag: timer.tag }
    }

    /// The shortest that is behind `before`, and not behind `first`.
    fn between(before: Timer<'_>, first: Timer<'_>) -> Beginning {
        let Timer { time, key, tag } = first;
        if before.time < time {
            return Beginning { time, key: Vec::new(), tag: 0 };
        }
        if before.key == key {
            return Beginning { time, key: key.to_vec(), tag };
        }
        let common = before.key.iter().zip(key).take_while(|(a, b)| a == b).count();
        Beginning { time, key: key[..=common].to_vec(), tag: 0 }
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

    /// Puts a timer in as number `i` of a chunk, or of what it is split into.
    fn insert_at(&mut self, slot: u32, i: usize, timer: &Timer<'_>, mark: Mark) {
        let chunk = self.chunk(slot);
        if chunk.has_room(timer) {
            chunk.insert(i, timer, mark);
            return self.list(slot);
        }
        let mut rest = chunk.split(i);
        let at = chunk.len();
        match i.cmp(&at) {
            Ordering::Less => {
                self.place_behind(slot, rest);
                self.insert_at(slot, i, timer, mark);
            }
            Ordering::Greater => {
                let slot = self.place_behind(slot, rest);
                self.insert_at(slot, i - at, timer, mark);
            }
            // In between it goes in before the second one gets its beginning: short as this is, it may be before the timer.
            Ordering::Equal if rest.has_room(timer) && at > 0 => {
                rest.insert(0, timer, mark);
                self.place_behind(slot, rest);
            }
            Ordering::Equal if chunk.has_room(timer) => {
                chunk.insert(i, timer, mark);
                self.list(slot);
                self.place_behind(slot, rest);
            }
            Ordering::Equal => {
                let mut between = Chunk::default();
                between.insert(0, timer, mark);
                let slot = self.place_behind(slot, between);
                self.place_behind(slot, rest);
            }
        }
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
        let marks = (0..).zip(listed).zip(&mut self.marked);
        for ((mark, listed), marked) in marks.skip(1) {
            if chunk.count(mark) > 0 && !std::mem::replace(listed, true) {
                marked.push(slot);
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

#[cfg(test)]
mod tests {
    use proptest::{
        prelude::*,
        test_runner::{RngAlgorithm, TestRng},
    };

    use super::*;

    /// Bytes that chunks and index take, and a slot for each chunk; slots that are empty wait for others.
    fn held(timers: &OrderedTimers) -> usize {
        let chunks: usize = timers.chunks.iter().map(|slot| slot.chunk.held()).sum();
        let entry = size_of::<Beginning>() + size_of::<u32>() + size_of::<Slot>();
        chunks + timers.index.keys().map(|beginning| beginning.key.capacity() + entry).sum::<usize>()
    }

    fn shuffled(count: usize, random: &mut TestRng) -> Vec<usize> {
        let mut all: Vec<usize> = (0..count).collect();
        (1..count).for_each(|i| all.swap(i, random.random_range(0..=i)));
        all
    }

    /// What the quota is charged is not less than what timers take, however they come and go.
    #[test]
    fn memory_is_given_back() {
        let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        for (length, count) in [(8, 20_000), (20, 20_000), (300, 4_000), (5_000, 300)] {
            let charged = crate::time::timer::queue::bytes(&vec![7; length]);
            let key = |i: usize| [&vec![7; length - 4][..], &(i as u32).to_be_bytes()].concat();
            let keys: Vec<Vec<u8>> = (0..count).map(key).collect();
            let timer = |i: usize| Timer { time: i as i64 / 100, key: &keys[i], tag: 0 };
            for in_order in [false, true] {
                let mut timers = OrderedTimers::default();
                let order = if in_order { (0..count).collect() } else { shuffled(count, &mut random) };
                order.iter().for_each(|i| assert!(timers.insert(&timer(*i), 0)));
                for (gone, i) in shuffled(count, &mut random).into_iter().enumerate() {
                    let bound = (count - gone) * charged + 8 * 1_024;
                    assert!(gone % 64 > 0 || held(&timers) <= bound, "{gone} of {count}: {}", held(&timers));
                    assert_eq!(timers.remove(&timer(i)), Some(0));
                }
                assert_eq!((timers.len(), held(&timers)), (0, 0));
            }
        }
    }
}
