//! Holds up to a few hundred timers packed side by side, in the order (time, key, tag), each with a mark.
//!
//! A timer takes 8 bytes for its time, one for its mark and how many bytes its tag has, one for the length of its key (5
//! from 255 on), the tag without leading zeros, the key, and 2 bytes that say where it begins.

use std::ops::Range;

/// One timer; the order of the fields is the order in which timers fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer<'a> {
    pub(super) time: i64,
    pub(super) key: &'a [u8],
    pub(super) tag: u64,
}

/// What is noted of a timer; below [`MARKS`].
pub(super) type Mark = u8;

/// How many marks there are.
pub(super) const MARKS: usize = 4;

/// A chunk that is not empty takes another timer up to so many bytes.
const LIMIT: usize = 4_096;

/// The memory of a chunk grows by so many bytes.
const GROWTH: usize = 512;

/// Where the mark stands, behind the time.
const MARK: usize = 8;

/// In place of the length of a key that follows in four bytes.
const LONG: u8 = u8::MAX;

/// Timers in order. Where one begins fits 16 bits: only the first in `data` may reach over [`LIMIT`].
#[derive(Debug, Default)]
pub(super) struct Chunk {
    data: Vec<u8>,
    /// Where each timer begins; those before `head` are gone.
    offsets: Vec<u16>,
    head: usize,
    /// Bytes of `data` that belong to no timer any more.
    garbage: usize,
    /// Behind the timer that was put in last: timers that come in order fill chunks to the brim.
    next: usize,
    counts: [u16; MARKS],
}

/// Where tag and key of a packed timer are.
fn parts(timer: &[u8]) -> (Range<usize>, Range<usize>) {
    let tag = usize::from(timer[MARK] >> 2);
    let (length, at) = match timer[MARK + 1] {
        LONG => (u32::from_le_bytes([timer[10], timer[11], timer[12], timer[13]]) as usize, MARK + 6),
        length => (usize::from(length), MARK + 2),
    };
    (at..at + tag, at + tag..at + tag + length)
}

fn tag_bytes(tag: u64) -> usize {
    8 - tag.leading_zeros() as usize / 8
}

/// Bytes that a timer takes in `data`.
fn packed(timer: &Timer<'_>) -> usize {
    let length = if timer.key.len() < usize::from(LONG) { 1 } else { 5 };
    MARK + 1 + length + tag_bytes(timer.tag) + timer.key.len()
}

/// The first bytes of a key: keys are in the order of their prefixes, as far as these differ.
pub(super) fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    match key.first_chunk() {
        Some(first) => bytes = *first,
        None => bytes[..key.len()].copy_from_slice(key),
    }
    u64::from_be_bytes(bytes)
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        self.offsets.len() - self.head
    }

    /// How many timers have a mark.
    pub(super) fn count(&self, mark: Mark) -> usize {
        usize::from(self.counts[usize::from(mark)])
    }

    /// Bytes that its timers take.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() - self.garbage + self.len() * size_of::<u16>()
    }

    /// Bytes that are set aside for it.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.data.capacity() + self.offsets.capacity() * size_of::<u16>()
    }

    /// Whether it should join a neighbour, and with one of so many bytes may.
    pub(super) fn is_sparse(&self) -> bool {
        self.bytes() < LIMIT / 4
    }

    /// Whether it can take in all of another, and room is left.
    pub(super) fn may_join(&self, other: &Chunk) -> bool {
        self.bytes() + other.bytes() < LIMIT / 2
    }

    fn at(&self, i: usize) -> &[u8] {
        &self.data[usize::from(self.offsets[self.head + i])..]
    }

    /// Timer number `i`.
    pub(super) fn get(&self, i: usize) -> Timer<'_> {
        let at = self.at(i);
        let (tag, key) = parts(at);
        let mut bytes = [0; 8];
        bytes[..tag.len()].copy_from_slice(&at[tag]);
        Timer { time: time(at), key: &at[key], tag: u64::from_le_bytes(bytes) }
    }

    pub(super) fn mark(&self, i: usize) -> Mark {
        self.at(i)[MARK] & 3
    }

    pub(super) fn set_mark(&mut self, i: usize, mark: Mark) {
        let at = usize::from(self.offsets[self.head + i]) + MARK;
        let before = self.data[at] & 3;
        self.data[at] = self.data[at] & !3 | mark;
        self.counts[usize::from(before)] -= 1;
        self.counts[usize::from(mark)] += 1;
    }

    /// Where a timer is, or where it would be.
    pub(super) fn search(&self, timer: &Timer<'_>) -> Result<usize, usize> {
        let (mut from, mut to, start) = (0, self.len(), prefix(timer.key));
        while from < to {
            let middle = (from + to) / 2;
            // Most are told apart by their times, or by the first bytes of their keys.
            let at = self.at(middle);
            let order = time(at).cmp(&timer.time).then_with(|| {
                let key = &at[parts(at).1];
                prefix(key).cmp(&start).then_with(|| self.get(middle).cmp(timer))
            });
            match order {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        Err(from)
    }

    /// Whether there is room for a timer; makes room of what is gone.
    pub(super) fn has_room(&mut self, timer: &Timer<'_>) -> bool {
        let bytes = packed(timer);
        if self.data.len() + bytes > LIMIT && self.garbage > LIMIT / 8 {
            self.compact();
        }
        self.len() == 0 || self.data.len() + bytes <= LIMIT
    }

    /// Puts a timer in as number `i`; there must be room.
    pub(super) fn insert(&mut self, i: usize, timer: &Timer<'_>, mark: Mark) {
        let bytes = packed(timer);
        if self.data.capacity() - self.data.len() < bytes {
            self.data.reserve_exact(bytes.max(GROWTH));
        }
        if self.offsets.len() == self.offsets.capacity() {
            self.offsets.reserve_exact(GROWTH / 16);
        }
        self.offsets.insert(self.head + i, self.data.len() as u16);
        let tag = tag_bytes(timer.tag);
        self.data.extend_from_slice(&timer.time.to_le_bytes());
        self.data.push((tag as u8) << 2 | mark);
        match u8::try_from(timer.key.len()) {
            Ok(length) if length != LONG => self.data.push(length),
            _ => {
                self.data.push(LONG);
                self.data.extend_from_slice(&(timer.key.len() as u32).to_le_bytes());
            }
        }
        self.data.extend_from_slice(&timer.tag.to_le_bytes()[..tag]);
        self.data.extend_from_slice(timer.key);
        self.counts[usize::from(mark)] += 1;
        self.next = i + 1;
    }

    /// Takes timer number `i` out; its mark.
    pub(super) fn remove(&mut self, i: usize) -> Mark {
        let mark = self.mark(i);
        self.counts[usize::from(mark)] -= 1;
        self.garbage += parts(self.at(i)).1.end;
        match i {
            0 => self.head += 1,
            _ => drop(self.offsets.remove(self.head + i)),
        }
        // Often enough that memory is given back, and seldom enough that it costs little.
        if self.garbage > self.data.len() / 4 {
            self.compact();
        }
        mark
    }

    /// Gives back the memory of what is gone.
    fn compact(&mut self) {
        *self = Chunk { next: self.next, ..self.copy(0..self.len()) };
    }

    /// A chunk without garbage of some of its timers.
    fn copy(&self, range: Range<usize>) -> Chunk {
        let bytes = |i: usize| parts(self.at(i)).1.end;
        let mut copy = Chunk {
            data: Vec::with_capacity(range.clone().map(bytes).sum()),
            offsets: Vec::with_capacity(range.len()),
            next: usize::MAX,
            ..Chunk::default()
        };
        for i in range {
            copy.offsets.push(copy.data.len() as u16);
            copy.data.extend_from_slice(&self.at(i)[..bytes(i)]);
            copy.counts[usize::from(self.mark(i))] += 1;
        }
        copy
    }

    /// Gives its timers up from the middle on, or from `i` on when they have come in order up to there. Of a chunk of one
    /// timer one of the two halves is empty.
    pub(super) fn split(&mut self, i: usize) -> Chunk {
        let at = if i == self.next || self.len() < 2 { i } else { self.len() / 2 };
        let rest = self.copy(at..self.len());
        *self = Chunk { next: at, ..self.copy(0..at) };
        rest
    }

    /// Takes in the timers of the chunk behind it.
    pub(super) fn join(&mut self, other: &Chunk) {
        self.compact();
        for i in 0..other.len() {
            self.insert(self.len(), &other.get(i), other.mark(i));
        }
    }
}

fn time(timer: &[u8]) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&timer[..8]);
    i64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_timer_comes_back_as_it_was_put_in() {
        let long = vec![7; 70_000];
        let mut timers = Vec::new();
        for key in [&b""[..], b"a", &long[..254], &long[..255], &long[..256], &long] {
            for tag in [0, 1, 255, 256, u64::MAX] {
                timers.extend([i64::MIN, -1, 0, i64::MAX].map(|time| Timer { time, key, tag }));
            }
        }
        timers.sort();
        for timer in &timers {
            let mut chunk = Chunk::default();
            let other = Timer { time: 5, key: b"other", tag: 3 };
            assert!(chunk.has_room(&other));
            chunk.insert(0, &other, 1);
            if chunk.has_room(timer) {
                let i = chunk.search(timer).unwrap_err();
                chunk.insert(i, timer, 3);
            } else {
                chunk = Chunk::default();
                chunk.insert(0, timer, 3);
            }
            let i = chunk.search(timer).unwrap();
            assert_eq!((chunk.get(i), chunk.mark(i), chunk.count(3)), (*timer, 3, 1));
            chunk.set_mark(i, 0);
            assert_eq!((chunk.get(i), chunk.mark(i), chunk.count(3), chunk.count(0)), (*timer, 0, 0, 1));
            assert_eq!(chunk.remove(i), 0);
        }
    }

    #[test]
    fn a_chunk_is_full_at_its_limit_and_makes_room_of_what_is_gone() {
        let mut chunk = Chunk::default();
        let keys: Vec<[u8; 4]> = (0..1_000u32).map(u32::to_be_bytes).collect();
        let timer = |i: usize| Timer { time: 1, key: &keys[i], tag: 0 };
        let mut count = 0;
        while chunk.has_room(&timer(count)) {
            chunk.insert(count, &timer(count), 0);
            count += 1;
        }
        assert_eq!(count, LIMIT / 14, "8 + 1 + 1 + 4 bytes each");
        for _ in 0..count / 2 {
            chunk.remove(0);
        }
        assert_eq!(chunk.get(0), timer(count / 2));
        assert!(chunk.has_room(&timer(count)), "what is gone makes room");
        assert_eq!(chunk.bytes(), (count - count / 2) * 16);
        // Rows that come in order leave full chunks behind; others halves.
        let mut ordered = Chunk::default();
        (0..100).for_each(|i| ordered.insert(i, &timer(i), 0));
        assert_eq!((ordered.split(100).len(), ordered.len()), (0, 100));
        assert_eq!((ordered.split(3).len(), ordered.len()), (50, 50));
    }
}
