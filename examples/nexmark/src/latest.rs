//! Queries 18 and 19: of each bidder and auction the last bid, of each auction the ten highest.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::Events,
    row::{Rows, rows},
};

/// Query 18: a bid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: &'a str,
    url: &'a str,
    date_time: i64,
    extra: &'a str,
}

/// Query 19: a bid and its rank among those for its auction, from 1.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Ranked<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: &'a str,
    url: &'a str,
    date_time: i64,
    extra: &'a str,
    rank_number: u64,
}

rows!(Last<'a>, Ranked<'a>);

impl Last<'_> {
    /// What tells bids of the same time and price apart: the highest bidder's number is no better than the lowest's, but one
    /// of the two must be, whichever came first.
    fn rest(&self) -> (u64, &str, &str, &str) {
        (self.bidder, self.channel, self.url, self.extra)
    }

    /// Whether it is the later bid; the higher one at the same time.
    fn is_later_than(&self, other: &Last<'_>) -> bool {
        let (time, than) = ((self.date_time, self.price), (other.date_time, other.price));
        time > than || time == than && self.rest() < other.rest()
    }

    /// Whether it is the higher bid; the earlier one of the same price.
    fn is_higher_than(&self, other: &Last<'_>) -> bool {
        let (price, than) = ((u64::MAX - self.price, self.date_time), (u64::MAX - other.price, other.date_time));
        (price, self.rest()) < (than, other.rest())
    }
}

fn last<'a>(event: &Record<'a, (), Events>) -> Result<Option<Last<'a>>> {
    let bid = event.value.bid()?;
    Ok(bid.map(|bid| Last {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel,
        url: bid.url,
        date_time: bid.date_time,
        extra: bid.extra,
    }))
}

/// Bids by bidder and auction, sixteen bytes.
#[operator(shared)]
pub fn bids_by_bidder_and_auction(
    event: Record<'_, (), Events>,
    out: &mut Output<Bytes, Rows<Last<'static>>>,
) -> Result<()> {
    if let Some(bid) = last(&event)? {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&bid.bidder.to_le_bytes());
        key[8..].copy_from_slice(&bid.auction.to_le_bytes());
        out.emit(&key, bid);
    }
    Ok(())
}

/// Bids by auction.
#[operator(shared)]
pub fn bids_by_auction(event: Record<'_, (), Events>, out: &mut Output<u64, Rows<Last<'static>>>) -> Result<()> {
    if let Some(bid) = last(&event)? {
        out.emit(bid.auction, bid);
    }
    Ok(())
}

/// Query 18: keeps the last bid of each bidder and auction, and tells it at the end of the input.
#[derive(States)]
pub struct LastBids {
    last: ValueState<Rows<Last<'static>>>,
}

#[operator(shared)]
impl KeyedOperator for LastBids {
    type Key = Bytes;
    type Value = Rows<Last<'static>>;
    type Output = Output<(), Rows<Last<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(LastBids { last: setup.value_state("last") })
    }

    fn process(
        &mut self,
        record: Record<'_, Bytes, Self::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        match self.last.get() {
            Some(last) if !record.value.is_later_than(&last) => return Ok(()),
            Some(_) => {}
            None => call.register_event_timer(END_OF_TIME, 0),
        }
        self.last.set(Rows::<Last<'static>>::pack(&record.value));
        Ok(())
    }

    fn on_timer(&mut self, _: Timer<'_, Bytes>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if let Some(last) = self.last.get() {
            out.emit_at(last.date_time, (), last);
        }
        self.last.clear();
        Ok(())
    }
}

/// How many bids of an auction query 19 tells.
const TOP: usize = 10;

/// Query 19: keeps the ten highest bids of each auction, and tells them at the end of the input.
#[derive(States)]
pub struct TopBids {
    /// Packed rows, the highest first.
    top: ValueState<Postcard<Vec<Vec<u8>>>>,
}

#[operator(shared)]
impl KeyedOperator for TopBids {
    type Key = u64;
    type Value = Rows<Last<'static>>;
    type Output = Output<(), Rows<Ranked<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(TopBids { top: setup.value_state("top") })
    }

    fn process(
        &mut self,
        record: Record<'_, u64, Self::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let bid = record.value;
        let none = Vec::new();
        let top = self.top.get().unwrap_or(&none);
        let mut at = top.len();
        while let Some(above) = at.checked_sub(1).and_then(|above| top.get(above)) {
            if !bid.is_higher_than(&Rows::<Last<'static>>::read(above)?) {
                break;
            }
            at -= 1;
        }
        if top.is_empty() {
            call.register_event_timer(END_OF_TIME, 0);
        }
        if at < TOP {
            let packed = Rows::<Last<'static>>::pack(&bid);
            self.top.update(|top| {
                top.truncate(TOP - 1);
                top.insert(at.min(top.len()), packed);
            });
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer<'_, u64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        for (above, bid) in self.top.get().into_iter().flatten().enumerate() {
            let Last { auction, bidder, price, channel, url, date_time, extra } = Rows::<Last<'static>>::read(bid)?;
            let rank_number = above as u64 + 1;
            out.emit_at(date_time, (), Ranked { auction, bidder, price, channel, url, date_time, extra, rank_number });
        }
        self.top.clear();
        Ok(())
    }
}
