//! Reads the events of the source `nexmark`: postcard, without a copy, and no more of it than a query needs.
//!
//! An event begins with its kind, one byte, so that a query passes over the kinds it does not want without decoding them.
//! Numbers are variable-length integers of seven bits a byte (signed ones zigzag), text has its length before it.

use wasmill_sdk::{
    Codec,
    codec::{ByRow, CodecError, Format},
    column::Column,
    prelude::*,
};

use crate::row::Str;

/// A new user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Person<'a> {
    /// Unique among persons.
    pub id: u64,
    /// First and last name.
    pub name: Str<'a>,
    /// E-mail address.
    pub email_address: Str<'a>,
    /// Four groups of digits.
    pub credit_card: Str<'a>,
    /// City.
    pub city: Str<'a>,
    /// State of the USA, two letters.
    pub state: Str<'a>,
    /// When, milliseconds since the Unix epoch.
    pub date_time: i64,
    /// Padding.
    pub extra: Str<'a>,
}

/// An item that is put up for auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Auction<'a> {
    /// Unique among auctions.
    pub id: u64,
    /// The item.
    pub item_name: Str<'a>,
    /// Of the item.
    pub description: Str<'a>,
    /// The lowest price to begin with, cents.
    pub initial_bid: u64,
    /// The lowest price to sell at, cents.
    pub reserve: u64,
    /// When it begins, milliseconds since the Unix epoch.
    pub date_time: i64,
    /// When it ends, milliseconds since the Unix epoch.
    pub expires: i64,
    /// The person who sells.
    pub seller: u64,
    /// The item's category.
    pub category: u64,
    /// Padding.
    pub extra: Str<'a>,
}

/// A bid for an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bid<'a> {
    /// The auction, which may not have come yet.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// Cents.
    pub price: u64,
    /// Where the bidder came from.
    pub channel: Str<'a>,
    /// The page.
    pub url: Str<'a>,
    /// When, milliseconds since the Unix epoch.
    pub date_time: i64,
    /// Padding.
    pub extra: Str<'a>,
}

/// The numbers of a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BidNumbers {
    /// The auction.
    pub auction: u64,
    /// The person who bids.
    pub bidder: u64,
    /// Cents.
    pub price: u64,
    /// When, milliseconds since the Unix epoch.
    pub date_time: i64,
}

/// The codec of events.
#[derive(Debug)]
pub enum Events {}

/// An encoded event, of which only the kind was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    kind: u8,
    fields: &'a [u8],
}

/// Numbers of the kinds, in the order of the generator's enum.
const PERSON: u8 = 0;
const AUCTION: u8 = 1;
const BID: u8 = 2;

impl<'a> Event<'a> {
    /// An encoded event.
    ///
    /// # Errors
    /// When `bytes` do not begin with the number of a kind.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Event<'a>, CodecError> {
        match bytes.split_first() {
            Some((&kind @ PERSON..=BID, fields)) => Ok(Event { kind, fields }),
            _ => Err(CodecError::new("it is no event of Nexmark: it does not begin with the number of a kind")),
        }
    }

    /// The event as a person; `None` when it is something else.
    ///
    /// # Errors
    /// When the bytes are no person.
    pub fn person(self) -> Result<Option<Person<'a>>> {
        if self.kind != PERSON {
            return Ok(None);
        }
        let mut fields = Fields(self.fields);
        let person = Person {
            id: fields.unsigned()?,
            name: fields.text()?,
            email_address: fields.text()?,
            credit_card: fields.text()?,
            city: fields.text()?,
            state: fields.text()?,
            date_time: fields.signed()?,
            extra: fields.text()?,
        };
        fields.end().map(|()| Some(person))
    }

    /// The event as an auction; `None` when it is something else.
    ///
    /// # Errors
    /// When the bytes are no auction.
    pub fn auction(self) -> Result<Option<Auction<'a>>> {
        if self.kind != AUCTION {
            return Ok(None);
        }
        let mut fields = Fields(self.fields);
        let auction = Auction {
            id: fields.unsigned()?,
            item_name: fields.text()?,
            description: fields.text()?,
            initial_bid: fields.unsigned()?,
            reserve: fields.unsigned()?,
            date_time: fields.signed()?,
            expires: fields.signed()?,
            seller: fields.unsigned()?,
            category: fields.unsigned()?,
            extra: fields.text()?,
        };
        fields.end().map(|()| Some(auction))
    }

    /// The event as a bid; `None` when it is something else.
    ///
    /// # Errors
    /// When the bytes are no bid.
    #[inline]
    pub fn bid(self) -> Result<Option<Bid<'a>>> {
        if self.kind != BID {
            return Ok(None);
        }
        let mut fields = Fields(self.fields);
        let bid = Bid {
            auction: fields.unsigned()?,
            bidder: fields.unsigned()?,
            price: fields.unsigned()?,
            channel: fields.text()?,
            url: fields.text()?,
            date_time: fields.signed()?,
            extra: fields.text()?,
        };
        fields.end().map(|()| Some(bid))
    }

    /// The numbers of a bid; `None` when the event is something else. Text is passed over.
    ///
    /// # Errors
    /// When the bytes are no bid.
    #[inline]
    pub fn bid_numbers(self) -> Result<Option<BidNumbers>> {
        if self.kind != BID {
            return Ok(None);
        }
        let mut fields = Fields(self.fields);
        let (auction, bidder, price) = (fields.unsigned()?, fields.unsigned()?, fields.unsigned()?);
        fields.bytes()?;
        fields.bytes()?;
        let date_time = fields.signed()?;
        Ok(Some(BidNumbers { auction, bidder, price, date_time }))
    }
}

/// The fields that were not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    #[inline]
    fn unsigned(&mut self) -> Result<u64> {
        let (mut value, mut shift) = (0, 0);
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // The tenth byte holds the highest bit alone.
                if shift == 63 && byte > 1 {
                    break;
                }
                self.0 = &self.0[at + 1..];
                return Ok(value);
            }
            shift += 7;
        }
        Err(unreadable("a number does not end"))
    }

    #[inline]
    fn signed(&mut self) -> Result<i64> {
        self.unsigned().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.unsigned()?).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.0.split_at_checked(length) else {
            return Err(unreadable("a text is longer than what is left"));
        };
        self.0 = rest;
        Ok(bytes)
    }

    #[inline]
    fn text(&mut self) -> Result<Str<'a>> {
        self.bytes().map(Str)
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(unreadable("something follows its last field")) }
    }
}

#[cold]
fn unreadable(what: &str) -> Error {
    Error::record(format_args!("it is no event of Nexmark: {what}"))
}

impl Codec for Events {
    type View<'a> = Event<'a>;
    type Decoded<'a> = Event<'a>;
    type Owned = Vec<u8>;
    type Rows<'a> = ByRow<'a, Events>;
    const FALLIBLE: bool = false;

    fn format() -> Format {
        Format { name: "postcard".to_string(), schema: "nexmark::Event".to_string() }
    }

    fn rows(column: Column<'_>, rows: usize) -> Self::Rows<'_> {
        ByRow::new(column, rows)
    }

    #[inline]
    fn decode(bytes: Option<&[u8]>) -> Result<Event<'_>, CodecError> {
        Event::read(bytes.unwrap_or_default())
    }

    #[inline(always)]
    fn view<'a>(decoded: &'a Event<'_>) -> Event<'a> {
        *decoded
    }

    fn own(decoded: Event<'_>) -> Vec<u8> {
        [&[decoded.kind], decoded.fields].concat()
    }

    fn borrow(owned: &Vec<u8>) -> Event<'_> {
        let (&kind, fields) = owned.split_first().unwrap_or((&BID, &[]));
        Event { kind, fields }
    }

    fn encode(view: Event<'_>, out: &mut Vec<u8>) -> Result<bool, CodecError> {
        out.push(view.kind);
        out.extend_from_slice(view.fields);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;

    /// The generator's enum, with serde's own encoding.
    #[derive(Serialize)]
    enum Encoded<'a> {
        Person((u64, &'a str, &'a str, &'a str, &'a str, &'a str, i64, &'a str)),
        Auction((u64, &'a str, &'a str, u64, u64, i64, i64, u64, u64, &'a str)),
        Bid((u64, u64, u64, &'a str, &'a str, i64, &'a str)),
    }

    fn message<T>(result: Result<T>) -> String {
        result.err().map(|error| error.message().to_string()).unwrap_or_default()
    }

    proptest! {
        #[test]
        fn events_are_read_as_postcard_writes_them(
            numbers in any::<[u64; 5]>(), times in any::<[i64; 2]>(), texts in any::<[String; 6]>(),
        ) {
            let [a, b, c, d, e] = numbers;
            let [from, to] = times;
            let [t, u, v, w, x, y] = texts.each_ref().map(String::as_str);
            let encode = |event: Encoded<'_>| postcard::to_allocvec(&event).unwrap();
            let bytes = encode(Encoded::Person((a, t, u, v, w, x, from, y)));
            let person = Person {
                id: a, name: t.into(), email_address: u.into(), credit_card: v.into(), city: w.into(), state: x.into(),
                date_time: from, extra: y.into(),
            };
            prop_assert_eq!(Event::read(&bytes).unwrap().person().unwrap(), Some(person));
            prop_assert_eq!(Event::read(&bytes).unwrap().bid().unwrap(), None);
            let bytes = encode(Encoded::Auction((a, t, u, b, c, from, to, d, e, v)));
            let auction = Auction {
                id: a, item_name: t.into(), description: u.into(), initial_bid: b, reserve: c, date_time: from, expires: to,
                seller: d, category: e, extra: v.into(),
            };
            prop_assert_eq!(Event::read(&bytes).unwrap().auction().unwrap(), Some(auction));
            let bytes = encode(Encoded::Bid((a, b, c, t, u, from, v)));
            let event = Event::read(&bytes).unwrap();
            let (channel, url, extra) = (t.into(), u.into(), v.into());
            let bid = Bid { auction: a, bidder: b, price: c, channel, url, date_time: from, extra };
            prop_assert_eq!(event.bid().unwrap(), Some(bid));
            let numbers = BidNumbers { auction: a, bidder: b, price: c, date_time: from };
            prop_assert_eq!(event.bid_numbers().unwrap(), Some(numbers));
            prop_assert!(event.person().unwrap().is_none() && event.auction().unwrap().is_none());
        }

        #[test]
        fn any_bytes_are_an_event_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..40), kind in 0..4u8) {
            let bytes = [&[kind], &bytes[..]].concat();
            if let Ok(event) = Event::read(&bytes) {
                let _ = (event.person(), event.auction(), event.bid(), event.bid_numbers());
            }
        }
    }

    #[test]
    fn what_is_no_event_is_told() {
        assert!(Event::read(&[]).is_err() && Event::read(&[3]).is_err());
        let bid = |fields: &[u8]| message(Event { kind: BID, fields }.bid());
        assert!(bid(&[1, 2]).ends_with("a number does not end"));
        assert!(bid(&[0xff; 40]).ends_with("a number does not end"));
        assert!(bid(&[1, 2, 3, 9, b'a']).ends_with("a text is longer than what is left"));
        assert!(bid(&[1, 2, 3, 0, 0, 2, 0, 7]).ends_with("something follows its last field"));
        assert_eq!(bid(&[1, 2, 3, 0, 0, 2, 0]), "");
    }
}
