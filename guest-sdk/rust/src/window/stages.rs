//! Runs a window operator in two stages: what is gathered before the exchange, and what adds that up behind it.

use std::marker::PhantomData;

use super::{
    Window, WindowOperator, Windows,
    open::{number, value, write_number, write_value},
    operator::{GatheredOf, emit_panes, no_map_values},
    panes::{Grid, Panes, Taken},
};
use crate::{
    backend::TimeDomain,
    batch::{Batch, NO_TIME},
    call::{Call, KeyedCall},
    codec::{ByRow, Codec, CodecError, Format, StateValue},
    column::Column,
    error::{Error, Result},
    metrics::Counter,
    operator::{BatchOperator, Keyed, KeyedOperator, Operator, TypedOperator},
    output::{Output, OutputKind, SideOutput},
    record::{Record, Timer},
    setup::Setup,
    state::{Directory, Slot, StateColumn, States},
};

/// The codec of what a part of the records of a key has gathered in a pane, between the two stages of a window operator.
#[derive(Debug)]
pub struct Partial<A>(PhantomData<fn() -> A>);

/// What a part of the records of a key has gathered in a pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered<T> {
    /// Which pane; pane 0 begins at the epoch, or at the offset of the windows after it.
    pub pane: i64,
    /// How many records.
    pub rows: u64,
    /// What they come to.
    pub gathered: T,
}

impl<A: StateValue> Codec for Partial<A> {
    type View<'a> = &'a Gathered<A::Owned>;
    type Decoded<'a> = Gathered<A::Owned>;
    type Owned = Gathered<A::Owned>;
    type Rows<'a> = ByRow<'a, Partial<A>>;

    fn format() -> Format {
        let Format { name, schema } = A::format();
        let of = if schema.is_empty() { name } else { format!("{name} {schema}") };
        Format { name: "pane".to_string(), schema: of }
    }

    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
        ByRow::new(column, rows)
    }

    fn decode(bytes: Option<&[u8]>) -> Result<Gathered<A::Owned>, CodecError> {
        let mut rest = bytes.ok_or_else(CodecError::null)?;
        let gathered =
            Gathered { pane: number(&mut rest)?, rows: number(&mut rest)?, gathered: value::<A>(&mut rest)? };
        if rest.is_empty() { Ok(gathered) } else { Err(CodecError::new("bytes are left over after a pane")) }
    }

    fn view<'a>(decoded: &'a Self::Decoded<'_>) -> &'a Gathered<A::Owned> {
        decoded
    }

    fn own(decoded: Gathered<A::Owned>) -> Gathered<A::Owned> {
        decoded
    }

    fn borrow(owned: &Gathered<A::Owned>) -> &Gathered<A::Owned> {
        owned
    }

    fn encode(view: &Gathered<A::Owned>, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        let start = out.len();
        let written = write_number(out, view.pane)
            .and_then(|()| write_number(out, view.rows))
            .and_then(|()| write_value::<A>(A::borrow(&view.gathered), out));
        written.map(|()| true).inspect_err(|_| out.truncate(start))
    }
}

/// The first of two stages of the window operator `O`, before the exchange: adds up the records of each batch by key and pane, so that
/// a key with many records, or few keys, cost the exchange little. It has no state, and its input need not be keyed, but has the
/// keys by which the second stage, [`Combine`], is keyed. Of tumbling and sliding windows of event time.
///
/// The results are those of one stage; where records come late within the allowed lateness, a window fires once for
/// each pane that was added up rather than for each record.
///
/// ```
/// use std::time::Duration;
/// use wasmill_sdk::{prelude::*, testing::Harness, window::{Combine, PreAggregate}};
///
/// struct Count;
///
/// #[operator(shared)]
/// impl WindowOperator for Count {
///     type Key = Text;
///     type Value = ();
///     type Accumulator = u64;
///     type Output = Output<Text, u64>;
///
///     fn open(_: &mut Setup) -> Result<(Self, Windows)> {
///         Ok((Count, Windows::tumbling(Duration::from_secs(10))))
///     }
///
///     fn add(&mut self, _: &Record<'_, Text, ()>, count: &mut u64) -> Result<()> {
///         *count += 1;
///         Ok(())
///     }
///
///     fn merge(&mut self, count: &mut u64, other: &u64) -> Result<()> {
///         *count += other;
///         Ok(())
///     }
///
///     fn emit(&mut self, key: &str, _: Window, count: &u64, out: &mut Self::Output) -> Result<()> {
///         out.emit(key, *count);
///         Ok(())
///     }
/// }
///
/// wasmill_sdk::operators! { "count" => Count, "pre-count" => PreAggregate<Count>, "sum-counts" => Combine<Count> }
///
/// # fn main() {
/// let mut first = Harness::<PreAggregate<Count>>::open("{}").unwrap();
/// let mut batch = Batch::default();
/// for (word, time) in [("be", 1_000), ("or", 2_000), ("be", 3_000), ("be", 10_000)] {
///     batch.push(time, Some(word.as_bytes()), None);
/// }
/// first.process(0, batch).unwrap();
/// let mut second = Harness::<Combine<Count>>::open("{}").unwrap();
/// for (word, pane, time) in first.output() {
///     second.push(&word, &pane, time.unwrap()).unwrap();
/// }
/// second.finish().unwrap();
/// let rows: Vec<_> = second.output().into_iter().map(|(word, count, _)| (word, count)).collect();
/// assert_eq!(rows, [("be".to_string(), 2), ("or".to_string(), 1), ("be".to_string(), 1)]);
/// # }
/// ```
pub struct PreAggregate<O: WindowOperator> {
    operator: O,
    grid: Grid,
    out: Output<O::Key, Partial<O::Accumulator>>,
    slots: Vec<Slot>,
    /// The group that each key had last.
    last: Vec<usize>,
    groups: Vec<Group<GatheredOf<O>>>,
}

/// The records of a key and pane in a batch.
struct Group<T> {
    /// One of them.
    row: usize,
    /// The latest event time.
    latest: i64,
    /// The group of the same key before it.
    before: usize,
    sum: Gathered<T>,
}

/// No group.
const NONE: usize = usize::MAX;

/// Only tumbling and sliding windows of event time that fire at their end have panes to gather by.
fn grid(windows: &Windows) -> Result<Grid> {
    windows.check()?;
    match Grid::of(windows)? {
        Some(grid) if windows.domain == TimeDomain::EventTime && windows.trigger.is_none() => Ok(grid),
        _ => Err(Error::job(
            "windows: two stages are for tumbling and sliding windows of event time without a trigger of their own",
        )),
    }
}

impl<O: WindowOperator> PreAggregate<O> {
    fn gather(&mut self, batch: &Batch) -> Result {
        let rows = batch.rows();
        let mut directory = Directory::new(O::Key::WIDTH);
        directory.resolve(batch.key_column(), rows, &mut self.slots)?;
        self.last.clear();
        self.last.resize(directory.slots(), NONE);
        self.groups.clear();
        let mut keys = O::Key::rows(batch.key_column(), rows);
        let mut values = O::Value::rows(batch.value_column(), rows);
        for row in 0..rows {
            let key = crate::operator::next(keys.next(), "key", row)?;
            let value = crate::operator::next(values.next(), "value", row)?;
            let timestamp = batch.timestamps.get(row).copied().unwrap_or(NO_TIME);
            let record = Record { key: O::Key::view(&key), value: O::Value::view(&value), timestamp, row, batch };
            let Some(slot) = self.slots.get(row) else { break };
            self.add(slot.0 as usize, &record).map_err(|error| error.at_row(row))?;
        }
        Ok(())
    }

    fn add(&mut self, slot: usize, record: &Record<'_, O::Key, O::Value>) -> Result {
        let pane = self.grid.event_pane(record.timestamp)?;
        // Rows between windows are late or not by their own time: they stay apart.
        let mut at = if self.grid.is_between(pane) { NONE } else { self.last[slot] };
        while at != NONE && self.groups[at].sum.pane != pane {
            at = self.groups[at].before;
        }
        if at == NONE {
            at = self.groups.len();
            let sum = Gathered { pane, rows: 0, gathered: GatheredOf::<O>::default() };
            let before = std::mem::replace(&mut self.last[slot], at);
            self.groups.push(Group { row: record.row, latest: record.timestamp, before, sum });
        }
        let group = &mut self.groups[at];
        group.latest = group.latest.max(record.timestamp);
        group.sum.rows += 1;
        self.operator.add(record, &mut group.sum.gathered)
    }

    fn emit(&mut self, batch: &Batch) -> Result {
        for group in &self.groups {
            let key =
                O::Key::decode(batch.key(group.row)).map_err(|error| Error::batch(format_args!("a key: {error}")))?;
            self.out.emit_at(group.latest, O::Key::view(&key), &group.sum);
            self.out.end_row().map_err(|error| Error::batch(format_args!("what a pane gathered: {error}")))?;
        }
        Ok(())
    }
}

impl<O: WindowOperator> BatchOperator for PreAggregate<O> {
    fn open(setup: &mut Setup) -> Result<Self> {
        if !O::Key::COLUMN {
            return Err(Error::job("a window operator reads keys: its `Key` cannot be `()`"));
        }
        let out = setup.typed::<O::Key, O::Value, Output<O::Key, Partial<O::Accumulator>>>(false);
        let (operator, windows) = O::open(setup)?;
        if !setup.description.states.is_empty() {
            return Err(Error::job("the first of two stages has no key, and so no state: `open` declares one"));
        }
        let grid = grid(&windows)?;
        Ok(PreAggregate { operator, grid, out, slots: Vec::new(), last: Vec::new(), groups: Vec::new() })
    }

    fn process(&mut self, _: &mut Call<'_>, _: u32, batch: Batch) -> Result<()> {
        let result = self.gather(&batch).and_then(|()| self.emit(&batch));
        match result {
            Ok(()) => self.out.end(batch.into()),
            Err(_) => self.out.discard(),
        }
        result
    }
}

impl<O: WindowOperator> TypedOperator for PreAggregate<O> {
    type Key = O::Key;
    type Value = O::Value;
    type OutKey = O::Key;
    type OutValue = Partial<O::Accumulator>;
}

impl<O: WindowOperator + Operator> Operator for PreAggregate<O> {
    type Runs = PreAggregate<O>;
    const NAME: &'static str = O::NAME;
    const VERSION: &'static str = O::VERSION;
}

/// The second of two stages of the window operator `O`: keyed, adds up what [`PreAggregate`] gathered, and emits windows. Its
/// side output `late` has panes, and the metric `late_records` counts their records.
pub struct Combine<O>(PhantomData<fn() -> O>);

impl<O: WindowOperator + Operator> Operator for Combine<O> {
    type Runs = Keyed<Combined<O>>;
    const NAME: &'static str = O::NAME;
    const VERSION: &'static str = O::VERSION;
}

/// Runs the second of two stages of a [`WindowOperator`].
pub struct Combined<O: WindowOperator> {
    operator: O,
    panes: Panes<O::Accumulator>,
    late: SideOutput<O::Key, Partial<O::Accumulator>>,
    late_records: Counter,
}

impl<O: WindowOperator> States for Combined<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.panes.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        visit(self.panes.column());
    }
}

impl<O: WindowOperator> KeyedOperator for Combined<O> {
    type Key = O::Key;
    type Value = Partial<O::Accumulator>;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        no_map_values::<O::Output>()?;
        let (operator, windows) = O::open(setup)?;
        let panes = Panes::new(setup, grid(&windows)?);
        Ok(Combined { operator, panes, late: setup.side_output("late"), late_records: setup.counter("late_records") })
    }

    #[inline(always)]
    fn process(
        &mut self,
        record: Record<'_, O::Key, Partial<O::Accumulator>>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<()> {
        let Combined { operator, panes, late, late_records } = self;
        let (pane, sum) = (record.value.pane, record.value);
        let add = |gathered: &mut GatheredOf<O>| operator.merge(gathered, &sum.gathered);
        match panes.take(pane, record.timestamp, call, add)? {
            Taken::Gathered | Taken::Between => Ok(()),
            Taken::Again => {
                let emit = |window: Window, panes: &mut dyn Iterator<Item = &GatheredOf<O>>| {
                    emit_panes(operator, record.key, window, panes, out)
                };
                panes.fire_again(pane, emit)
            }
            Taken::Late => {
                late.emit_at(record.timestamp, record.key, sum);
                call.add(*late_records, sum.rows as f64);
                Ok(())
            }
        }
    }

    fn on_timer(&mut self, timer: Timer<'_, O::Key>, call: &mut KeyedCall<'_>, out: &mut O::Output) -> Result<()> {
        let Combined { operator, panes, .. } = self;
        panes.on_timer(timer.time, timer.tag, call, |window, panes| emit_panes(operator, timer.key, window, panes, out))
    }
}
