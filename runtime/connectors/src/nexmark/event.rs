//! Writes an event of Nexmark as postcard or JSON. The order of variants and fields is what readers rely on.

use nexmark::event;
use serde::Serialize;

use super::EventFormat;

#[derive(Serialize)]
enum Event<'a> {
    Person(Person<'a>),
    Auction(Auction<'a>),
    Bid(Bid<'a>),
}

/// The same with its kind among the members.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Tagged<'a> {
    Person(Person<'a>),
    Auction(Auction<'a>),
    Bid(Bid<'a>),
}

#[derive(Serialize)]
struct Person<'a> {
    id: u64,
    name: &'a str,
    email_address: &'a str,
    credit_card: &'a str,
    city: &'a str,
    state: &'a str,
    date_time: i64,
    extra: &'a str,
}

#[derive(Serialize)]
struct Auction<'a> {
    id: u64,
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

#[derive(Serialize)]
struct Bid<'a> {
    auction: u64,
    bidder: u64,
    price: u64,
    channel: &'a str,
    url: &'a str,
    date_time: i64,
    extra: &'a str,
}

/// Appends to a column.
struct Tail<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Tail<'_> {
    type Output = ();

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends an event to a column.
pub(super) fn write(event: &event::Event, format: EventFormat, out: &mut Vec<u8>) {
    // Numbers and text can always be written, and memory takes all.
    match format {
        EventFormat::Postcard => {
            let event = match event {
                event::Event::Person(event) => Event::Person(person(event)),
                event::Event::Auction(event) => Event::Auction(auction(event)),
                event::Event::Bid(event) => Event::Bid(bid(event)),
            };
            let _ = postcard::serialize_with_flavor(&event, Tail(out));
        }
        EventFormat::Json => {
            let event = match event {
                event::Event::Person(event) => Tagged::Person(person(event)),
                event::Event::Auction(event) => Tagged::Auction(auction(event)),
                event::Event::Bid(event) => Tagged::Bid(bid(event)),
            };
            let _ = serde_json::to_writer(out, &event);
        }
    }
}

fn person(event: &event::Person) -> Person<'_> {
    Person {
        id: event.id as u64,
        name: &event.name,
        email_address: &event.email_address,
        credit_card: &event.credit_card,
        city: &event.city,
        state: &event.state,
        date_time: event.date_time as i64,
        extra: &event.extra,
    }
}

fn auction(event: &event::Auction) -> Auction<'_> {
    Auction {
        id: event.id as u64,
        item_name: &event.item_name,
        description: &event.description,
        initial_bid: event.initial_bid as u64,
        reserve: event.reserve as u64,
        date_time: event.date_time as i64,
        expires: event.expires as i64,
        seller: event.seller as u64,
        category: event.category as u64,
        extra: &event.extra,
    }
}

fn bid(event: &event::Bid) -> Bid<'_> {
    Bid {
        auction: event.auction as u64,
        bidder: event.bidder as u64,
        price: event.price as u64,
        channel: &event.channel,
        url: &event.url,
        date_time: event.date_time as i64,
        extra: &event.extra,
    }
}
