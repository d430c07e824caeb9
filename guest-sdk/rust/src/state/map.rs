//! Holds an ordered map a key.

mod maps;
mod page;

use maps::Maps;
pub(crate) use page::rows;
pub use page::{Cursor, MapPage};

use super::{Access, Lifetime, MapKey, Slot, State, StateColumn, column::Column};
use crate::{codec::StateValue, error::Result};

/// State with a map a key, ordered by map key, declared by [`Setup::map_state`](crate::Setup::map_state). It is always that of
/// the key of the record or timer that is being processed.
///
/// Entries come into the cache when they are asked for: the first of a key with up to 4 KiB of its map, which is all of most
/// maps; beyond that, each is a read from the host. Writing reads nothing.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Emits with each sale how many of the product the shop has sold, and in the end the products of each shop in order.
/// #[derive(States)]
/// struct Sales {
///     sold: MapState<Text, u64>,
/// }
///
/// #[operator]
/// impl KeyedOperator for Sales {
///     type Key = u64;
///     type Value = Text;
///     type Output = Output<u64, Text>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         setup.event_timers();
///         Ok(Sales { sold: setup.map_state("sold") })
///     }
///
///     fn process(&mut self, sale: Record<'_, u64, Text>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
///         let sold = self.sold.get(call, sale.value)?.unwrap_or(0) + 1;
///         self.sold.put(sale.value, sold);
///         out.emit(sale.key, &format!("{} {sold}", sale.value));
///         call.register_event_timer(END_OF_TIME, 0);
///         Ok(())
///     }
///
///     fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
///         let mut next = Some(Cursor::first());
///         while let Some(cursor) = next {
///             let page = self.sold.scan(call, &cursor, 64 * 1024)?;
///             for entry in page.iter() {
///                 let (product, sold) = entry?;
///                 out.emit(timer.key(), &format!("{product}: {sold}"));
///             }
///             next = page.next();
///         }
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Sales>::open("{}").unwrap();
/// for product in ["tea", "jam", "tea"] {
///     harness.push(1, product, 0).unwrap();
/// }
/// harness.finish().unwrap();
/// let lines: Vec<String> = harness.output().into_iter().map(|(_, line, _)| line).collect();
/// assert_eq!(lines, ["tea 1", "jam 1", "tea 2", "jam: 1", "tea: 2"]);
/// ```
pub struct MapState<K: MapKey, V: StateValue> {
    column: Column<Maps<V>>,
    /// A map key, encoded.
    map_key: Vec<u8>,
    codec: std::marker::PhantomData<fn() -> K>,
}

impl<K: MapKey, V: StateValue> MapState<K, V> {
    pub(crate) fn new(index: u32, name: &str, epoch: u64, lifetime: Option<Lifetime>) -> MapState<K, V> {
        let column = Column::new(index, name, epoch, lifetime.is_some(), Maps::new(lifetime));
        MapState { column, map_key: Vec::new(), codec: std::marker::PhantomData }
    }

    /// The value of `map_key` in the current key's map.
    ///
    /// # Errors
    /// The job's, when stored bytes do not fit the codec.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn get(&mut self, access: &mut impl Access, map_key: K::View<'_>) -> Result<Option<V::View<'_>>> {
        let slot = self.encode(map_key);
        let (backend, keys) = access.access();
        let MapState { column: Column { at, entries, changes, .. }, map_key, .. } = self;
        entries.read(at, changes, backend, keys, slot, map_key)?;
        Ok(entries.get(slot, map_key))
    }

    /// Sets the value of `map_key` in the current key's map.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn put(&mut self, map_key: K::View<'_>, value: V::Owned) {
        self.replace(map_key, Some(value));
    }

    /// Removes `map_key` from the current key's map.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn remove(&mut self, map_key: K::View<'_>) {
        self.replace(map_key, None);
    }

    fn replace(&mut self, map_key: K::View<'_>, value: Option<V::Owned>) {
        let slot = self.encode(map_key);
        let MapState { column: Column { entries, changes, .. }, map_key, .. } = self;
        entries.replace(changes, slot, map_key, value);
    }

    /// Removes all entries of the current key's map.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn clear(&mut self) {
        let slot = self.column.current();
        let Column { entries, changes, .. } = &mut self.column;
        entries.clear(changes, slot);
    }

    /// Entries of the current key's map in the order of map keys, from `cursor` on, about `max_bytes` bytes of them: at least
    /// one if there is one.
    ///
    /// # Errors
    /// The job's, when a value has no encoding.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn scan(&mut self, access: &mut impl Access, cursor: &Cursor, max_bytes: u32) -> Result<MapPage<K, V>> {
        let slot = self.column.current();
        let (backend, keys) = access.access();
        let Column { at, entries, changes, .. } = &mut self.column;
        let page = entries.scan(at, changes, backend, keys, slot, &cursor.0, max_bytes.max(1))?;
        Ok(MapPage::new(&at.name, page))
    }

    /// Encodes a map key; the slot of the current key.
    fn encode(&mut self, map_key: K::View<'_>) -> u32 {
        self.map_key.clear();
        K::encode(map_key, &mut self.map_key);
        self.column.current()
    }
}

impl<K: MapKey, V: StateValue> State for MapState<K, V> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.column.slot = slot;
    }

    fn column(&mut self) -> &mut dyn StateColumn {
        &mut self.column
    }
}
