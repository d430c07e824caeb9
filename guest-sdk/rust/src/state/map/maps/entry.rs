//! Holds what is known of one map.

use smallvec::SmallVec;

use super::{Cell, Generation, entries::MapEntries};

/// An encoded map key. Short ones, numbers and times above all, stand in place.
pub(super) type MapKeyBytes = SmallVec<[u8; 16]>;

/// An entry of a map.
pub(super) struct Held<T> {
    pub(super) cell: Cell<T>,
    /// When it expires, if it does; of one that the host gave, `i64::MAX`, since the host does not tell.
    pub(super) expires: i64,
    /// Heap memory of the value.
    pub(super) weight: u32,
    /// Whether the host did not have it before it changed.
    pub(super) is_own: bool,
}

/// What is known of a map.
pub(super) struct Map<T> {
    /// Entries by encoded map key; those that are known to be absent too.
    pub(super) entries: MapEntries<T>,
    /// Whether what is not in `entries` does not exist.
    pub(super) whole: bool,
    /// Whether its beginning was read from the host.
    pub(super) is_begun: bool,
    /// Whether any entry was read from the host, and when: later it may have expired.
    pub(super) is_read: bool,
    pub(super) read_at: i64,
    /// The generation in which all entries were removed, if the host was not told.
    pub(super) cleared: Option<Generation>,
    /// The generation in which it changed last, if the host was not told all, and the one before that.
    pub(super) listed: Option<Generation>,
    pub(super) listed_before: Option<Generation>,
}

impl<T> Default for Map<T> {
    fn default() -> Map<T> {
        Map {
            entries: MapEntries::default(),
            whole: false,
            is_begun: false,
            is_read: false,
            read_at: i64::MIN,
            cleared: None,
            listed: None,
            listed_before: None,
        }
    }
}

impl<T> Map<T> {
    /// Memory that an entry takes beside what its value has on the heap, roughly, in bytes.
    pub(super) fn cost(map_key: &[u8]) -> usize {
        // Nodes of a tree are two thirds full on average, and so are vectors.
        let beside = if map_key.len() > 16 { map_key.len() } else { 0 };
        beside + (size_of::<MapKeyBytes>() + size_of::<Held<T>>()) * 3 / 2
    }
}
