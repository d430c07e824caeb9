//! Runs a keyed operator whose records come sorted by event time.

pub(crate) mod rows;

use rows::{Heads, ROWS_TIMER, SortedRows, decode, time_of};

use crate::{
    backend::TimeDomain,
    batch::Batch,
    bindings::wasmill::operator::description::Columns,
    call::{Call, KeyedCall},
    codec::Codec,
    error::{Error, Result},
    metrics::Counter,
    migration::Migration,
    operator::KeyedOperator,
    output::{OutputKind, SideOutput},
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, StateColumn, States},
};

/// An operator as a [`KeyedOperator`], whose records of a key come sorted by event time: each is kept until the watermark has
/// reached its time. So what it does is the same whatever the order in which records came, at any parallelism, interleaving of
/// sources and size of batches, and after any crash.
///
/// Records of one key and time are sorted by the bytes of their values, null first: the order in which they came cannot be told
/// again when they came from several sources. A record whose time the watermark has reached already is late: it goes to the
/// side output `late`, with key and value, and is counted in the metric `late_records`.
///
/// While a record is processed, [`KeyedCall::watermark`] is one millisecond before its time, as nothing is known of the others
/// of its time; in `on_timer` it is the time of the timer. Event-time timers fire in order with the records: one at `t` after
/// the records of `t` and before those of `t + 1`. What depends on anything else is not the same each time:
/// processing time, and a time to live of state.
///
/// A record is kept without its headers. The timer tag `u64::MAX` is taken, and so are the names of states `ordered_rows` and
/// `ordered_head`.
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness};
///
/// /// How long the door was open each time.
/// #[derive(States)]
/// struct Doors {
///     opened: ValueState<i64>,
/// }
///
/// #[operator]
/// impl OrderedOperator for Doors {
///     type Key = Text;
///     type Value = Text;
///     type Output = Output<Text, i64>;
///
///     fn open(setup: &mut Setup) -> Result<Self> {
///         Ok(Doors { opened: setup.value_state("opened") })
///     }
///
///     fn process(
///         &mut self,
///         event: Record<'_, Text, Text>,
///         _: &mut KeyedCall<'_>,
///         out: &mut Self::Output,
///     ) -> Result<()> {
///         let time = event.timestamp().unwrap_or_default();
///         match event.value {
///             "open" => self.opened.set(time),
///             _ => {
///                 if let Some(opened) = self.opened.get() {
///                     out.emit(event.key, time - opened);
///                     self.opened.clear();
///                 }
///             }
///         }
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Doors>::open("{}").unwrap();
/// for (event, time) in [("closed", 1_500), ("open", 1_000), ("closed", 7_000), ("open", 3_000)] {
///     harness.push("front", event, time).unwrap();
/// }
/// harness.watermark(5_000).unwrap();
/// assert_eq!(harness.output(), [("front".to_string(), 500, Some(1_500))]);
/// harness.push("front", "closed", 2_000).unwrap();
/// assert_eq!(harness.metric("late_records"), Some(1.0));
/// harness.finish().unwrap();
/// assert_eq!(harness.output(), [("front".to_string(), 4_000, Some(7_000))]);
/// ```
pub trait OrderedOperator: States + Sized + 'static {
    /// The codec of keys.
    type Key: Codec;
    /// The codec of values; `()` does not read them.
    type Value: Codec;
    /// How it emits: [`Output`](crate::Output). `MapValues` passes on columns of the input, and is refused.
    type Output: OutputKind;

    /// Declares states and timers, reads the configuration and makes the operator. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<Self>;

    /// Takes one record, which is not older than the one before. State is that of its key.
    ///
    /// # Errors
    /// What is at fault. As records are processed when their timer fires, an error of a record is one of the batch.
    fn process(
        &mut self,
        record: Record<'_, Self::Key, Self::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()>;

    /// Takes a timer that is due. State is that of its key.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn on_timer(
        &mut self,
        timer: Timer<'_, Self::Key>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        let _ = (timer, call, out);
        Ok(())
    }

    /// The input has ended and all event-time timers have fired: emits what is left that belongs to no key.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn finish(&mut self, call: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        let _ = (call, out);
        Ok(())
    }

    /// Rewrites entries of an older schema version of a state.
    ///
    /// # Errors
    /// The job's; unless implemented, that it cannot.
    fn migrate(migration: &mut Migration) -> Result<()> {
        migration.refuse()
    }
}

/// Runs an [`OrderedOperator`].
pub struct Ordered<O: OrderedOperator> {
    operator: O,
    rows: SortedRows,
    heads: Heads,
    late: SideOutput<O::Key, O::Value>,
    late_records: Counter,
    /// What a record that was kept is said to be a row of.
    no_batch: Batch,
}

impl<O: OrderedOperator> States for Ordered<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.operator.select(slot);
        self.rows.select(slot);
        self.heads.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        self.operator.visit(visit);
        visit(self.rows.column());
        visit(self.heads.column());
    }
}

impl<O: OrderedOperator> Ordered<O> {
    /// Processes the rows of the timer's key and time.
    fn each_row(&mut self, time: i64, call: &mut KeyedCall<'_>, out: &mut O::Output) -> Result {
        let mut head = self.heads.get();
        if head.armed != Some(time) {
            return Ok(());
        }
        let Ordered { operator, rows, no_batch, .. } = self;
        // The view of the timer's key lives too long to be that of a record.
        let keys = call.keys;
        let key = O::Key::decode(keys.get(call.row))?;
        let mut next = Some(SortedRows::at(i64::MIN));
        while let Some(cursor) = next {
            let page = rows.page(call, &cursor, time)?;
            for row in &page.rows {
                let value = decode::<O::Value>(row.value())?;
                let (key, value) = (O::Key::view(&key), O::Value::view(&value));
                let record = Record { key, value, timestamp: row.time, row: 0, batch: no_batch };
                at(row.time.saturating_sub(1), call, |call| operator.process(record, call, out))?;
                rows.remove(row);
            }
            head.rows = head.rows.saturating_sub(page.rows.len() as u64);
            next = page.next;
        }
        let first = if head.rows > 0 { rows.first_from(call, i64::MIN)? } else { None };
        head.arm(first, call);
        self.heads.set(head);
        Ok(())
    }

    #[cold]
    fn late(&mut self, record: &Record<'_, O::Key, O::Value>, call: &mut KeyedCall<'_>) {
        self.late.emit_at(record.timestamp, record.key, record.value);
        call.add(self.late_records, 1.0);
    }
}

/// Does something as if the watermark were at `watermark`.
fn at<T>(watermark: i64, call: &mut KeyedCall<'_>, then: impl FnOnce(&mut KeyedCall<'_>) -> T) -> T {
    let real = std::mem::replace(&mut call.time.watermark, watermark);
    let result = then(call);
    call.time.watermark = real;
    result
}

impl<O: OrderedOperator> KeyedOperator for Ordered<O> {
    type Key = O::Key;
    type Value = O::Value;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        if O::Output::PASSES {
            return Err(Error::job(
                "an ordered operator emits later than its rows come: its `Output` cannot be `MapValues`",
            ));
        }
        let operator = O::open(setup)?;
        if setup.description.inputs.iter().any(|input| input.columns.contains(Columns::HEADERS)) {
            return Err(Error::job("an ordered operator keeps its rows without their headers: it cannot read them"));
        }
        setup.event_timers();
        Ok(Ordered {
            operator,
            rows: SortedRows::new(setup, "ordered_rows"),
            heads: Heads::new(setup, "ordered_head"),
            late: setup.side_output("late"),
            late_records: setup.counter("late_records"),
            no_batch: Batch::default(),
        })
    }

    #[inline(always)]
    fn process(
        &mut self,
        record: Record<'_, O::Key, O::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut O::Output,
    ) -> Result<()> {
        let time = time_of(&record)?;
        if time <= call.watermark() {
            self.late(&record, call);
            return Ok(());
        }
        let mut head = self.heads.get();
        self.rows.add(time, record.batch.value(record.row), head.add());
        head.arm_by(time, call);
        self.heads.set(head);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, O::Key>, call: &mut KeyedCall<'_>, out: &mut O::Output) -> Result<()> {
        if timer.domain == TimeDomain::ProcessingTime {
            return self.operator.on_timer(timer, call, out);
        }
        // Rows of before it were processed when their own timers fired.
        self.each_row(timer.time, call, out)?;
        match timer.tag {
            ROWS_TIMER => Ok(()),
            _ => at(timer.time, call, |call| self.operator.on_timer(timer, call, out)),
        }
    }

    fn finish(&mut self, call: &mut Call<'_>, out: &mut O::Output) -> Result<()> {
        self.operator.finish(call, out)
    }

    fn migrate(migration: &mut Migration) -> Result<()> {
        O::migrate(migration)
    }
}
