//! Makes events by hand, and as the source gives them: postcard of the generator's enum.

use serde::Serialize;

/// The enum of the generator, with serde's own encoding.
#[derive(Debug, Clone, Serialize)]
pub(crate) enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Person {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email_address: String,
    pub(crate) credit_card: String,
    pub(crate) city: String,
    pub(crate) state: String,
    pub(crate) date_time: i64,
    pub(crate) extra: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Auction {
    pub(crate) id: u64,
    pub(crate) item_name: String,
    pub(crate) description: String,
    pub(crate) initial_bid: u64,
    pub(crate) reserve: u64,
    pub(crate) date_time: i64,
    pub(crate) expires: i64,
    pub(crate) seller: u64,
    pub(crate) category: u64,
    pub(crate) extra: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Bid {
    pub(crate) auction: u64,
    pub(crate) bidder: u64,
    pub(crate) price: u64,
    pub(crate) channel: String,
    pub(crate) url: String,
    pub(crate) date_time: i64,
    pub(crate) extra: String,
}

impl Event {
    pub(crate) fn time(&self) -> i64 {
        match self {
            Event::Person(person) => person.date_time,
            Event::Auction(auction) => auction.date_time,
            Event::Bid(bid) => bid.date_time,
        }
    }

    pub(crate) fn encoded(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap()
    }
}

/// 2015-07-15 00:00 UTC, where event time begins in these tests; times are given in milliseconds from here.
pub(crate) const START: i64 = 1_436_918_400_000;

/// A bid of `price` by `bidder` for `auction` at `at`.
pub(crate) fn bid(at: i64, auction: u64, bidder: u64, price: u64) -> Event {
    let (channel, url) = ("channel-7".to_string(), "https://www.nexmark.com/a/b/c/item.htm?query=1".to_string());
    Event::Bid(Bid { auction, bidder, price, channel, url, date_time: START + at, extra: "x".to_string() })
}

/// The auction `id` of `seller` in `category`, open from `at` to `expires`.
pub(crate) fn auction(at: i64, id: u64, seller: u64, category: u64, expires: i64) -> Event {
    let (date_time, expires) = (START + at, START + expires);
    let (item_name, description, extra) = (format!("item {id}"), "old".to_string(), String::new());
    let (initial_bid, reserve) = (5, 300);
    Event::Auction(Auction {
        id,
        item_name,
        description,
        initial_bid,
        reserve,
        date_time,
        expires,
        seller,
        category,
        extra,
    })
}

/// The person `id`, from `state`.
pub(crate) fn person(at: i64, id: u64, state: &str) -> Event {
    let (name, city) = (format!("name {id}"), "city".to_string());
    Event::Person(Person { id, name, city, state: state.to_string(), date_time: START + at, ..Person::default() })
}
