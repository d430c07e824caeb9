//! Holds what an aggregate has gathered, a key.

use super::{Slot, State, StateColumn, ValueState};
use crate::codec::{Codec, StateValue};

/// Gathers inputs in an accumulator, from which it tells a result.
pub trait Aggregate: 'static {
    /// What is gathered.
    type Input;
    /// The codec of what is kept of it.
    type Accumulator: StateValue;
    /// What comes of it.
    type Output;

    /// An accumulator of nothing.
    fn create(&self) -> <Self::Accumulator as Codec>::Owned;

    /// Takes `input` into `accumulator`.
    fn add(&self, accumulator: &mut <Self::Accumulator as Codec>::Owned, input: Self::Input);

    /// What an accumulator comes to.
    fn result(&self, accumulator: <Self::Accumulator as Codec>::View<'_>) -> Self::Output;
}

/// State with an accumulator a key, declared by [`Setup::aggregating_state`](crate::Setup::aggregating_state). In a checkpoint
/// it is value state with the accumulator's codec.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// struct Mean;
///
/// impl Aggregate for Mean {
///     type Input = f64;
///     type Accumulator = Postcard<(f64, u64)>;
///     type Output = f64;
///
///     fn create(&self) -> (f64, u64) {
///         (0.0, 0)
///     }
///
///     fn add(&self, (sum, count): &mut (f64, u64), input: f64) {
///         *sum += input;
///         *count += 1;
///     }
///
///     fn result(&self, &(sum, count): &(f64, u64)) -> f64 {
///         sum / count as f64
///     }
/// }
///
/// /// Emits with each reading the mean so far of its sensor.
/// #[derive(States)]
/// struct Means {
///     means: AggregatingState<Mean>,
/// }
///
/// #[operator]
/// impl KeyedOperator for Means {
///     type Key = u64;
///     type Value = f64;
///     type Output = MapValues<f64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         Ok(Means { means: setup.aggregating_state("means", Mean) })
///     }
///
///     fn process(&mut self, record: Record<'_, u64, f64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
///         self.means.add(record.value);
///         out.set(self.means.get().unwrap_or(f64::NAN));
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Means>::open("{}").unwrap();
/// for (sensor, reading) in [(1, 2.0), (1, 4.0), (2, 7.0), (1, 9.0)] {
///     harness.push(sensor, reading, 0).unwrap();
/// }
/// let means: Vec<f64> = harness.output().into_iter().map(|(_, mean, _)| mean).collect();
/// assert_eq!(means, [2.0, 3.0, 7.0, 5.0]);
/// ```
pub struct AggregatingState<A: Aggregate> {
    value: ValueState<A::Accumulator>,
    aggregate: A,
}

impl<A: Aggregate> AggregatingState<A> {
    pub(crate) fn new(value: ValueState<A::Accumulator>, aggregate: A) -> AggregatingState<A> {
        AggregatingState { value, aggregate }
    }

    /// Takes `input` into the accumulator of the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn add(&mut self, input: A::Input) {
        let AggregatingState { value, aggregate } = self;
        value.update_from(|| aggregate.create(), |accumulator| aggregate.add(accumulator, input));
    }

    /// What the accumulator of the current key comes to; `None` where nothing was added.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    #[inline]
    pub fn get(&self) -> Option<A::Output> {
        self.value.get().map(|accumulator| self.aggregate.result(accumulator))
    }

    /// Forgets what was added for the current key.
    ///
    /// # Panics
    /// Where there is no current key: in `open` and `finish`.
    pub fn clear(&mut self) {
        self.value.clear();
    }
}

impl<A: Aggregate> State for AggregatingState<A> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.value.select(slot);
    }

    fn column(&mut self) -> &mut dyn StateColumn {
        self.value.column()
    }
}
