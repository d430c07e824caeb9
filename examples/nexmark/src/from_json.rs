//! Makes events of JSON objects, for queries over files: `{"kind": "bid", ...}` with the fields of the event.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::event::{Event, Events};

/// Implements a struct with the fields of an event that owns its text.
macro_rules! owned {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* })*) => { $(
        $(#[$doc])*
        #[derive(Debug, Serialize, Deserialize)]
        struct $name { $($field: $type),* }
    )* };
}

owned! {
    /// A person as it is written.
    Person { id: u64, name: String, email_address: String, credit_card: String, city: String, state: String,
             date_time: i64, extra: String }
    /// An auction as it is written.
    Auction { id: u64, item_name: String, description: String, initial_bid: u64, reserve: u64, date_time: i64,
              expires: i64, seller: u64, category: u64, extra: String }
    /// A bid as it is written.
    Bid { auction: u64, bidder: u64, price: u64, channel: String, url: String, date_time: i64, extra: String }
}

/// A line.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

/// The same as postcard has it.
#[derive(Serialize)]
enum Encoded {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
}

/// Makes events of JSON objects.
#[operator(shared)]
pub fn from_json(line: Record<'_, (), Bytes>, out: &mut Output<(), Events>) -> Result<()> {
    let event = match serde_json::from_slice(line.value)? {
        Line::Person(person) => Encoded::Person(person),
        Line::Auction(auction) => Encoded::Auction(auction),
        Line::Bid(bid) => Encoded::Bid(bid),
    };
    let bytes = postcard::to_allocvec(&event)?;
    out.emit((), Event::read(&bytes)?);
    Ok(())
}
