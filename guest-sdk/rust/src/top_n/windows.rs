//! Runs a top-N of each window, which comes out when the window is complete.

use super::rows::{Ranked, Top, TopRow, TopRows};
use crate::{
    codec::{Codec, Postcard},
    error::Result,
    output::OutputKind,
    record::Record,
    setup::Setup,
    state::MapKey,
    window::{Window, WindowOperator, Windows},
};

/// Keeps the `n` highest or lowest records of each key and window, and emits them in order when the window fires. Windows, late
/// records and their output are those of a [`WindowOperator`].
///
/// Records of one order are ranked by the bytes of their values.
///
/// ```
/// use std::time::Duration;
/// use wasmill_sdk::{prelude::*, testing::Harness, top_n::{Top, TopRow}};
///
/// /// The two most expensive orders of each minute.
/// struct Expensive;
///
/// #[operator]
/// impl WindowTopN for Expensive {
///     type Key = Text;
///     type Value = u64;
///     type Order = u64;
///     type Output = Output<Text, Postcard<(u64, u64)>>;
///
///     fn open(_: &mut Setup) -> Result<(Self, Top, Windows)> {
///         Ok((Expensive, Top::highest(2), Windows::tumbling(Duration::from_mins(1))))
///     }
///
///     fn order(&self, order: &Record<'_, Text, u64>) -> u64 {
///         order.value
///     }
///
///     fn emit(&mut self, shop: &str, _: Window, order: TopRow<'_, u64>, out: &mut Self::Output) -> Result<()> {
///         out.emit(shop, &(order.rank, order.value));
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<Expensive>::open("{}").unwrap();
/// for (amount, time) in [(10, 0), (30, 1_000), (20, 2_000), (99, 60_000)] {
///     harness.push("shop", amount, time).unwrap();
/// }
/// harness.watermark(59_999).unwrap();
/// let ranking: Vec<_> = harness.output().into_iter().map(|(_, row, time)| (row, time)).collect();
/// assert_eq!(ranking, [((1, 30), Some(59_999)), ((2, 20), Some(59_999))]);
/// ```
pub trait WindowTopN: Sized + 'static {
    /// The codec of keys.
    type Key: Codec;
    /// The codec of values; `()` does not read them.
    type Value: Codec;
    /// What records are ranked by: an integer, text, bytes, or a tuple of these.
    /// [`float_order`](super::float_order) makes an integer of a float.
    type Order: MapKey;
    /// How it emits: [`Output`](crate::Output).
    type Output: OutputKind;

    /// Reads the configuration and makes the operator; says which records are kept and which windows there are. Called to
    /// describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<(Self, Top, Windows)>;

    /// What a record is ranked by.
    fn order<'a>(&self, record: &Record<'a, Self::Key, Self::Value>) -> <Self::Order as MapKey>::View<'a>;

    /// Emits a row of a window's ranking; they come in order. Rows that are emitted without a time have that of the window's
    /// last millisecond.
    ///
    /// # Errors
    /// The batch's or the job's.
    fn emit(
        &mut self,
        key: <Self::Key as Codec>::View<'_>,
        window: Window,
        row: TopRow<'_, Self::Value>,
        out: &mut Self::Output,
    ) -> Result<()>;
}

/// A [`WindowTopN`] as a [`WindowOperator`].
pub struct TopOfWindows<O: WindowTopN> {
    operator: O,
    top: Top,
    order: Vec<u8>,
}

impl<O: WindowTopN> WindowOperator for TopOfWindows<O> {
    type Key = O::Key;
    type Value = O::Value;
    type Accumulator = Postcard<TopRows>;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        let (operator, top, windows) = O::open(setup)?;
        top.check()?;
        Ok((TopOfWindows { operator, top, order: Vec::new() }, windows))
    }

    fn add(&mut self, record: &Record<'_, O::Key, O::Value>, rows: &mut TopRows) -> Result<()> {
        self.order.clear();
        O::Order::encode(self.operator.order(record), &mut self.order);
        self.top.insert(rows, Ranked::new(&self.order, record.batch.value(record.row), record.timestamp));
        Ok(())
    }

    fn merge(&mut self, rows: &mut TopRows, other: &TopRows) -> Result<()> {
        self.top.merge(rows, other);
        Ok(())
    }

    fn emit(
        &mut self,
        key: <O::Key as Codec>::View<'_>,
        window: Window,
        rows: &TopRows,
        out: &mut O::Output,
    ) -> Result<()> {
        let operator = &mut self.operator;
        for (rank, row) in (1..).zip(rows.rows_from(0)) {
            row.show::<O::Value>(rank, &mut |row| operator.emit(key, window, row, out))?;
        }
        Ok(())
    }
}
