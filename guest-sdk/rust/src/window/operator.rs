//! Runs an operator that gathers the records of a key in windows.

use super::{
    Window, Windows,
    apart::Apart,
    panes::{Grid, Panes, Taken},
};
use crate::{
    call::KeyedCall,
    codec::{Codec, StateValue},
    error::{Error, Result},
    metrics::Counter,
    operator::KeyedOperator,
    output::{OutputKind, SideOutput},
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, StateColumn, States},
};

/// What a window has gathered.
pub(crate) type GatheredOf<O> = <<O as WindowOperator>::Accumulator as Codec>::Owned;

/// An operator that gathers the records of a key in windows, each in an accumulator, and emits what came of them. Which windows
/// there are, and when they fire, is said by [`Windows`], where each kind has an example. Its input is keyed.
///
/// There is a side output `late` with the input's key and value for records that are late for all of their windows; whether or
/// not it is used, the metric `late_records` counts them.
///
/// ```
/// use std::time::Duration;
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// The mean of each sensor's readings in ten seconds, once more with each reading up to a minute late.
/// struct Means;
///
/// #[operator]
/// impl WindowOperator for Means {
///     type Key = u64;
///     type Value = f64;
///     type Accumulator = Postcard<(f64, u64)>;
///     type Output = Output<u64, f64>;
///
///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
///         let windows = Windows::tumbling(Duration::from_secs(10)).allowed_lateness(Duration::from_mins(1));
///         Ok((Means, windows))
///     }
///
///     fn add(&mut self, reading: &Record<'_, u64, f64>, (sum, count): &mut (f64, u64)) -> Result<()> {
///         *sum += reading.value;
///         *count += 1;
///         Ok(())
///     }
///
///     fn merge(&mut self, (sum, count): &mut (f64, u64), other: &(f64, u64)) -> Result<()> {
///         *sum += other.0;
///         *count += other.1;
///         Ok(())
///     }
///
///     fn emit(&mut self, sensor: u64, _: Window, (sum, count): &(f64, u64), out: &mut Self::Output) -> Result<()> {
///         out.emit(sensor, sum / *count as f64);
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Means>::open("{}").unwrap();
/// for (reading, time) in [(20.0, 1_000), (22.0, 2_000)] {
///     harness.push(7, reading, time).unwrap();
/// }
/// harness.watermark(12_000).unwrap();
/// harness.push(7, 30.0, 3_000).unwrap();
/// assert_eq!(harness.output(), [(7, 21.0, Some(9_999)), (7, 24.0, Some(9_999))]);
/// ```
pub trait WindowOperator: Sized + 'static {
    /// The codec of keys.
    type Key: Codec;
    /// The codec of values; `()` does not read them.
    type Value: Codec;
    /// The codec of what a window, or a part of one, has gathered. Begins as the default.
    type Accumulator: StateValue<Owned: Default>;
    /// How it emits: [`Output`](crate::Output).
    type Output: OutputKind;

    /// Reads the configuration and makes the operator; says which windows there are. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<(Self, Windows)>;

    /// Adds a record to what was gathered.
    ///
    /// # Errors
    /// What is at fault: by default, and for any error that `?` converts, the record.
    fn add(&mut self, record: &Record<'_, Self::Key, Self::Value>, into: &mut GatheredOf<Self>) -> Result<()>;

    /// Adds what another part of the window has gathered: the panes of a sliding window, in order of time, sessions that become
    /// one, and what comes from the first of two stages. The result must be that of having added all records to one.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn merge(&mut self, into: &mut GatheredOf<Self>, from: &GatheredOf<Self>) -> Result<()>;

    /// Emits what a window has gathered. Rows that are emitted without a time have that of the window's last millisecond.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn emit(
        &mut self,
        key: <Self::Key as Codec>::View<'_>,
        window: Window,
        gathered: &GatheredOf<Self>,
        out: &mut Self::Output,
    ) -> Result<()>;
}

/// Runs a [`WindowOperator`].
pub struct Windowed<O: WindowOperator> {
    operator: O,
    open: Open<O::Accumulator>,
    late: SideOutput<O::Key, O::Value>,
    late_records: Counter,
}

/// The windows that are open.
pub(crate) enum Open<A: StateValue> {
    /// On panes.
    Panes(Panes<A>),
    /// Each with what it has gathered.
    Apart(Apart<A>),
}

impl<A: StateValue<Owned: Default>> Open<A> {
    pub(crate) fn new(setup: &mut Setup, windows: Windows) -> Result<Open<A>> {
        windows.check()?;
        match (Grid::of(&windows)?, &windows.trigger) {
            (Some(grid), None) => Ok(Open::Panes(Panes::new(setup, grid))),
            _ => Ok(Open::Apart(Apart::new(setup, windows)?)),
        }
    }

    #[inline(always)]
    pub(crate) fn select(&mut self, slot: Slot) {
        match self {
            Open::Panes(panes) => panes.select(slot),
            Open::Apart(apart) => apart.select(slot),
        }
    }

    pub(crate) fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        match self {
            Open::Panes(panes) => visit(panes.column()),
            Open::Apart(apart) => visit(apart.column()),
        }
    }
}

impl<O: WindowOperator> States for Windowed<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.open.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        self.open.visit(visit);
    }
}

impl<O: WindowOperator> KeyedOperator for Windowed<O> {
    type Key = O::Key;
    type Value = O::Value;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        no_map_values::<O::Output>()?;
        let (operator, windows) = O::open(setup)?;
        let open = Open::new(setup, windows)?;
        Ok(Windowed { operator, open, late: setup.side_output("late"), late_records: setup.counter("late_records") })
    }

    #[inline(always)]
    fn process(
        &mut self,
        record: Record<'_, O::Key, O::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<()> {
        let Windowed { operator, open, .. } = self;
        let taken = match open {
            Open::Panes(panes) => {
                let pane = panes.grid.pane(record.timestamp, call)?;
                let taken = panes.take(pane, record.timestamp, call, |gathered| operator.add(&record, gathered))?;
                if taken == Taken::Again {
                    panes.fire_again(pane, |window, panes| emit_panes(operator, record.key, window, panes, out))?;
                }
                taken
            }
            Open::Apart(apart) => apart.take(operator, &record, call, out)?,
        };
        if taken == Taken::Late {
            self.late(&record, call);
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, O::Key>, call: &mut KeyedCall<'_>, out: &mut O::Output) -> Result<()> {
        let Windowed { operator, open, .. } = self;
        match open {
            Open::Panes(panes) => panes.on_timer(timer.time, timer.tag, call, |window, panes| {
                emit_panes(operator, timer.key, window, panes, out)
            }),
            Open::Apart(apart) => apart.on_timer(operator, &timer, call, out),
        }
    }
}

impl<O: WindowOperator> Windowed<O> {
    #[cold]
    fn late(&mut self, record: &Record<'_, O::Key, O::Value>, call: &mut KeyedCall<'_>) {
        self.late.emit_at(record.timestamp, record.key, record.value);
        call.add(self.late_records, 1.0);
    }
}

/// What fires a window has rows of its own, with times of their own.
pub(crate) fn no_map_values<Out: OutputKind>() -> Result {
    match Out::PASSES {
        true => Err(Error::job("a window operator emits rows of its own: its `Output` cannot be `MapValues`")),
        false => Ok(()),
    }
}

/// Emits a window that consists of panes.
#[inline(never)]
pub(crate) fn emit_panes<O: WindowOperator>(
    operator: &mut O,
    key: <O::Key as Codec>::View<'_>,
    window: Window,
    panes: &mut dyn Iterator<Item = &GatheredOf<O>>,
    out: &mut O::Output,
) -> Result {
    let Some(first) = panes.next() else { return Ok(()) };
    out.begin_row(window.last());
    let Some(second) = panes.next() else { return operator.emit(key, window, first, out) };
    let mut gathered = GatheredOf::<O>::default();
    for pane in [first, second].into_iter().chain(panes) {
        operator.merge(&mut gathered, pane)?;
    }
    operator.emit(key, window, &gathered, out)
}
