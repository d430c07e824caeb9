//! Runs a deduplication: keeps one record a key.

use crate::{
    backend::TimeDomain,
    call::KeyedCall,
    codec::Codec,
    error::Result,
    metrics::Counter,
    operator::KeyedOperator,
    ordered::rows::{Heads, SortedRows, decode, time_of},
    output::{Output, SideOutput},
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, State, StateColumn, States, Ttl, ValueState},
};

/// Keeps one record of each key, and passes it on as it is, without headers.
///
/// ```
/// use std::time::Duration;
/// use wasmill_sdk::{deduplicate::Keep, prelude::*, testing::Harness};
///
/// /// Passes on each payment once, though it may have been sent more than once within a day.
/// struct Once;
///
/// #[operator]
/// impl Deduplicate for Once {
///     type Key = Text;
///     type Value = u64;
///
///     fn open(_: &mut Setup) -> Result<(Self, Keep)> {
///         Ok((Once, Keep::first().ttl(Ttl::event_time(Duration::from_hours(24)))))
///     }
/// }
///
/// let mut harness = Harness::<Once>::open("{}").unwrap();
/// for (payment, amount) in [("p1", 10), ("p2", 20), ("p1", 10)] {
///     harness.push(payment, amount, 1_000).unwrap();
/// }
/// assert_eq!(harness.output(), [("p1".to_string(), 10, Some(1_000)), ("p2".to_string(), 20, Some(1_000))]);
/// ```
pub trait Deduplicate: Sized + 'static {
    /// The codec of keys: records of one key are duplicates of each other.
    type Key: Codec;
    /// The codec of values; `()` does not read them.
    type Value: Codec;

    /// Reads the configuration and makes the operator; says which record is kept. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<(Self, Keep)>;
}

/// Which record of a key is kept.
///
/// | | comes out | results are the same each time |
/// |---|---|---|
/// | [`first`](Keep::first) | at once | no: which comes first is chance where a key comes from several sources |
/// | [`first_by_time`](Keep::first_by_time) | when the watermark has reached its time | yes |
/// | [`last_by_time`](Keep::last_by_time) | at once, as an update of what came out before | the last one, unless several are of one time |
///
/// There is none that keeps the last one in the order in which records come: then each is an update of the one before, and all
/// come out without any operator.
///
/// Keys are remembered for ever unless there is a [`ttl`](Keep::ttl).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    order: Order,
    ttl: Option<Ttl>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    First,
    FirstByTime,
    LastByTime,
}

impl Keep {
    /// The first that comes. It is passed on at once; the others are dropped.
    pub fn first() -> Keep {
        Keep { order: Order::First, ttl: None }
    }

    /// The first in event time, and of those of one time the one whose bytes are the least. It comes out when the watermark has
    /// reached its time. A record whose time the watermark has reached when it comes, and whose key has had none, is late: it
    /// goes to the side output `late` and is counted in the metric `late_records`.
    ///
    /// ```
    /// use wasmill_sdk::{deduplicate::Keep, prelude::*, testing::Harness};
    ///
    /// /// The first login of each user.
    /// struct FirstLogins;
    ///
    /// #[operator]
    /// impl Deduplicate for FirstLogins {
    ///     type Key = Text;
    ///     type Value = Text;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Keep)> {
    ///         Ok((FirstLogins, Keep::first_by_time()))
    ///     }
    /// }
    ///
    /// let mut harness = Harness::<FirstLogins>::open("{}").unwrap();
    /// harness.push("ann", "from Oslo", 2_000).unwrap();
    /// harness.push("ann", "from Rome", 1_000).unwrap();
    /// harness.watermark(3_000).unwrap();
    /// assert_eq!(harness.output(), [("ann".to_string(), "from Rome".to_string(), Some(1_000))]);
    /// ```
    pub fn first_by_time() -> Keep {
        Keep { order: Order::FirstByTime, ttl: None }
    }

    /// The last in event time: a record comes out at once if none of its key that came before was later. What comes out is an
    /// update of what came out before, for a sink that keeps one row a key.
    ///
    /// ```
    /// use wasmill_sdk::{deduplicate::Keep, prelude::*, testing::Harness};
    ///
    /// /// Where each parcel was last.
    /// struct Places;
    ///
    /// #[operator]
    /// impl Deduplicate for Places {
    ///     type Key = u64;
    ///     type Value = Text;
    ///
    ///     fn open(_: &mut Setup) -> Result<(Self, Keep)> {
    ///         Ok((Places, Keep::last_by_time()))
    ///     }
    /// }
    ///
    /// let mut harness = Harness::<Places>::open("{}").unwrap();
    /// for (place, time) in [("post office", 1), ("lorry", 3), ("depot", 2), ("door", 4)] {
    ///     harness.push(1, place, time).unwrap();
    /// }
    /// let places: Vec<_> = harness.output().into_iter().map(|(_, place, _)| place).collect();
    /// assert_eq!(places, ["post office", "lorry", "door"]);
    /// ```
    pub fn last_by_time() -> Keep {
        Keep { order: Order::LastByTime, ttl: None }
    }

    /// For how long a key is remembered after the record that was kept: one that comes later is kept anew.
    ///
    /// In event time this is a horizon: [`first_by_time`](Keep::first_by_time) keeps a record that is this much later than the
    /// one it kept last, or more. For the others it is forgotten when the watermark has come so far.
    #[must_use = "it is another choice"]
    pub fn ttl(mut self, ttl: Ttl) -> Keep {
        self.ttl = Some(ttl);
        self
    }

    /// Whether a record at `time` is a duplicate of one that was kept at `kept`.
    fn is_within(&self, kept: i64, time: i64) -> bool {
        match self.ttl {
            Some(ttl) if ttl.domain == TimeDomain::EventTime => {
                i128::from(time) - i128::from(kept) < i128::from(ttl.milliseconds)
            }
            _ => true,
        }
    }
}

/// Runs a [`Deduplicate`].
pub struct Deduplicated<O: Deduplicate> {
    #[expect(dead_code, reason = "it may hold what it needs for as long as it runs")]
    operator: O,
    keep: Keep,
    /// The time of the record that was kept.
    kept: ValueState<i64>,
    /// Records that the watermark has not reached.
    waiting: Option<Waiting<O>>,
}

struct Waiting<O: Deduplicate> {
    rows: SortedRows,
    heads: Heads,
    late: SideOutput<O::Key, O::Value>,
    late_records: Counter,
}

impl<O: Deduplicate> States for Deduplicated<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.kept.select(slot);
        if let Some(waiting) = &mut self.waiting {
            waiting.rows.select(slot);
            waiting.heads.select(slot);
        }
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        visit(self.kept.column());
        if let Some(waiting) = &mut self.waiting {
            visit(waiting.rows.column());
            visit(waiting.heads.column());
        }
    }
}

impl<O: Deduplicate> KeyedOperator for Deduplicated<O> {
    type Key = O::Key;
    type Value = O::Value;
    type Output = Output<O::Key, O::Value>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let (operator, keep) = O::open(setup)?;
        let kept = match keep.ttl {
            Some(ttl) => setup.state("kept").ttl(ttl).value(),
            None => setup.value_state("kept"),
        };
        let waiting = (keep.order == Order::FirstByTime).then(|| {
            setup.event_timers();
            Waiting {
                rows: SortedRows::new(setup, "waiting"),
                heads: Heads::new(setup, "head"),
                late: setup.side_output("late"),
                late_records: setup.counter("late_records"),
            }
        });
        Ok(Deduplicated { operator, keep, kept, waiting })
    }

    fn process(
        &mut self,
        record: Record<'_, O::Key, O::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        let kept = self.kept.get();
        let Some(waiting) = &mut self.waiting else {
            let is_kept = match self.keep.order {
                Order::LastByTime => {
                    let time = time_of(&record)?;
                    kept.is_none_or(|kept| kept <= time)
                }
                _ => kept.is_none(),
            };
            if is_kept {
                out.emit(record.key, record.value);
                self.kept.set(record.timestamp);
            }
            return Ok(());
        };
        let time = time_of(&record)?;
        if kept.is_some_and(|kept| self.keep.is_within(kept, time)) {
            return Ok(());
        }
        if time <= call.watermark() {
            waiting.late.emit_at(time, record.key, record.value);
            call.add(waiting.late_records, 1.0);
            return Ok(());
        }
        let mut head = waiting.heads.get();
        // With a horizon the earlier one may turn out to be a duplicate itself.
        if self.keep.ttl.is_none() && head.armed.is_some_and(|armed| armed < time) {
            return Ok(());
        }
        waiting.rows.add(time, record.batch.value(record.row), head.add());
        head.arm_by(time, call);
        waiting.heads.set(head);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, O::Key>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let Deduplicated { keep, kept, waiting: Some(waiting), .. } = self else { return Ok(()) };
        let mut head = waiting.heads.get();
        if head.armed != Some(timer.time) {
            return Ok(());
        }
        // Without a horizon all that wait are duplicates of the first.
        let last = if keep.ttl.is_none() { i64::MAX } else { timer.time };
        let mut next = Some(SortedRows::at(i64::MIN));
        while let Some(cursor) = next {
            let page = waiting.rows.page(call, &cursor, last)?;
            for row in &page.rows {
                if kept.get().is_none_or(|kept| !keep.is_within(kept, row.time)) {
                    let value = decode::<O::Value>(row.value())?;
                    out.emit_at(row.time, timer.key, O::Value::view(&value));
                    kept.set(row.time);
                }
                waiting.rows.remove(row);
            }
            head.rows = head.rows.saturating_sub(page.rows.len() as u64);
            next = page.next;
        }
        let first = if head.rows > 0 { waiting.rows.first_from(call, i64::MIN)? } else { None };
        head.arm(first, call);
        waiting.heads.set(head);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_horizon_ends_where_it_says() {
        let keep = Keep::first_by_time().ttl(Ttl::event_time(std::time::Duration::from_millis(10)));
        assert!(keep.is_within(5, 14) && !keep.is_within(5, 15));
        assert!(!keep.is_within(i64::MIN, i64::MAX) && keep.is_within(i64::MAX, i64::MIN));
        assert!(Keep::first_by_time().is_within(i64::MIN, i64::MAX));
    }
}
