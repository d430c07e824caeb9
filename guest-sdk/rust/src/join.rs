//! Joins of two keyed inputs in event time: by window, within an interval, and with the version of a table that was valid.
//!
//! | Flink | here |
//! |---|---|
//! | `a.join(b).where(..).equalTo(..).window(..)` | [`WindowJoin`], [`JoinKind::Inner`] |
//! | the same by `coGroup`, as an outer join | [`WindowJoin`] with another [`JoinKind`] |
//! | `a.keyBy(..).intervalJoin(b.keyBy(..)).between(..)` | [`IntervalJoin`] |
//! | `JOIN versions FOR SYSTEM_TIME AS OF a.rowtime` | [`TemporalJoin`] |
//! | a lookup in a broadcast table | [`KeyedBroadcastOperator`](crate::KeyedBroadcastOperator), see below |
//! | `KeyedCoProcessFunction` | [`KeyedTwoInputOperator`](crate::KeyedTwoInputOperator) |
//!
//! The inputs are named `left` and `right` and have keys of one codec: rows are joined where the keys have the same bytes. A
//! record whose key is null is refused, as by every keyed input. Records must have event times. Rows are kept without
//! their headers.
//!
//! Rows that come after the watermark said that they would not go to the side outputs `late_left` and `late_right`, with key and
//! value, and are counted in the metric `late_records`.
//!
//! # Lookup in a broadcast table
//!
//! A small table that every subtask needs is broadcast; the state of the join is then that table alone. What is found is what the
//! table holds at that moment, in processing time.
//!
//! ```
//! use wasmill_sdk::{prelude::*, testing::Harness};
//!
//! /// Adds the name of the country to orders; those of unknown countries go to an output of their own.
//! #[derive(States)]
//! struct NameCountries {
//!     names: BroadcastState<Text, Text>,
//!     unknown: SideOutput<u64, Text>,
//! }
//!
//! #[operator]
//! impl KeyedBroadcastOperator for NameCountries {
//!     type Key = u64;
//!     type Value = Text;
//!     type BroadcastKey = Text;
//!     type BroadcastValue = Option<Text>;
//!     type Output = Output<u64, Text>;
//!
//!     fn open(setup: &mut Setup) -> Result<Self> {
//!         Ok(NameCountries { names: setup.broadcast_state("names"), unknown: setup.side_output("unknown") })
//!     }
//!
//!     fn process(
//!         &mut self,
//!         order: Record<'_, u64, Text>,
//!         _: &mut KeyedCall<'_>,
//!         out: &mut Self::Output,
//!     ) -> Result<()> {
//!         match self.names.get(order.value) {
//!             Some(name) => out.emit(order.key, name),
//!             None => self.unknown.emit_at(order.timestamp().unwrap_or(0), order.key, order.value),
//!         }
//!         Ok(())
//!     }
//!
//!     fn process_broadcast(
//!         &mut self,
//!         country: Record<'_, Text, Option<Text>>,
//!         call: &mut BroadcastCall<'_>,
//!         _: &mut Self::Output,
//!     ) -> Result<()> {
//!         match country.value {
//!             Some(name) => self.names.put(call, country.key, name.to_string()),
//!             None => self.names.remove(call, country.key),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut harness = Harness::<NameCountries>::open("{}").unwrap();
//! harness.push_broadcast("no", Some("Norway"), 0).unwrap();
//! harness.push(17, "no", 5).unwrap();
//! harness.push(18, "xx", 6).unwrap();
//! assert_eq!(harness.output(), [(17, "Norway".to_string(), Some(5))]);
//! assert_eq!(harness.side_output::<u64, Text>("unknown"), [(18, "xx".to_string(), Some(6))]);
//! ```

mod interval;
mod temporal;
mod window;

pub use interval::{Interval, IntervalJoin, IntervalJoined};
pub use temporal::{TemporalJoin, TemporalJoined};
pub use window::{WindowJoin, WindowJoined};

use crate::{
    bindings::wasmill::operator::description::Columns,
    codec::Codec,
    error::{Error, Result},
    setup::Setup,
};

/// Whether rows that match none come out as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs only.
    Inner,
    /// Left rows that match none too.
    LeftOuter,
    /// Right rows that match none too.
    RightOuter,
    /// Rows of both inputs that match none too.
    FullOuter,
}

impl JoinKind {
    /// Whether left rows that match none come out.
    fn keeps_left(self) -> bool {
        matches!(self, JoinKind::LeftOuter | JoinKind::FullOuter)
    }

    /// Whether right rows that match none come out.
    fn keeps_right(self) -> bool {
        matches!(self, JoinKind::RightOuter | JoinKind::FullOuter)
    }
}

/// A row of one input, as a join sees it.
pub struct JoinRow<'a, V: Codec> {
    /// Its value.
    pub value: V::View<'a>,
    /// Its event time, milliseconds since the Unix epoch.
    pub timestamp: i64,
}

impl<V: Codec> Clone for JoinRow<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: Codec> Copy for JoinRow<'_, V> {}

/// Verifies that headers are not asked for.
///
/// # Errors
/// The job's.
fn without_headers(setup: &Setup) -> Result {
    match setup.description.inputs.iter().any(|input| input.columns.contains(Columns::HEADERS)) {
        true => Err(Error::job("a join keeps its rows without their headers: it cannot read them")),
        false => Ok(()),
    }
}
