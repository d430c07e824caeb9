//! Runs a top-N: keeps the first few records of a key by an order of theirs.

mod rows;
mod windows;

pub use rows::{Top, TopRow, TopRows};
pub use windows::{TopOfWindows, WindowTopN};

use rows::Ranked;

use crate::{
    call::KeyedCall,
    codec::{Codec, Postcard},
    error::Result,
    operator::KeyedOperator,
    output::OutputKind,
    record::Record,
    setup::Setup,
    state::{MapKey, Slot, State, StateColumn, States, Ttl, ValueState},
    window::no_map_values,
};

/// Keeps the `n` highest or lowest records of each key, and emits what changes: where a record comes to a rank, that rank and all
/// below it. It is Flink's `ROW_NUMBER() OVER (PARTITION BY key ORDER BY ..) <= n` with the rank in the output, on an input that is
/// only added to; what comes out are updates, for a sink that keeps one row a key and rank.
///
/// Records of one order are ranked by the bytes of their values, where Flink ranks them as they come: the ranking is the same in
/// whatever order records came.
///
/// Of a key `n` rows are in state, for ever unless there is a [`ttl`](TopN::ttl). For one final ranking of each window see
/// [`WindowTopN`].
///
/// ```
/// use wasmill_sdk::{prelude::*, testing::Harness, top_n::{Top, TopRow}};
///
/// /// The two highest bids of each auction.
/// struct HighestBids;
///
/// #[operator]
/// impl TopN for HighestBids {
///     type Key = u64;
///     type Value = Postcard<(String, u64)>;
///     type Order = u64;
///     type Output = Output<u64, Postcard<(u64, String)>>;
///
///     fn open(_: &mut Setup) -> Result<(Self, Top)> {
///         Ok((HighestBids, Top::highest(2)))
///     }
///
///     fn order(&self, bid: &Record<'_, u64, Self::Value>) -> u64 {
///         bid.value.1
///     }
///
///     fn emit(&mut self, auction: u64, bid: TopRow<'_, Self::Value>, out: &mut Self::Output) -> Result<()> {
///         out.emit(auction, &(bid.rank, bid.value.0.clone()));
///         Ok(())
///     }
/// }
///
/// let mut harness = Harness::<HighestBids>::open("{}").unwrap();
/// for (bidder, price) in [("ann", 10), ("ben", 30), ("cid", 5), ("dan", 20)] {
///     harness.push(1, &(bidder.to_string(), price), 0).unwrap();
/// }
/// let updates: Vec<_> = harness.output().into_iter().map(|(_, update, _)| update).collect();
/// let expected = [(1, "ann"), (1, "ben"), (2, "ann"), (2, "dan")];
/// assert_eq!(updates, expected.map(|(rank, bidder)| (rank, bidder.to_string())));
/// ```
pub trait TopN: Sized + 'static {
    /// The codec of keys.
    type Key: Codec;
    /// The codec of values; `()` does not read them.
    type Value: Codec;
    /// What records are ranked by: an integer, text, bytes, or a tuple of these. [`float_order`] makes an integer of a float.
    type Order: MapKey;
    /// How it emits: [`Output`](crate::Output).
    type Output: OutputKind;

    /// Reads the configuration and makes the operator; says which records are kept. Called to describe it and to start it.
    ///
    /// # Errors
    /// The job's.
    fn open(setup: &mut Setup) -> Result<(Self, Top)>;

    /// What a record is ranked by.
    fn order<'a>(&self, record: &Record<'a, Self::Key, Self::Value>) -> <Self::Order as MapKey>::View<'a>;

    /// Emits a row that comes to a rank. Rows that are emitted without a time have that of the record that changed the ranking.
    ///
    /// # Errors
    /// What is at fault: by default, and for any error that `?` converts, the record.
    fn emit(
        &mut self,
        key: <Self::Key as Codec>::View<'_>,
        row: TopRow<'_, Self::Value>,
        out: &mut Self::Output,
    ) -> Result<()>;

    /// How long the ranking of a key lives after it changed last; `None`, which is the default, for ever.
    fn ttl(&self) -> Option<Ttl> {
        None
    }
}

/// Runs a [`TopN`].
pub struct TopOfKeys<O: TopN> {
    operator: O,
    top: Top,
    ranked: ValueState<Postcard<TopRows>>,
    order: Vec<u8>,
}

impl<O: TopN> States for TopOfKeys<O> {
    #[inline(always)]
    fn select(&mut self, slot: Slot) {
        self.ranked.select(slot);
    }

    fn visit(&mut self, visit: &mut dyn FnMut(&mut dyn StateColumn)) {
        visit(self.ranked.column());
    }
}

impl<O: TopN> KeyedOperator for TopOfKeys<O> {
    type Key = O::Key;
    type Value = O::Value;
    type Output = O::Output;

    fn open(setup: &mut Setup) -> Result<Self> {
        no_map_values::<O::Output>()?;
        let (operator, top) = O::open(setup)?;
        top.check()?;
        let ranked = match operator.ttl() {
            Some(ttl) => setup.state("top").ttl(ttl).value(),
            None => setup.value_state("top"),
        };
        Ok(TopOfKeys { operator, top, ranked, order: Vec::new() })
    }

    fn process(
        &mut self,
        record: Record<'_, O::Key, O::Value>,
        _: &mut KeyedCall<'_>,
        out: &mut O::Output,
    ) -> Result<()> {
        let TopOfKeys { operator, top, ranked, order } = self;
        order.clear();
        O::Order::encode(operator.order(&record), order);
        let row = Ranked::new(order, record.batch.value(record.row), record.timestamp);
        if ranked.get().is_some_and(|rows| !top.has_room_for(rows, &row)) {
            return Ok(());
        }
        let Some(at) = ranked.update(|rows| top.insert(rows, row)) else { return Ok(()) };
        let rows = ranked.get().map(|rows| rows.rows_from(at)).unwrap_or_default();
        for (rank, row) in (at as u64 + 1..).zip(rows) {
            row.show::<O::Value>(rank, &mut |row| operator.emit(record.key, row, out))?;
        }
        Ok(())
    }
}

/// An integer whose order is that of the float: negative ones first, `-0.0` before `0.0`, and what is not a number at the ends.
///
/// ```
/// use wasmill_sdk::top_n::float_order;
///
/// assert!(float_order(-1.5) < float_order(-0.5) && float_order(-0.5) < float_order(2.0));
/// ```
pub fn float_order(float: f64) -> i64 {
    let bits = float.to_bits() as i64;
    // As `f64::total_cmp`: the bits of negative ones but the sign are turned.
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}
