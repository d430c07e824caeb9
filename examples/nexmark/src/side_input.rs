//! Query 13: bids with a value from a side input, a small table that every subtask has a copy of.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::Events,
    row::{Rows, Str, rows},
};

/// A bid; its auction is the key.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Made {
    bidder: u64,
    price: u64,
    date_time: i64,
}

/// Query 13: a bid with the value of the side input.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Enriched<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: i64,
    #[serde(borrow)]
    value: Str<'a>,
}

/// A row of the side input: a record of CSV.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    key: String,
    value: String,
}

rows!(Made, Enriched<'a>);

/// Bids by auction.
#[operator(shared)]
pub fn bids_to_enrich(event: Record<'_, (), Events>, out: &mut Output<u64, Rows<Made>>) -> Result<()> {
    if let Some(bid) = event.value.bid_numbers()? {
        out.emit(bid.auction, Made { bidder: bid.bidder, price: bid.price, date_time: bid.date_time });
    }
    Ok(())
}

/// How many entries the side input may have.
const ENTRIES: u64 = 10_000;

/// Looks up auctions in the side input. Bids that come while it is still being read wait for its end.
///
/// The side input has no event time, so there is no watermark before its end, and bids are looked up as soon as there is one.
#[derive(States)]
pub struct SideInput {
    values: BroadcastState<u64, Text>,
    waiting: ListState<Rows<Made>>,
}

impl SideInput {
    fn look_up(&self, auction: u64, bid: Made, out: &mut Output<(), Rows<Enriched<'static>>>) {
        if let Some(value) = self.values.get(auction % ENTRIES) {
            let Made { bidder, price, date_time } = bid;
            out.emit_at(date_time, (), Enriched { auction, bidder, price, date_time, value: value.into() });
        }
    }
}

#[operator(shared)]
impl KeyedBroadcastOperator for SideInput {
    type Key = u64;
    type Value = Rows<Made>;
    type BroadcastKey = ();
    type BroadcastValue = Json<Entry>;
    type Output = Output<(), Rows<Enriched<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(SideInput { values: setup.broadcast_state("values"), waiting: setup.list_state("waiting") })
    }

    fn process(
        &mut self,
        bid: Record<'_, u64, Rows<Made>>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        if call.watermark() > i64::MIN {
            self.look_up(bid.key, bid.value, out);
        } else {
            self.waiting.append(bid.value)?;
            // The first watermark there is.
            call.register_event_timer(i64::MIN + 1, 0);
        }
        Ok(())
    }

    fn process_broadcast(
        &mut self,
        entry: Record<'_, (), Json<Entry>>,
        call: &mut BroadcastCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let Entry { key, value } = entry.value;
        let key: u64 = key.parse().map_err(|_| Error::record(format_args!("the key `{key}` is no number")))?;
        if key >= ENTRIES {
            return Err(Error::record(format_args!("the key {key} is never looked up: it is not below {ENTRIES}")));
        }
        self.values.put(call, key, value.clone());
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let waiting: Vec<Made> = self.waiting.get(call)?.collect::<Result<_>>()?;
        for bid in waiting {
            self.look_up(timer.key(), bid, out);
        }
        self.waiting.clear();
        Ok(())
    }
}
