//! Holds a few hundred timers packed side by side, in the order (time, key, tag), each with a mark.
//!
//! A timer takes its time (8 bytes), a byte of its mark and of how many bytes its tag takes, the length of its key (1 byte,
//! or 5 from 255 on), the tag's bytes that are not leading zeros, the key, and the 2 bytes that say where it begins.

/// One timer; the order of the fields is that in which timers fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer<'a> {
    pub(super) time: i64,
    pub(super) key: &'a [u8],
    pub(super) tag: u64,
}

/// What is noted of a timer, below [`MARKS`].
pub(super) type Mark = u8;

/// How many marks there are.
pub(super) const MARKS: usize = 4;

/// A chunk takes another timer up to so many bytes, unless it is empty.
const LIMIT: usize = 4_096;

/// A chunk with fewer bytes than this should join its neighbour.
const SPARSE: usize = LIMIT / 4;

/// The memory of a chunk grows by this.
const GROWTH: usize = 512;

/// Bytes before the length of the key.
const HEAD: usize = 9;

/// The length of a key that does not fit a byte follows in four.
const LONG: u8 = u8::MAX;

/// Timers in order. Offsets fit 16 bits: only the first timer may reach over [`LIMIT`].
#[derive(Debug, Default)]
pub(super) struct Chunk {
    data: Vec<u8>,
    /// Where each timer begins; those before `head` are gone.
    offsets: Vec<u16>,
    head: usize,
    /// Bytes of `data` that belong to no timer.
    garbage: usize,
    /// Where the last timer was put, one-based: rows that come sorted fill chunks to the brim.
    last: usize,
    counts: [u16; MARKS],
}

impl Chunk {
    pub(super) fn len(&self) -> usize {
        self.offsets.len() - self.head
    }

    /// How many timers have a mark.
    pub(super) fn count(&self, mark: Mark) -> usize {
        usize::from(self.counts[usize::from(mark)])
    }

    /// Timer number `i`.
    pub(super) fn get(&self, i: usize) -> Timer<'_> {
        let entry = self.entry(i);
        let (tag_bytes, key, _) = lengths(entry);
        let (tag_bytes, key) = entry[entry_head(entry)..].split_at_checked(tag_bytes).map_or((&[][..], &[][..]), |(tag, rest)| (tag, &rest[..key]));
        let mut tag = [0; 8];
        tag[..tag_bytes.len()].copy_from_slice(tag_bytes);
        Timer { time: time_of(entry), key, tag: u64::from_le_bytes(tag) }
    }
}
