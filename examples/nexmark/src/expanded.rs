//! Query 20: bids with all of the auction, for category 10. A join of two streams as they come.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::Events,
    row::{Rows, Str, rows},
};

/// A bid, or the auction that it is for; the auction's number is the key.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub enum Side<'a> {
    /// A bid.
    Bid(#[serde(borrow)] Made<'a>),
    /// An auction of category 10.
    Auction(#[serde(borrow)] Offered<'a>),
    /// An auction of another category: that it has come is all there is to know.
    #[default]
    Other,
}

/// A bid.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Made<'a> {
    bidder: u64,
    price: u64,
    #[serde(borrow)]
    channel: Str<'a>,
    url: Str<'a>,
    date_time: i64,
    extra: Str<'a>,
}

/// An auction of category 10.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Offered<'a> {
    #[serde(borrow)]
    item_name: Str<'a>,
    description: Str<'a>,
    initial_bid: u64,
    reserve: u64,
    date_time: i64,
    expires: i64,
    seller: u64,
    category: u64,
    extra: Str<'a>,
}

/// Query 20: a bid with its auction.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Expanded<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    #[serde(borrow)]
    channel: Str<'a>,
    url: Str<'a>,
    bid_date_time: i64,
    bid_extra: Str<'a>,
    item_name: Str<'a>,
    description: Str<'a>,
    initial_bid: u64,
    reserve: u64,
    auction_date_time: i64,
    expires: i64,
    seller: u64,
    category: u64,
    auction_extra: Str<'a>,
}

rows!(Side<'a>, Made<'a>, Expanded<'a>);

/// Auctions and bids by auction.
#[operator(shared)]
pub fn bids_and_auctions(event: Record<'_, (), Events>, out: &mut Output<u64, Rows<Side<'static>>>) -> Result<()> {
    if let Some(bid) = event.value.bid()? {
        let (bidder, price, channel, url) = (bid.bidder, bid.price, bid.channel, bid.url);
        out.emit(
            bid.auction,
            Side::Bid(Made { bidder, price, channel, url, date_time: bid.date_time, extra: bid.extra }),
        );
    } else if let Some(auction) = event.value.auction()? {
        let side = if auction.category == 10 {
            Side::Auction(Offered {
                item_name: auction.item_name,
                description: auction.description,
                initial_bid: auction.initial_bid,
                reserve: auction.reserve,
                date_time: auction.date_time,
                expires: auction.expires,
                seller: auction.seller,
                category: auction.category,
                extra: auction.extra,
            })
        } else {
            Side::Other
        };
        out.emit(auction.id, side);
    }
    Ok(())
}

/// Keeps the auction, and the bids that came before.
#[derive(States)]
pub struct ExpandedBids {
    auction: ValueState<Rows<Side<'static>>>,
    waiting: ListState<Rows<Made<'static>>>,
}

/// The row has the later time of the two, whichever came first.
fn join(id: u64, auction: &Offered<'_>, bid: &Made<'_>, out: &mut Output<(), Rows<Expanded<'static>>>) {
    let expanded = Expanded {
        auction: id,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel,
        url: bid.url,
        bid_date_time: bid.date_time,
        bid_extra: bid.extra,
        item_name: auction.item_name,
        description: auction.description,
        initial_bid: auction.initial_bid,
        reserve: auction.reserve,
        auction_date_time: auction.date_time,
        expires: auction.expires,
        seller: auction.seller,
        category: auction.category,
        auction_extra: auction.extra,
    };
    out.emit_at(bid.date_time.max(auction.date_time), (), expanded);
}

#[operator(shared)]
impl KeyedOperator for ExpandedBids {
    type Key = u64;
    type Value = Rows<Side<'static>>;
    type Output = Output<(), Rows<Expanded<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        Ok(ExpandedBids { auction: setup.value_state("auction"), waiting: setup.list_state("waiting") })
    }

    fn process(
        &mut self,
        record: Record<'_, u64, Self::Value>,
        call: &mut KeyedCall<'_>,
        out: &mut Self::Output,
    ) -> Result<()> {
        if let Side::Bid(bid) = record.value {
            match self.auction.get() {
                Some(Side::Auction(auction)) => join(record.key, &auction, &bid, out),
                Some(_) => {}
                None => self.waiting.append(bid)?,
            }
            return Ok(());
        }
        let mut any = false;
        for bid in self.waiting.get(call)? {
            let bid = bid?;
            any = true;
            if let Side::Auction(auction) = record.value {
                join(record.key, &auction, &bid, out);
            }
        }
        if any {
            self.waiting.clear();
        }
        self.auction.set(Rows::<Side<'static>>::pack(&record.value));
        Ok(())
    }
}
