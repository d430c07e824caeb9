//! Runs an interval join: joins rows whose times are within bounds of each other.

mod bounds;

pub use bounds::Interval;

use super::JoinRow;
use crate::{
    batch::NO_TIME,
    call::KeyedCall,
    codec::{Bytes, Codec},
    error::Result,
    metrics::Counter,
    operator::KeyedTwoInputOperator,
    ordered::rows::{Heads, PAGE_BYTES, decode, mark, time_of, unmark},
    output::{OutputKind, SideOutput},
    record::{Record, Timer},
    setup::Setup,
    state::{Cursor, MapState, Slot, State, StateColumn, States},
};

/// A join of two inputs, `left` and `right`, whose rows of a key are joined where
/// `left.time + lower <= right.time <= left.time + upper`, as Flink's `intervalJoin`. Pairs come out as soon as both rows are
/// there, with the later of their times, and so in the order in which rows come.
///
/// A row is kept until the watermark has reached the last time at which another could be joined with it. One that is behind the
/// watermark is late: it goes to the side output `late_left` or `late_right`, with key and value, and is counted in the metric
/// `late_records`. One that is at the watermark, which a source's strategy never gives, is joined with the rows that are kept.
///
/// ```
/// use wasmill_sdk::{join::{Interval, JoinRow}, prelude::*, testing::Harness};
///
/// /// Joins clicks with the impressions of the ten seconds before them.
/// struct Clicks;
///
/// #[operator]
/// impl IntervalJoin for Clicks {
///     type Key = u64;
///     type Left = Text;
///     type Right = Text;
///     type Output = Output<u64, Text>;
///
///     fn open(_: &mut Setup) -> Result<(Self, Interval)> {
///         Ok((Clicks, Interval::between(-10_000, 0)))
///     }
///
///     fn join(
///         &mut self,
///         user: u64,
///         click: JoinRow<'_, Text>,
///         impression: JoinRow<'_, Text>,
///         out: &mut Self::Output,
///     ) -> Result<()> {
///         out.emit(user, &format!("{} after {}", click.value, impression.value));
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Clicks>::open("{}").unwrap();
/// harness.push_right(1, "ad", 1_000).unwrap();
/// harness.push_left(1, "click", 11_000).unwrap();
/// harness.push_left(1, "click", 11_001).unwrap();
/// assert_eq!(harness.output(), [(1, "click after ad".to_string(), Some(11_000))]);
/// harness.watermark(11_001).unwrap();
/// assert!(harness.snapshot().unwrap().state.is_empty(), "nothing can come any more that joins them");
/// ```
pub trait IntervalJoin: Sized + 'static {
    /// The codec of both inputs' keys.
    type Key: Codec;
    /// The codec of the left input's values; `()` does not read them.
    type Left: Codec;
    /// The codec of the right input's values; `()` does not read them.
    type Right: Codec;
    /// How it emits: [`Output`](crate::Output).
    type Output: OutputKind;

    /// Reads the configuration and makes the operator; says within which bounds rows are joined. Called to describe it and
    /// to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<(Self, Interval)>;

    /// Joins two rows. Rows that are emitted without a time have the later one of theirs.
    ///
    /// # Errors
    /// What is at fault: by default, and for any error that `?` converts, the record that came last.
    fn join(
        &mut self,
        key: <Self::Key as Codec>::View<'_>,
        left: JoinRow<'_, Self::Left>,
        right: JoinRow<'_, Self::Right>,
        out: &mut Self::Output,
    ) -> Result<()>;
}

/// Time and number.
type Place = (i64, u64);

/// Bytes of a map that are read first: an interval is often short.
const FIRST_BYTES: u32 = 1024;

/// The rows of one input.
type Rows = MapState<Place, Bytes>;

/// Runs an [`IntervalJoin`].
pub struct IntervalJoined<O: IntervalJoin> {
    operator: O,
    interval: Interval,
    left: Rows,
    right: Rows,
    heads: Heads,
    late_left: SideOutput<O::Key, O::Left>,
    late_right: SideOutput<O::Key, O::Right>,
    late_records: Counter,
}

impl<O: IntervalJoin> States for IntervalJoined<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.left.select(slot);
        self.right.select(slot);
        self.heads.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        visit(self.left.column());
        visit(self.right.column());
        visit(self.heads.column());
    }
}

/// Shows the rows of times `first` to `last`, in order, until `show` fails.
fn each_between(
    rows: &mut Rows,
    call: &mut KeyedCall<'_>,
    (first, last): (i64, i64),
    mut show: impl FnMut(i64, Option<&[u8]>) -> Result,
) -> Result {
    let (mut next, mut bytes) = (Some(Cursor::at::<Place>((first, 0))), FIRST_BYTES);
    while let Some(cursor) = next {
        let page = rows.scan(call, &cursor, bytes)?;
        for entry in page.iter() {
            let ((time, _), marked) = entry?;
            if time > last {
                return Ok(());
            }
            show(time, unmark(marked))?;
        }
        next = page.next();
        bytes = bytes.saturating_mul(2).min(PAGE_BYTES);
    }
    Ok(())
}

/// Removes the rows of which `is_over` says so, from the first on; how many, and the time of the first that is left.
fn clean(rows: &mut Rows, call: &mut KeyedCall<'_>, is_over: impl Fn(i64) -> bool) -> Result<(u64, Option<i64>)> {
    let (mut removed, mut next, mut bytes) = (0, Some(Cursor::first()), FIRST_BYTES);
    while let Some(cursor) = next {
        let page = rows.scan(call, &cursor, bytes)?;
        for entry in page.iter() {
            let ((time, number), _) = entry?;
            if !is_over(time) {
                return Ok((removed, Some(time)));
            }
            rows.remove((time, number));
            removed += 1;
        }
        next = page.next();
        bytes = bytes.saturating_mul(2).min(PAGE_BYTES);
    }
    Ok((removed, None))
}

impl<O: IntervalJoin> IntervalJoined<O> {
    /// Keeps a row until `until`, which is after the watermark.
    fn keep(rows: &mut Rows, heads: &mut Heads, call: &mut KeyedCall<'_>, time: i64, value: Option<&[u8]>, until: i64) {
        let mut head = heads.get();
        rows.put((time, head.add()), mark(value));
        head.arm_by(until, call);
        heads.set(head);
    }
}

impl<O: IntervalJoin> KeyedTwoInputOperator for IntervalJoined<O> {
    type Key = O::Key;
    type Left = O::Left;
    type Right = O::Right;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        let (operator, interval) = O::open(setup)?;
        interval.check()?;
        super::without_headers(setup)?;
        setup.event_timers();
        Ok(IntervalJoined {
            operator,
            interval,
            left: setup.map_state("left"),
            right: setup.map_state("right"),
            heads: Heads::new(setup, "head"),
            late_left: setup.side_output("late_left"),
            late_right: setup.side_output("late_right"),
            late_records: setup.counter("late_records"),
        })
    }

    fn process_left(
        &mut self,
        record: Record<'_, O::Key, O::Left>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<()> {
        let (time, watermark) = (time_of(&record)?, call.watermark());
        if time < watermark && watermark != NO_TIME {
            self.late_left.emit_at(time, record.key, record.value);
            call.add(self.late_records, 1.0);
            return Ok(());
        }
        let IntervalJoined { operator, interval, left: rows, right, heads, .. } = self;
        let left = JoinRow { value: record.value, timestamp: time };
        if let Some((first, last)) = interval.rights_of(time) {
            each_between(right, call, (first.max(interval.first_kept_right(watermark)), last), |other, value| {
                let value = decode::<O::Right>(value)?;
                out.begin_row(time.max(other));
                let right = JoinRow { value: O::Right::view(&value), timestamp: other };
                operator.join(record.key, left, right, out)
            })?;
        }
        let until = interval.left_until(time);
        if until > watermark {
            Self::keep(rows, heads, call, time, record.batch.value(record.row), until);
        }
        Ok(())
    }

    fn process_right(
        &mut self,
        record: Record<'_, O::Key, O::Right>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<()> {
        let (time, watermark) = (time_of(&record)?, call.watermark());
        if time < watermark && watermark != NO_TIME {
            self.late_right.emit_at(time, record.key, record.value);
            call.add(self.late_records, 1.0);
            return Ok(());
        }
        let IntervalJoined { operator, interval, left, right: rows, heads, .. } = self;
        let right = JoinRow { value: record.value, timestamp: time };
        if let Some((first, last)) = interval.lefts_of(time) {
            each_between(left, call, (first.max(interval.first_kept_left(watermark)), last), |other, value| {
                let value = decode::<O::Left>(value)?;
                out.begin_row(time.max(other));
                let left = JoinRow { value: O::Left::view(&value), timestamp: other };
                operator.join(record.key, left, right, out)
            })?;
        }
        let until = interval.right_until(time);
        if until > watermark {
            Self::keep(rows, heads, call, time, record.batch.value(record.row), until);
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, O::Key>, call: &mut KeyedCall<'_>, _: &mut O::Output) -> Result<()> {
        let mut head = self.heads.get();
        if head.armed != Some(timer.time) {
            return Ok(());
        }
        let (interval, watermark) = (&self.interval, call.watermark());
        let (lefts, left) = clean(&mut self.left, call, |time| interval.left_until(time) <= watermark)?;
        let (rights, right) = clean(&mut self.right, call, |time| interval.right_until(time) <= watermark)?;
        head.rows = head.rows.saturating_sub(lefts + rights);
        let left = left.map(|time| interval.left_until(time));
        let right = right.map(|time| interval.right_until(time));
        head.arm(left.into_iter().chain(right).min(), call);
        self.heads.set(head);
        Ok(())
    }
}
