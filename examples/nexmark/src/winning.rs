//! Queries 4, 6 and 9, first steps: which bid won each auction when it closed.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::{Auction, Bid, Events},
    row::{Rows, Str, rows},
};

/// An auction, or a bid for it; the auction's number is the key. Text, and what only query 9 tells, is empty or 0 where it is not
/// asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Offer<'a> {
    /// A bid, and its padding.
    Bid(Made, #[serde(borrow)] Str<'a>),
    /// The auction.
    Auction(Offered, #[serde(borrow)] Texts<'a>),
}

impl Default for Offer<'_> {
    fn default() -> Self {
        Offer::Bid(Made::default(), Str::default())
    }
}

/// A bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Made {
    bidder: u64,
    price: u64,
    date_time: i64,
}

/// An auction.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Offered {
    initial_bid: u64,
    reserve: u64,
    date_time: i64,
    expires: i64,
    seller: u64,
    category: u64,
}

/// The text of an auction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts<'a> {
    #[serde(borrow)]
    item_name: Str<'a>,
    description: Str<'a>,
    extra: Str<'a>,
}

/// A bid that came before its auction.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Early<'a> {
    bid: Made,
    #[serde(borrow)]
    extra: Str<'a>,
}

/// Query 9: an auction that closed and the bid that won it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Won<'a> {
    /// The auction.
    pub id: u64,
    #[serde(borrow)]
    item_name: Str<'a>,
    description: Str<'a>,
    initial_bid: u64,
    reserve: u64,
    date_time: i64,
    /// When it closed, milliseconds since the Unix epoch.
    pub expires: i64,
    /// Who sold.
    pub seller: u64,
    /// The item's category.
    pub category: u64,
    extra: Str<'a>,
    auction: u64,
    bidder: u64,
    /// What was paid, cents.
    pub price: u64,
    bid_date_time: i64,
    bid_extra: Str<'a>,
}

rows!(Offer<'a>, Texts<'a>, Early<'a>, Won<'a>);

/// The `config` table of [`Offers`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OffersConfig {
    /// `all`, or `few`: those that queries 4 and 6 need.
    columns: Columns,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Columns {
    All,
    Few,
}

/// Auctions and bids by auction.
pub struct Offers {
    all: bool,
}

#[operator(shared)]
impl RecordOperator for Offers {
    type Key = ();
    type Value = Events;
    type Output = Output<u64, Rows<Offer<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let OffersConfig { columns } = setup.config()?;
        Ok(Offers { all: columns == Columns::All })
    }

    fn process(&mut self, event: Record<'_, (), Events>, _: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        if !self.all
            && let Some(bid) = event.value.bid_numbers()?
        {
            let made = Made { bidder: bid.bidder, price: bid.price, date_time: bid.date_time };
            out.emit(bid.auction, Offer::Bid(made, Str::default()));
        } else if let Some(Bid { auction, bidder, price, date_time, extra, .. }) = event.value.bid()? {
            out.emit(auction, Offer::Bid(Made { bidder, price, date_time }, extra));
        } else if let Some(auction) = event.value.auction()? {
            let Auction { id, item_name, description, initial_bid, reserve, date_time, expires, .. } = auction;
            let Auction { seller, category, extra, .. } = auction;
            let texts = if self.all { Texts { item_name, description, extra } } else { Texts::default() };
            out.emit(id, Offer::Auction(Offered { initial_bid, reserve, date_time, expires, seller, category }, texts));
        }
        Ok(())
    }
}

/// The `config` table of [`WinningBids`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What the winners are keyed by.
    key: Key,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    Auction,
    Category,
    Seller,
}

/// Timers: the auction closes.
const CLOSES: u64 = 0;
/// Timers: an auction that would take an early bid would have come by now.
const EARLY: u64 = 1;

/// An open auction, and the best bid so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Open {
    auction: Offered,
    best: Option<Made>,
}

/// Keeps each open auction with the best bid so far, and bids that came before their auction.
#[derive(States)]
pub struct WinningBids {
    key: Key,
    open: ValueState<Postcard<Open>>,
    /// Where there is any.
    texts: ValueState<Rows<Texts<'static>>>,
    /// The best bid's, where there is any.
    extra: ValueState<Bytes>,
    early: ListState<Rows<Early<'static>>>,
}

impl WinningBids {
    /// Takes a bid for an open auction: it wins with the higher price, then as the earlier one, then by what tells bids apart at
    /// all, the bidder and the padding. Both ends of the time in which an auction is open belong to it.
    #[inline]
    fn bid(&mut self, open: &Open, bid: Made, extra: Str<'_>) {
        let rank = |bid: &Made| (u64::MAX - bid.price, bid.date_time, bid.bidder);
        let wins = open.best.is_none_or(|best| {
            rank(&bid) < rank(&best) || bid == best && extra.0 < self.extra.get().unwrap_or_default()
        });
        if wins && (open.auction.date_time..=open.auction.expires).contains(&bid.date_time) {
            self.open.set(Open { best: Some(bid), ..*open });
            if !extra.0.is_empty() {
                self.extra.set(extra.0.to_vec());
            } else if self.extra.get().is_some() {
                self.extra.clear();
            }
        }
    }
}

#[operator(shared)]
impl KeyedOperator for WinningBids {
    type Key = u64;
    type Value = Rows<Offer<'static>>;
    type Output = Output<u64, Rows<Won<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        let Config { key } = setup.config()?;
        let (open, texts, extra) = (setup.value_state("open"), setup.value_state("texts"), setup.value_state("extra"));
        Ok(WinningBids { key, open, texts, extra, early: setup.list_state("early") })
    }

    fn process(
        &mut self,
        record: Record<'_, u64, Self::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        match record.value {
            Offer::Bid(bid, extra) => match self.open.get().copied() {
                Some(open) => self.bid(&open, bid, extra),
                // Its auction began before it, or it is not for that auction: once the watermark is there, none can come.
                None if bid.date_time > call.watermark() => {
                    self.early.append(Early { bid, extra })?;
                    call.register_event_timer(bid.date_time, EARLY);
                }
                None => {}
            },
            Offer::Auction(auction, texts) => {
                self.open.set(Open { auction, best: None });
                if texts != Texts::default() {
                    self.texts.set(Rows::<Texts<'static>>::pack(&texts));
                }
                call.register_event_timer(auction.expires, CLOSES);
                let early = packed(self.early.get(call)?)?;
                for bid in &early {
                    let Early { bid, extra } = Rows::<Early<'static>>::read(bid)?;
                    let open = self.open.get().copied().unwrap_or_default();
                    self.bid(&open, bid, extra);
                }
                if !early.is_empty() {
                    self.early.clear();
                }
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if timer.tag() == EARLY {
            let early = packed(self.early.get(call)?)?;
            self.early.clear();
            for bid in &early {
                let bid = Rows::<Early<'static>>::read(bid)?;
                if bid.bid.date_time > timer.time() {
                    self.early.append(bid)?;
                }
            }
            return Ok(());
        }
        if let Some(&Open { auction, best: Some(bid) }) = self.open.get() {
            let (id, texts) = (timer.key(), self.texts.get().unwrap_or_default());
            let won = Won {
                id,
                item_name: texts.item_name,
                description: texts.description,
                initial_bid: auction.initial_bid,
                reserve: auction.reserve,
                date_time: auction.date_time,
                expires: auction.expires,
                seller: auction.seller,
                category: auction.category,
                extra: texts.extra,
                auction: id,
                bidder: bid.bidder,
                price: bid.price,
                bid_date_time: bid.date_time,
                bid_extra: Str(self.extra.get().unwrap_or_default()),
            };
            let key = match self.key {
                Key::Auction => id,
                Key::Category => auction.category,
                Key::Seller => auction.seller,
            };
            out.emit(key, won);
        }
        self.open.clear();
        self.texts.clear();
        self.extra.clear();
        Ok(())
    }
}

/// The bids of a list that is about to be changed.
fn packed<'a>(early: impl Iterator<Item = Result<Early<'a>>>) -> Result<Vec<Vec<u8>>> {
    early.map(|bid| bid.map(|bid| Rows::<Early<'static>>::pack(&bid))).collect()
}
