//! Holds one value a key, into which others are taken.

use super::{Slot, State, StateColumn, ValueState};
use crate::codec::StateValue;

/// State with one value a key, into which a function takes those that are added: sums, largest values, sets. Declared by
/// [`Setup::reducing_state`](crate::Setup::reducing_state). In a checkpoint it is value state.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// Emits with each reading the highest so far of its sensor.
/// #[derive(States)]
/// struct Highest {
///     highest: ReducingState<f64>,
/// }
///
/// #[operator]
/// impl KeyedOperator for Highest {
///     type Key = u64;
///     type Value = f64;
///     type Output = MapValues<f64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         Ok(Highest { highest: setup.reducing_state("highest", |highest: &mut f64, reading| *highest = highest.max(reading)) })
///     }
///
///     fn process(&mut self, record: Record<'_, u64, f64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
///         self.highest.add(record.value);
///         out.set(self.highest.get().unwrap_or(record.value));
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Highest>::open("{}").unwrap();
/// for (sensor, reading) in [(1, 20.5), (1, 19.0), (2, -3.0), (1, 21.0)] {
///     harness.push(sensor, reading, 0).unwrap();
/// }
/// let highest: Vec<f64> = harness.output().into_iter().map(|(_, reading, _)| reading).collect();
/// assert_eq!(highest, [20.5, 20.5, -3.0, 21.0]);
/// ```
pub struct ReducingState<V: StateValue> {
    value: ValueState<V>,
    reduce: fn(&mut V::Owned, V::Owned),
}

impl<V: StateValue> ReducingState<V> {
    pub(crate) fn new(value: ValueState<V>, reduce: fn(&mut V::Owned, V::Owned)) -> ReducingState<V> {
        ReducingState { value, reduce }
    }

    /// Takes `value` into that of the current key; the first is the value as it is.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn add(&mut self, value: V::Owned) {
        if self.value.get().is_none() {
            self.value.set(value);
            return;
        }
        let reduce = self.reduce;
        self.value.update_present(|held| reduce(held, value));
    }

    /// What the values of the current key came to; `None` where none was added.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn get(&self) -> Option<V::View<'_>> {
        self.value.get()
    }

    /// Forgets the values of the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn clear(&mut self) {
        self.value.clear();
    }
}

impl<V: StateValue> State for ReducingState<V> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.value.select(slot);
    }

    fn column(&mut self) -> &mut dyn StateColumn {
        self.value.column()
    }
}
