//! Holds the bytes of the keys in the cache, by slot.

/// Where the bytes of a key are.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

/// That of a slot that was given up.
const FREE: Span = Span { start: u32::MAX, length: 0 };

/// The keys in the order of their slots. Slots that were given up are used again.
#[derive(Debug, Default)]
pub(super) struct Keys {
    spans: Vec<Span>,
    bytes: Vec<u8>,
    /// Bytes that belong to no key.
    garbage: usize,
    free: Vec<u32>,
    /// Slots given since it was last emptied.
    added: Vec<u32>,
}

/// Below so many bytes that belong to no key the others are not moved together.
const LEAST_GARBAGE: usize = 64 * 1024;

impl Keys {
    /// Number of slots there ever were at one time.
    pub(super) fn slots(&self) -> usize {
        self.spans.len()
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.spans.len() - self.free.len()
    }

    /// Bytes of all keys.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len() - self.garbage
    }

    /// Whether there is a key at `slot`.
    pub(super) fn is_held(&self, slot: u32) -> bool {
        self.spans.get(slot as usize).is_some_and(|span| span.start != FREE.start)
    }

    /// The key at `slot`; empty for a slot that was given up.
    #[inline(always)]
    pub(super) fn key(&self, slot: u32) -> &[u8] {
        let Span { start, length } = self.spans[slot as usize];
        self.bytes.get(start as usize..start as usize + length as usize).unwrap_or_default()
    }

    /// Whether `key` is at `slot`. Not inlined: the loop that calls it for long keys must fit the processor's registers.
    #[inline(never)]
    pub(super) fn holds(&self, slot: u32, key: &[u8]) -> bool {
        self.key(slot) == key
    }

    /// Slots given since the last call of `begin`.
    pub(super) fn added(&self) -> &[u32] {
        &self.added
    }

    /// Begins a batch.
    pub(super) fn begin(&mut self) {
        self.added.clear();
    }

    /// Gives `key` a slot.
    pub(super) fn add(&mut self, key: &[u8]) -> u32 {
        let span = Span { start: self.bytes.len() as u32, length: key.len() as u32 };
        self.bytes.extend_from_slice(key);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.spans[slot as usize] = span;
                slot
            }
            None => {
                self.spans.push(span);
                self.spans.len() as u32 - 1
            }
        };
        self.added.push(slot);
        slot
    }

    /// Gives a slot up.
    pub(super) fn remove(&mut self, slot: u32) {
        let span = &mut self.spans[slot as usize];
        self.garbage += span.length as usize;
        *span = FREE;
        self.free.push(slot);
    }

    /// Moves keys together where more bytes belong to none than to one.
    pub(super) fn tidy(&mut self) {
        if self.garbage < LEAST_GARBAGE.max(self.bytes.len() / 2) {
            return;
        }
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.garbage);
        for span in self.spans.iter_mut().filter(|span| span.start != FREE.start) {
            let key = &self.bytes[span.start as usize..span.start as usize + span.length as usize];
            span.start = bytes.len() as u32;
            bytes.extend_from_slice(key);
        }
        (self.bytes, self.garbage) = (bytes, 0);
    }
}
