//! Queries 4, 6 and 9, first steps: which bid won each auction when it closed.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::{Auction, Bid, Events},
    row::{Rows, rows},
};

/// An auction, or a bid for it; the auction's number is the key.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Offer<'a> {
    /// A bid.
    Bid(#[serde(borrow)] Made<'a>),
    /// The auction.
    Auction(#[serde(borrow)] Offered<'a>),
}

impl Default for Offer<'_> {
    fn default() -> Self {
        Offer::Bid(Made::default())
    }
}

/// A bid. Text is empty where it is not asked for.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Made<'a> {
    bidder: u64,
    price: u64,
    date_time: i64,
    extra: &'a str,
}

impl Made<'_> {
    /// Whether it wins over `other`: the higher price, then the earlier bid, then what tells bids apart at all.
    fn beats(&self, other: &Made<'_>) -> bool {
        let rank = |bid: &Made<'_>| (u64::MAX - bid.price, bid.date_time, bid.bidder);
        (rank(self), self.extra) < (rank(other), other.extra)
    }
}

/// An auction. Text, and what only query 9 tells, is empty or 0 where it is not asked for.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Offered<'a> {
    item_name: &'a str,
    description: &'a str,
    initial_bid: u64,
    reserve: u64,
    date_time: i64,
    expires: i64,
    seller: u64,
    category: u64,
    extra: &'a str,
}

impl Offered<'_> {
    /// Whether a bid was made while the auction was open, both ends included.
    fn takes(&self, bid: &Made<'_>) -> bool {
        (self.date_time..=self.expires).contains(&bid.date_time)
    }
}

/// Query 9: an auction that closed and the bid that won it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Won<'a> {
    /// The auction.
    pub id: u64,
    item_name: &'a str,
    description: &'a str,
    initial_bid: u64,
    reserve: u64,
    date_time: i64,
    /// When it closed, milliseconds since the Unix epoch.
    pub expires: i64,
    /// Who sold.
    pub seller: u64,
    /// The item's category.
    pub category: u64,
    extra: &'a str,
    auction: u64,
    bidder: u64,
    /// What was paid, cents.
    pub price: u64,
    bid_date_time: i64,
    bid_extra: &'a str,
}

rows!(Offer<'a>, Made<'a>, Offered<'a>, Won<'a>);

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
        let text = |text| if self.all { text } else { "" };
        if !self.all && let Some(bid) = event.value.bid_numbers()? {
            let made = Made { bidder: bid.bidder, price: bid.price, date_time: bid.date_time, extra: "" };
            out.emit(bid.auction, Offer::Bid(made));
        } else if let Some(Bid { auction, bidder, price, date_time, extra, .. }) = event.value.bid()? {
            out.emit(auction, Offer::Bid(Made { bidder, price, date_time, extra }));
        } else if let Some(auction) = event.value.auction()? {
            let Auction { id, initial_bid, reserve, date_time, expires, seller, category, .. } = auction;
            let (item_name, description) = (text(auction.item_name), text(auction.description));
            let offered = Offered {
                item_name,
                description,
                initial_bid,
                reserve,
                date_time,
                expires,
                seller,
                category,
                extra: text(auction.extra),
            };
            out.emit(id, Offer::Auction(offered));
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

/// Keeps each open auction with the best bid so far, and bids that came before their auction.
#[derive(States)]
pub struct WinningBids {
    key: Key,
    open: ValueState<Rows<Offered<'static>>>,
    best: ValueState<Rows<Made<'static>>>,
    early: ListState<Rows<Made<'static>>>,
}

impl WinningBids {
    fn bid(&mut self, bid: &Made<'_>) {
        if self.best.get().is_none_or(|best| bid.beats(&best)) {
            self.best.set(Rows::<Made<'static>>::pack(bid));
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
        let (open, best) = (setup.value_state("open"), setup.value_state("best"));
        Ok(WinningBids { key, open, best, early: setup.list_state("early") })
    }

    fn process(
        &mut self,
        record: Record<'_, u64, Self::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        match record.value {
            Offer::Auction(auction) => {
                let early: Vec<Vec<u8>> = self
                    .early
                    .get(call)?
                    .map(|bid| bid.map(|bid| Rows::<Made<'static>>::pack(&bid)))
                    .collect::<Result<_>>()?;
                for bid in &early {
                    let bid = Rows::<Made<'static>>::read(bid)?;
                    if auction.takes(&bid) {
                        self.bid(&bid);
                    }
                }
                if !early.is_empty() {
                    self.early.clear();
                }
                self.open.set(Rows::<Offered<'static>>::pack(&auction));
                call.register_event_timer(auction.expires, CLOSES);
            }
            Offer::Bid(bid) => match self.open.get() {
                Some(auction) if auction.takes(&bid) => self.bid(&bid),
                Some(_) => {}
                // Its auction began before it, or it is not for that auction: once the watermark is there, none can come.
                None if bid.date_time > call.watermark() => {
                    self.early.append(bid)?;
                    call.register_event_timer(bid.date_time, EARLY);
                }
                None => {}
            },
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if timer.tag() == EARLY {
            let mut rest = Vec::new();
            for bid in self.early.get(call)? {
                let bid = bid?;
                if bid.date_time > timer.time() {
                    rest.push(Rows::<Made<'static>>::pack(&bid));
                }
            }
            self.early.clear();
            for bid in &rest {
                self.early.append(Rows::<Made<'static>>::read(bid)?)?;
            }
            return Ok(());
        }
        if let (Some(auction), Some(bid)) = (self.open.get(), self.best.get()) {
            let id = timer.key();
            let won = Won {
                id,
                item_name: auction.item_name,
                description: auction.description,
                initial_bid: auction.initial_bid,
                reserve: auction.reserve,
                date_time: auction.date_time,
                expires: auction.expires,
                seller: auction.seller,
                category: auction.category,
                extra: auction.extra,
                auction: id,
                bidder: bid.bidder,
                price: bid.price,
                bid_date_time: bid.date_time,
                bid_extra: bid.extra,
            };
            let key = match self.key {
                Key::Auction => id,
                Key::Category => auction.category,
                Key::Seller => auction.seller,
            };
            out.emit(key, won);
        }
        self.open.clear();
        self.best.clear();
        Ok(())
    }
}
