//! Runs a window join: joins the rows of two inputs that are in one window.

mod frame;
mod pairs;

use frame::{Assigned, Frame, Opened};

use super::{JoinKind, JoinRow};
use crate::{
    call::KeyedCall,
    codec::{Codec, Postcard},
    error::Result,
    metrics::Counter,
    operator::KeyedTwoInputOperator,
    ordered::rows::{SortedRows, time_of},
    output::{OutputKind, SideOutput},
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, State, StateColumn, States, ValueState},
    window::{Window, Windows},
};

/// A join of two inputs, `left` and `right`, whose rows of a key are joined where they are in one window: each with each, as by
/// Flink's `join` and, for the outer kinds, by `coGroup`. Windows are tumbling, sliding or sessions of event time; a session is
/// one of the rows of both inputs.
///
/// A window comes out when the watermark reaches its last millisecond: by left row, for each of these by right row, both in the
/// order of time, and rows of one time in the order of their bytes. Rows are kept once, however many windows they are in. With
/// [allowed lateness](Windows::allowed_lateness) a late row makes its windows come out again, with all they have. A row
/// that is late for all of its windows goes to the side output `late_left` or `late_right`, with key and value, and is counted in the
/// metric `late_records`.
///
/// ```
/// use std::time::Duration;
/// use wasmill_sdk::{join::{JoinKind, JoinRow}, prelude::*, testing::Harness};
///
/// /// Joins the orders of an hour with its weather, and shows orders without.
/// struct Weather;
///
/// #[operator]
/// impl WindowJoin for Weather {
///     type Key = Text;
///     type Left = u64;
///     type Right = Text;
///     type Output = Output<Text, Text>;
///
///     fn open(_: &mut Setup) -> Result<(Self, Windows, JoinKind)> {
///         Ok((Weather, Windows::tumbling(Duration::from_hours(1)), JoinKind::LeftOuter))
///     }
///
///     fn join(
///         &mut self,
///         city: &str,
///         _: Window,
///         order: Option<JoinRow<'_, u64>>,
///         weather: Option<JoinRow<'_, Text>>,
///         out: &mut Self::Output,
///     ) -> Result<()> {
///         let Some(order) = order else { return Ok(()) };
///         let weather = weather.map_or("unknown", |weather| weather.value);
///         out.emit(city, &format!("{} {weather}", order.value));
///         Ok(())
///     }
/// }
///
/// const HOUR: i64 = 3_600_000;
/// let mut harness = Harness::<Weather>::open("{}").unwrap();
/// harness.push_left("Oslo", 1, 5).unwrap();
/// harness.push_left("Oslo", 2, HOUR + 5).unwrap();
/// harness.push_right("Oslo", "snow", HOUR).unwrap();
/// harness.finish().unwrap();
/// let rows: Vec<_> = harness.output().into_iter().map(|(_, row, time)| (row, time.unwrap())).collect();
/// assert_eq!(rows, [("1 unknown".to_string(), HOUR - 1), ("2 snow".to_string(), 2 * HOUR - 1)]);
/// ```
pub trait WindowJoin: Sized + 'static {
    /// The codec of both inputs' keys.
    type Key: Codec;
    /// The codec of the left input's values; `()` does not read them.
    type Left: Codec;
    /// The codec of the right input's values; `()` does not read them.
    type Right: Codec;
    /// How it emits: [`Output`](crate::Output).
    type Output: OutputKind;

    /// Reads the configuration and makes the operator; says which windows there are, and whether rows come out that match none.
    /// Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<(Self, Windows, JoinKind)>;

    /// Joins two rows of a window; `None` for the row of an input that has none in it, in an outer join. Rows that are emitted
    /// without a time have that of the window's last millisecond.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn join(
        &mut self,
        key: <Self::Key as Codec>::View<'_>,
        window: Window,
        left: Option<JoinRow<'_, Self::Left>>,
        right: Option<JoinRow<'_, Self::Right>>,
        out: &mut Self::Output,
    ) -> Result<()>;
}

/// Runs a [`WindowJoin`].
pub struct WindowJoined<O: WindowJoin> {
    operator: O,
    kind: JoinKind,
    frame: Frame,
    left: SortedRows,
    right: SortedRows,
    opened: ValueState<Postcard<Opened>>,
    late_left: SideOutput<O::Key, O::Left>,
    late_right: SideOutput<O::Key, O::Right>,
    late_records: Counter,
}

/// Which input a row is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl<O: WindowJoin> States for WindowJoined<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.left.select(slot);
        self.right.select(slot);
        self.opened.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        visit(self.left.column());
        visit(self.right.column());
        visit(self.opened.column());
    }
}

impl<O: WindowJoin> WindowJoined<O> {
    /// Takes a row; false when it is late.
    fn take(
        &mut self,
        side: Side,
        key: <O::Key as Codec>::View<'_>,
        (time, value): (i64, Option<&[u8]>),
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<bool> {
        let mut opened = self.opened.get().cloned().unwrap_or_default();
        // Windows that are over by the watermark have fired before any row of after it came.
        opened.fired = opened.fired.max(call.watermark());
        match self.frame.assign(time, &mut opened)? {
            Assigned::Late => return Ok(false),
            Assigned::Between => return Ok(true),
            Assigned::In { due, again } => {
                let number = opened.head.add();
                match side {
                    Side::Left => self.left.add(time, value, number),
                    Side::Right => self.right.add(time, value, number),
                }
                opened.head.arm_by(due, call);
                self.opened.set(opened);
                again.into_iter().try_for_each(|window| self.fire(key, window, call, out))?;
            }
        }
        Ok(true)
    }

    /// Joins what a window has.
    fn fire(
        &mut self,
        key: <O::Key as Codec>::View<'_>,
        window: Window,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result {
        out.begin_row(window.last());
        let WindowJoined { operator, kind, left, right, .. } = self;
        pairs::each::<O::Left, O::Right>(*kind, (left, right), window, call, &mut |left, right| {
            operator.join(key, window, left, right, out)
        })
    }

    /// The time of the first row of either input at `time` or later.
    fn first_from(&mut self, time: i64, call: &mut KeyedCall<'_>) -> Result<Option<i64>> {
        let firsts = [self.left.first_from(call, time)?, self.right.first_from(call, time)?];
        Ok(firsts.into_iter().flatten().min())
    }

    /// Fires windows of panes that end up to `now` and have not fired, and removes rows whose windows are all over. When
    /// that is to be done again.
    fn fire_aligned(
        &mut self,
        key: <O::Key as Codec>::View<'_>,
        now: i64,
        opened: &mut Opened,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<Option<i64>> {
        let mut unfired = self.frame.first_after(opened.fired);
        let mut next = None;
        while let Some(from) = unfired {
            let start = self.frame.window(from).start;
            let Some(first) = self.first_from(start, call)? else { break };
            let number = self.frame.first_of(first)?.max(from);
            let window = self.frame.window(number);
            if window.last() > now {
                next = Some(window.last());
                break;
            }
            self.fire(key, window, call, out)?;
            unfired = number.checked_add(1);
        }
        opened.fired = opened.fired.max(now);
        let over = self.frame.over_before(now);
        if over > i64::MIN {
            self.remove(opened, (i64::MIN, over - 1), call)?;
        } else if now == i64::MAX {
            self.remove(opened, (i64::MIN, i64::MAX), call)?;
        }
        let first = if opened.head.rows > 0 { self.first_from(i64::MIN, call)? } else { None };
        let over = first.map(|first| self.frame.over_at(first)).transpose()?;
        Ok(next.into_iter().chain(over).min())
    }

    /// The same for sessions.
    fn fire_sessions(
        &mut self,
        key: <O::Key as Codec>::View<'_>,
        now: i64,
        opened: &mut Opened,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<Option<i64>> {
        let due = opened.sessions().filter(|window| window.last() > opened.fired && window.last() <= now);
        for window in due.collect::<Vec<_>>() {
            self.fire(key, window, call, out)?;
        }
        opened.fired = opened.fired.max(now);
        for window in opened.sessions().filter(|window| self.frame.is_over(*window, now)).collect::<Vec<_>>() {
            self.remove(opened, (window.start, window.last()), call)?;
            opened.close(window);
        }
        Ok(self.frame.next_session(opened))
    }

    /// Removes the rows of times `first` to `last`.
    fn remove(&mut self, opened: &mut Opened, (first, last): (i64, i64), call: &mut KeyedCall<'_>) -> Result {
        let removed = self.left.remove_range(call, first, last)? + self.right.remove_range(call, first, last)?;
        opened.head.rows = opened.head.rows.saturating_sub(removed);
        Ok(())
    }
}

impl<O: WindowJoin> KeyedTwoInputOperator for WindowJoined<O> {
    type Key = O::Key;
    type Left = O::Left;
    type Right = O::Right;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        let (operator, windows, kind) = O::open(setup)?;
        let frame = Frame::of(&windows)?;
        super::without_headers(setup)?;
        setup.event_timers();
        Ok(WindowJoined {
            operator,
            kind,
            frame,
            left: SortedRows::new(setup, "left"),
            right: SortedRows::new(setup, "right"),
            opened: setup.value_state("windows"),
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
        let row = (time_of(&record)?, record.batch.value(record.row));
        if !self.take(Side::Left, record.key, row, call, out)? {
            self.late_left.emit_at(record.timestamp, record.key, record.value);
            call.add(self.late_records, 1.0);
        }
        Ok(())
    }

    fn process_right(
        &mut self,
        record: Record<'_, O::Key, O::Right>,
        call: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<()> {
        let row = (time_of(&record)?, record.batch.value(record.row));
        if !self.take(Side::Right, record.key, row, call, out)? {
            self.late_right.emit_at(record.timestamp, record.key, record.value);
            call.add(self.late_records, 1.0);
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, O::Key>, call: &mut KeyedCall<'_>, out: &mut O::Output) -> Result<()> {
        let Some(mut opened) = self.opened.get().cloned() else { return Ok(()) };
        if opened.head.armed != Some(timer.time) {
            return Ok(());
        }
        let next = match self.frame.are_sessions() {
            true => self.fire_sessions(timer.key, timer.time, &mut opened, call, out)?,
            false => self.fire_aligned(timer.key, timer.time, &mut opened, call, out)?,
        };
        opened.head.arm(next, call);
        match opened.head.rows > 0 || opened.head.armed.is_some() {
            true => self.opened.set(opened),
            false => self.opened.clear(),
        }
        Ok(())
    }
}
