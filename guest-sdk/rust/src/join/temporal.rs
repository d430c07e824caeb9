//! Runs a temporal join: joins each row with the version of a table that was valid at its time.

mod versions;

use versions::Versions;

use super::{JoinKind, JoinRow};
use crate::{
    call::KeyedCall,
    codec::Codec,
    error::{Error, Result},
    metrics::Counter,
    operator::KeyedTwoInputOperator,
    ordered::rows::{Heads, SortedRows, decode, time_of},
    output::{OutputKind, SideOutput},
    record::{Record, Timer},
    setup::Setup,
    state::{Slot, StateColumn, States},
};

/// A join of rows with the versions of a table, as Flink's event-time temporal join (`FOR SYSTEM_TIME AS OF`). The right input
/// is the table: a row of it is the version of its key from its time on, until that of the next version; one whose
/// value is null ends the version before it. Of versions of one key and time the last that came counts. A left row is joined
/// with the version that is valid at its time once the watermark has reached that, in the order of time (rows of one time in the order of
/// their bytes), and what comes out has its time.
///
/// Versions that end before the watermark are removed; the last one of a key stays, as in Flink for ever.
///
/// A left row is late when the watermark has reached its time: it goes to the side output `late_left`, where Flink joins it with
/// whichever version is left. A late version is taken, and counts for left rows that come later. Both are counted
/// in the metric `late_records`.
///
/// ```
/// use wasmill_sdk::{join::{JoinKind, JoinRow}, prelude::*, testing::Harness};
///
/// /// Converts amounts at the rate of their time.
/// struct Convert;
///
/// #[operator]
/// impl TemporalJoin for Convert {
///     type Key = Text;
///     type Left = f64;
///     type Right = f64;
///     type Output = Output<Text, Option<f64>>;
///
///     fn open(_: &mut Setup) -> Result<(Self, JoinKind)> {
///         Ok((Convert, JoinKind::LeftOuter))
///     }
///
///     fn join(
///         &mut self,
///         currency: &str,
///         amount: JoinRow<'_, f64>,
///         rate: Option<JoinRow<'_, f64>>,
///         out: &mut Self::Output,
///     ) -> Result<()> {
///         out.emit(currency, rate.map(|rate| amount.value * rate.value));
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Convert>::open("{}").unwrap();
/// harness.push_left("USD", 10.0, 50).unwrap();
/// harness.push_left("USD", 10.0, 250).unwrap();
/// harness.push_left("USD", 10.0, 150).unwrap();
/// harness.push_right("USD", Some(0.5), 200).unwrap();
/// harness.push_right("USD", Some(0.75), 100).unwrap();
/// harness.watermark(250).unwrap();
/// let converted: Vec<_> = harness.output().into_iter().map(|(_, amount, time)| (amount, time.unwrap())).collect();
/// assert_eq!(converted, [(None, 50), (Some(7.5), 150), (Some(5.0), 250)]);
/// ```
pub trait TemporalJoin: Sized + 'static {
    /// The codec of both inputs' keys.
    type Key: Codec;
    /// The codec of the left input's values; `()` does not read them.
    type Left: Codec;
    /// The codec of the table's values, not `Option`: a null ends the version before it. `()` does not read them.
    type Right: Codec;
    /// How it emits: [`Output`](crate::Output).
    type Output: OutputKind;

    /// Reads the configuration and makes the operator; says whether left rows come out for which no version was valid: the
    /// kind is [`JoinKind::Inner`] or [`JoinKind::LeftOuter`]. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<(Self, JoinKind)>;

    /// Joins a row with the version that was valid at its time; `None` where there was none, in an outer join. Rows that are
    /// emitted without a time have that of the left row.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn join(
        &mut self,
        key: <Self::Key as Codec>::View<'_>,
        left: JoinRow<'_, Self::Left>,
        right: Option<JoinRow<'_, Self::Right>>,
        out: &mut Self::Output,
    ) -> Result<()>;
}

/// Runs a [`TemporalJoin`].
pub struct TemporalJoined<O: TemporalJoin> {
    operator: O,
    kind: JoinKind,
    left: SortedRows,
    versions: Versions,
    heads: Heads,
    late_left: SideOutput<O::Key, O::Left>,
    late_records: Counter,
}

impl<O: TemporalJoin> States for TemporalJoined<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.left.select(slot);
        self.versions.select(slot);
        self.heads.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        visit(self.left.column());
        visit(self.versions.column());
        visit(self.heads.column());
    }
}

impl<O: TemporalJoin> TemporalJoined<O> {
    /// Joins the left rows that the watermark has reached; how many.
    fn join_rows(&mut self, timer: &Timer<'_, O::Key>, call: &mut KeyedCall<'_>, out: &mut O::Output) -> Result<u64> {
        let TemporalJoined { operator, kind, left, versions, .. } = self;
        let (mut joined, mut walk, mut next) = (0, versions.walk(), Some(SortedRows::at(i64::MIN)));
        while let Some(cursor) = next {
            let page = left.page(call, &cursor, call.watermark())?;
            for row in &page.rows {
                versions.go_to(row.time, &mut walk, call)?;
                let version = walk.valid().map(|(time, value)| Ok::<_, Error>((time, decode::<O::Right>(value)?)));
                let version = version.transpose()?;
                if version.is_some() || kind.keeps_left() {
                    let value = decode::<O::Left>(row.value())?;
                    let right = version
                        .as_ref()
                        .map(|(time, value)| JoinRow { value: O::Right::view(value), timestamp: *time });
                    out.begin_row(row.time);
                    let left = JoinRow { value: O::Left::view(&value), timestamp: row.time };
                    operator.join(timer.key, left, right, out)?;
                }
                left.remove(row);
            }
            joined += page.rows.len() as u64;
            next = page.next;
        }
        Ok(joined)
    }
}

impl<O: TemporalJoin> KeyedTwoInputOperator for TemporalJoined<O> {
    type Key = O::Key;
    type Left = O::Left;
    type Right = Option<O::Right>;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        let (operator, kind) = O::open(setup)?;
        if kind.keeps_right() {
            return Err(Error::job("a temporal join is inner or left outer: versions do not come out by themselves"));
        }
        super::without_headers(setup)?;
        setup.event_timers();
        Ok(TemporalJoined {
            operator,
            kind,
            left: SortedRows::new(setup, "left"),
            versions: Versions::new(setup, "versions"),
            heads: Heads::new(setup, "head"),
            late_left: setup.side_output("late_left"),
            late_records: setup.counter("late_records"),
        })
    }

    fn process_left(
        &mut self,
        record: Record<'_, O::Key, O::Left>,
        call: &mut KeyedCall<'_>,
        _: &mut O::Output,
    ) -> Result<()> {
        let time = time_of(&record)?;
        if time <= call.watermark() {
            self.late_left.emit_at(time, record.key, record.value);
            call.add(self.late_records, 1.0);
            return Ok(());
        }
        let mut head = self.heads.get();
        self.left.add(time, record.batch.value(record.row), head.add());
        head.arm_by(time, call);
        self.heads.set(head);
        Ok(())
    }

    fn process_right(
        &mut self,
        record: Record<'_, O::Key, Option<O::Right>>,
        call: &mut KeyedCall<'_>,
        _: &mut O::Output,
    ) -> Result<()> {
        let time = time_of(&record)?;
        if time <= call.watermark() {
            call.add(self.late_records, 1.0);
        }
        // A column that is not read has no values, and ends no version.
        let value = if O::Right::COLUMN { record.batch.value(record.row) } else { Some(&[][..]) };
        self.versions.put(time, value);
        let mut head = self.heads.get();
        head.arm_by(time, call);
        self.heads.set(head);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, O::Key>, call: &mut KeyedCall<'_>, out: &mut O::Output) -> Result<()> {
        let mut head = self.heads.get();
        if head.armed != Some(timer.time) {
            return Ok(());
        }
        if head.rows > 0 {
            let joined = self.join_rows(&timer, call, out)?;
            head.rows = head.rows.saturating_sub(joined);
        }
        let version = self.versions.clean(call)?;
        let left = if head.rows > 0 { self.left.first_from(call, i64::MIN)? } else { None };
        head.arm(left.into_iter().chain(version).min(), call);
        self.heads.set(head);
        Ok(())
    }
}
