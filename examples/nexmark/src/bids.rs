//! Queries 0, 1, 2, 10, 14, 21 and 22: bids one by one, without state.

use serde::{Deserialize, Serialize, Serializer};
use wasmill_sdk::prelude::*;

use crate::{
    calendar::{Day, Minute, hour},
    event::{Bid, Events},
    row::{Rows, Str, rows},
};

/// An amount of a thousandth of a cent. As JSON a number of cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Thousandths(pub u64);

impl Serialize for Thousandths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_f64(self.0 as f64 / 1000.0)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

/// Dollar cents as euro cents, at 0.908.
fn euros(price: u64) -> Result<Thousandths> {
    price.checked_mul(908).map(Thousandths).ok_or_else(|| Error::record("its price is too high to be converted"))
}

/// Queries 0 and 7: the bid.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Passed<'a> {
    auction: u64,
    bidder: u64,
    /// Cents.
    pub price: u64,
    date_time: i64,
    #[serde(borrow)]
    extra: Str<'a>,
}

impl<'a> From<Bid<'a>> for Passed<'a> {
    fn from(bid: Bid<'a>) -> Passed<'a> {
        let Bid { auction, bidder, price, date_time, extra, .. } = bid;
        Passed { auction, bidder, price, date_time, extra }
    }
}

/// Query 1: the bid in euros.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Converted<'a> {
    auction: u64,
    bidder: u64,
    price: Thousandths,
    date_time: i64,
    #[serde(borrow)]
    extra: Str<'a>,
}

/// Query 2: a price that was bid for one of some auctions.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Selected {
    auction: u64,
    price: u64,
}

/// Query 10: the bid with its partition.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Logged<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    date_time: i64,
    #[serde(borrow)]
    extra: Str<'a>,
    dt: Day,
    hm: Minute,
}

/// Query 14: the bid with what was calculated from it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Calculated<'a> {
    auction: u64,
    bidder: u64,
    price: Thousandths,
    #[serde(borrow)]
    bid_time_type: Str<'a>,
    date_time: i64,
    extra: Str<'a>,
    c_counts: u64,
}

/// Query 21: the bid with the number of its channel.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Channel<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    #[serde(borrow)]
    channel: Str<'a>,
    channel_id: Str<'a>,
}

/// Query 22: the bid with the folders of its page; `None` where there are fewer.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Folders<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    #[serde(borrow)]
    channel: Str<'a>,
    dir1: Option<Str<'a>>,
    dir2: Option<Str<'a>>,
    dir3: Option<Str<'a>>,
}

rows!(Passed<'a>, Converted<'a>, Selected, Logged<'a>, Calculated<'a>, Channel<'a>, Folders<'a>);

/// Query 0: passes bids on.
#[operator(shared)]
pub fn pass(event: Record<'_, (), Events>, out: &mut Output<(), Rows<Passed<'static>>>) -> Result<()> {
    if let Some(bid) = event.value.bid()? {
        out.emit((), bid.into());
    }
    Ok(())
}

/// Query 1: prices in euros.
#[operator(shared)]
pub fn convert(event: Record<'_, (), Events>, out: &mut Output<(), Rows<Converted<'static>>>) -> Result<()> {
    if let Some(bid) = event.value.bid()? {
        let (auction, bidder, price) = (bid.auction, bid.bidder, euros(bid.price)?);
        out.emit((), Converted { auction, bidder, price, date_time: bid.date_time, extra: bid.extra });
    }
    Ok(())
}

/// Query 2: prices of some auctions.
#[operator(shared)]
pub fn select(event: Record<'_, (), Events>, out: &mut Output<(), Rows<Selected>>) -> Result<()> {
    if let Some(bid) = event.value.bid_numbers()?
        && bid.auction % 123 == 0
    {
        out.emit((), Selected { auction: bid.auction, price: bid.price });
    }
    Ok(())
}

/// Query 10: bids with the partition of a log, by day and minute.
#[operator(shared)]
pub fn log_bids(event: Record<'_, (), Events>, out: &mut Output<Text, Rows<Logged<'static>>>) -> Result<()> {
    if let Some(bid) = event.value.bid()? {
        let (auction, bidder, price, date_time) = (bid.auction, bid.bidder, bid.price, bid.date_time);
        let (dt, hm) = (Day::of(date_time), Minute::of(date_time));
        out.emit("", Logged { auction, bidder, price, date_time, extra: bid.extra, dt, hm });
    }
    Ok(())
}

/// Query 14: a calculation and a filter.
#[operator(shared)]
pub fn calculate(event: Record<'_, (), Events>, out: &mut Output<(), Rows<Calculated<'static>>>) -> Result<()> {
    let Some(bid) = event.value.bid()? else { return Ok(()) };
    let price = euros(bid.price)?;
    if price.0 <= 1_000_000_000 || price.0 >= 50_000_000_000 {
        return Ok(());
    }
    let bid_time_type = match hour(bid.date_time) {
        8..=18 => "dayTime",
        ..=6 | 20.. => "nightTime",
        _ => "otherTime",
    };
    let c_counts = bid.extra.0.iter().filter(|&&byte| byte == b'c').count() as u64;
    let (auction, bidder, date_time) = (bid.auction, bid.bidder, bid.date_time);
    let bid_time_type = bid_time_type.into();
    out.emit((), Calculated { auction, bidder, price, bid_time_type, date_time, extra: bid.extra, c_counts });
    Ok(())
}

/// Query 21: the number of each bid's channel; bids without one are left out.
#[operator(shared)]
pub fn channel_ids(event: Record<'_, (), Events>, out: &mut Output<(), Rows<Channel<'static>>>) -> Result<()> {
    let Some(bid) = event.value.bid()? else { return Ok(()) };
    let known = ["apple", "google", "facebook", "baidu"].iter().zip(["0", "1", "2", "3"]);
    let known = known.filter(|(name, _)| bid.channel.0.eq_ignore_ascii_case(name.as_bytes())).map(|(_, id)| id.into());
    if let Some(channel_id) = known.take(1).next().or_else(|| parameter(bid.url, b"channel_id=")) {
        let (auction, bidder, price, channel) = (bid.auction, bid.bidder, bid.price, bid.channel);
        out.emit((), Channel { auction, bidder, price, channel, channel_id });
    }
    Ok(())
}

/// What follows the first `parameter` that stands at the beginning or after `&`, up to the next `&`: the public query's
/// `(&|^)channel_id=([^&]*)`.
fn parameter<'a>(url: Str<'a>, parameter: &[u8]) -> Option<Str<'a>> {
    url.0.split(|&byte| byte == b'&').find_map(|part| part.strip_prefix(parameter)).map(Str)
}

/// Query 22: the folders of each bid's page.
#[operator(shared)]
pub fn folders(event: Record<'_, (), Events>, out: &mut Output<(), Rows<Folders<'static>>>) -> Result<()> {
    if let Some(bid) = event.value.bid()? {
        let mut parts = bid.url.0.split(|&byte| byte == b'/').skip(3).map(Str);
        let (dir1, dir2, dir3) = (parts.next(), parts.next(), parts.next());
        let (auction, bidder, price, channel) = (bid.auction, bid.bidder, bid.price, bid.channel);
        out.emit((), Folders { auction, bidder, price, channel, dir1, dir2, dir3 });
    }
    Ok(())
}
