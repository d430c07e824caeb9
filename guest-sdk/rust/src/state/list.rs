//! Holds a list a key: appended to without being read.

mod elements;
mod lists;

pub use elements::Elements;
pub(crate) use elements::split_first;
use lists::Lists;

use super::{Access, Lifetime, Slot, State, StateColumn, column::Column};
use crate::{
    codec::{CodecError, StateValue},
    error::Result,
};

/// State with a list a key, declared by [`Setup::list_state`](crate::Setup::list_state). It is always that of the key of the
/// record or timer that is being processed.
///
/// Appending costs nothing but the element: what the list holds already stays where it is. A list that is read comes
/// into the cache as a whole. The first that is read in a call of an operator costs a read from the host; from the next call of
/// the same sort on (records, or timers) the lists of all its keys are fetched in one read, as values are.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Gathers words by key, and emits them as one line every minute of event time.
/// #[derive(States)]
/// struct Lines {
///     words: ListState<Text>,
/// }
///
/// #[operator]
/// impl KeyedOperator for Lines {
///     type Key = u64;
///     type Value = Text;
///     type Output = Output<u64, Text>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         setup.event_timers();
///         Ok(Lines { words: setup.list_state("words") })
///     }
///
///     fn process(&mut self, record: Record<'_, u64, Text>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
///         let time = record.timestamp().ok_or_else(|| Error::record("it has no time"))?;
///         call.register_event_timer(time - time.rem_euclid(60_000) + 60_000, 0);
///         self.words.append(record.value)?;
///         Ok(())
///     }
///
///     fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
///         let words: Vec<&str> = self.words.get(call)?.collect::<Result<_>>()?;
///         out.emit(timer.key(), &words.join(" "));
///         self.words.clear();
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Lines>::open("{}").unwrap();
/// for (key, word) in [(1, "to"), (2, "what"), (1, "be")] {
///     harness.push(key, word, 0).unwrap();
/// }
/// harness.watermark(60_000).unwrap();
/// let lines: Vec<_> = harness.output().into_iter().map(|(key, line, _)| (key, line)).collect();
/// assert_eq!(lines, [(1, "to be".to_string()), (2, "what".to_string())]);
/// ```
pub struct ListState<V: StateValue> {
    column: Column<Lists>,
    /// The key whose list was read last, for errors.
    key: Vec<u8>,
    codec: std::marker::PhantomData<fn() -> V>,
}

impl<V: StateValue> ListState<V> {
    pub(crate) fn new(index: u32, name: &str, epoch: u64, lifetime: Option<Lifetime>) -> ListState<V> {
        let column = Column::new(index, name, epoch, lifetime.is_some(), Lists::new(lifetime));
        ListState { column, key: Vec::new(), codec: std::marker::PhantomData }
    }

    /// Adds an element at the end of the current key's list.
    ///
    /// # Errors
    /// When the element has no encoding; the list is as before.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn append(&mut self, element: V::View<'_>) -> Result<(), CodecError> {
        let slot = self.change();
        self.column.entries.append(slot, |bytes| V::encode(element, bytes))
    }

    /// The elements of the current key's list, in the order in which they were appended.
    ///
    /// # Errors
    /// The job's, when what is stored is no list; an element's, when its bytes do not fit their codec.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn get(&mut self, access: &mut impl Access) -> Result<Elements<'_, V>> {
        let slot = self.column.current();
        let (backend, keys) = access.access();
        if self.column.entries.is_stale(slot) {
            self.column.keep(slot);
        }
        let Column { at, entries, changes, .. } = &mut self.column;
        entries.read(at, changes, backend, keys, slot);
        self.key.clear();
        self.key.extend_from_slice(keys.key(slot));
        Elements::new(at, &self.key, entries.bytes(slot))
    }

    /// Replaces the current key's list.
    ///
    /// # Errors
    /// When an element has no encoding; the list then ends before it.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn set<'a>(&mut self, elements: impl IntoIterator<Item = V::View<'a>>) -> Result<(), CodecError> {
        self.clear();
        elements.into_iter().try_for_each(|element| self.append(element))
    }

    /// Removes all elements of the current key's list.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn clear(&mut self) {
        let slot = self.change();
        self.column.entries.clear(slot);
    }

    /// The slot of the current key, whose list changes now.
    fn change(&mut self) -> u32 {
        let slot = self.column.current();
        let generation = self.column.changes.generation;
        if !self.column.entries.is_listed(slot, generation) {
            self.column.keep(slot);
            self.column.entries.list(slot, generation);
            self.column.changes.note(slot);
        }
        slot
    }
}

impl<V: StateValue> State for ListState<V> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.column.slot = slot;
    }

    fn column(&mut self) -> &mut dyn StateColumn {
        &mut self.column
    }
}
