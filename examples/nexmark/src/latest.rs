//! Queries 18 and 19: of each bidder and auction the last bid, of each auction the ten highest.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};
use wasmill_sdk::{Codec, prelude::*};

use crate::{
    event::Events,
    row::{Rows, Str, rows},
};

/// Query 18: a bid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    #[serde(borrow)]
    channel: Str<'a>,
    url: Str<'a>,
    date_time: i64,
    extra: Str<'a>,
}

/// Query 19: a bid and its rank among those for its auction, from 1.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Ranked<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    #[serde(borrow)]
    channel: Str<'a>,
    url: Str<'a>,
    date_time: i64,
    extra: Str<'a>,
    rank_number: u64,
}

rows!(Last<'a>, Ranked<'a>);

/// A bid that is kept: what decides first is at hand, the rest encoded.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Kept {
    price: u64,
    date_time: i64,
    bid: Vec<u8>,
}

impl Kept {
    /// Keeps `bid` instead.
    fn replace(&mut self, bid: Last<'_>) -> Result<()> {
        (self.price, self.date_time) = (bid.price, bid.date_time);
        self.bid.clear();
        Rows::<Last<'static>>::encode(bid, &mut self.bid)?;
        Ok(())
    }

    /// Whether `bid` comes before it, by the ranks of both, or by what tells bids apart at all.
    #[inline]
    fn is_behind<R: Ord>(&self, bid: &Last<'_>, rank: fn(u64, i64) -> R) -> Result<bool> {
        Ok(match rank(bid.price, bid.date_time).cmp(&rank(self.price, self.date_time)) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => {
                let rest =
                    |bid: &Last<'_>| (bid.bidder, bid.channel.0.to_vec(), bid.url.0.to_vec(), bid.extra.0.to_vec());
                rest(bid) < rest(&Rows::<Last<'static>>::read(&self.bid)?)
            }
        })
    }
}

/// The later bid first, the higher one at the same time.
fn latest(price: u64, date_time: i64) -> (Reverse<i64>, Reverse<u64>) {
    (Reverse(date_time), Reverse(price))
}

/// The higher bid first, the earlier one of the same price.
fn highest(price: u64, date_time: i64) -> (Reverse<u64>, i64) {
    (Reverse(price), date_time)
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
    last: ValueState<Postcard<Kept>>,
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
            Some(last) if !last.is_behind(&record.value, latest)? => return Ok(()),
            Some(_) => {}
            None => call.register_event_timer(END_OF_TIME, 0),
        }
        self.last.update(|last| last.replace(record.value))
    }

    fn on_timer(&mut self, _: Timer<'_, Bytes>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if let Some(last) = self.last.get() {
            out.emit_at(last.date_time, (), Rows::<Last<'static>>::read(&last.bid)?);
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
    /// The highest first.
    top: ValueState<Postcard<Vec<Kept>>>,
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
        let top = self.top.get().map_or(&[][..], Vec::as_slice);
        let mut at = top.len();
        while let Some(above) = at.checked_sub(1).and_then(|above| top.get(above)) {
            if !above.is_behind(&bid, highest)? {
                break;
            }
            at -= 1;
        }
        if top.is_empty() {
            call.register_event_timer(END_OF_TIME, 0);
        }
        if at < TOP {
            self.top.update(|top| {
                // The lowest, which goes, makes room for this one.
                let mut kept = if top.len() == TOP { top.pop().unwrap_or_default() } else { Kept::default() };
                kept.replace(bid)?;
                top.insert(at.min(top.len()), kept);
                Ok::<(), Error>(())
            })?;
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer<'_, u64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        for (above, bid) in self.top.get().into_iter().flatten().enumerate() {
            let Last { auction, bidder, price, channel, url, date_time, extra } =
                Rows::<Last<'static>>::read(&bid.bid)?;
            let rank_number = above as u64 + 1;
            out.emit_at(date_time, (), Ranked { auction, bidder, price, channel, url, date_time, extra, rank_number });
        }
        self.top.clear();
        Ok(())
    }
}
