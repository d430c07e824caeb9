//! Queries 15 and 16: how many bids, bidders and auctions there were a day, of all bids or of each channel, by price.
//!
//! Bidders and auctions are told apart one step before they are counted, each on the subtask that owns it, so that no key holds
//! all of them. What goes on from there is only what is new: a bidder or an auction that was not seen that day at that price.
//! Bids are counted a batch at a time before any exchange.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmill_sdk::{Codec, prelude::*};

use crate::{
    calendar::{DAY, Day, Minute},
    event::Events,
    row::{Rows, Str, at_row, rows},
};

/// The `config` table of [`Participants`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What there is one row of results of.
    by: By,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Day,
    Channel,
}

/// What a bid adds to a day, or a bidder or an auction does that was not there before.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct News {
    minute: Minute,
    /// Bids, by rank.
    bids: [u64; 3],
    /// One bit a rank in which it is new, and [`NEW`].
    bidder: u8,
    /// The same.
    auction: u8,
}

/// Queries 15 and 16: a day, of all bids or of a channel.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Statistics<'a> {
    #[serde(borrow)]
    channel: Str<'a>,
    day: Day,
    minute: Minute,
    total_bids: u64,
    rank1_bids: u64,
    rank2_bids: u64,
    rank3_bids: u64,
    total_bidders: u64,
    rank1_bidders: u64,
    rank2_bidders: u64,
    rank3_bidders: u64,
    total_auctions: u64,
    rank1_auctions: u64,
    rank2_auctions: u64,
    rank3_auctions: u64,
}

/// Query 15: a day.
#[derive(Debug, Serialize)]
pub struct DayStatistics {
    day: Day,
    total_bids: u64,
    rank1_bids: u64,
    rank2_bids: u64,
    rank3_bids: u64,
    total_bidders: u64,
    rank1_bidders: u64,
    rank2_bidders: u64,
    rank3_bidders: u64,
    total_auctions: u64,
    rank1_auctions: u64,
    rank2_auctions: u64,
    rank3_auctions: u64,
}

rows!(News, Statistics<'a>);

impl From<Statistics<'_>> for DayStatistics {
    fn from(of: Statistics<'_>) -> DayStatistics {
        DayStatistics {
            day: of.day,
            total_bids: of.total_bids,
            rank1_bids: of.rank1_bids,
            rank2_bids: of.rank2_bids,
            rank3_bids: of.rank3_bids,
            total_bidders: of.total_bidders,
            rank1_bidders: of.rank1_bidders,
            rank2_bidders: of.rank2_bidders,
            rank3_bidders: of.rank3_bidders,
            total_auctions: of.total_auctions,
            rank1_auctions: of.rank1_auctions,
            rank2_auctions: of.rank2_auctions,
            rank3_auctions: of.rank3_auctions,
        }
    }
}

/// The rank of a price in cents, from 0.
pub fn rank(price: u64) -> u8 {
    match price {
        ..10_000 => 0,
        10_000..1_000_000 => 1,
        _ => 2,
    }
}

/// The first byte of keys: which kind of participant it is.
const BIDDER: u8 = 0;
/// The same.
const AUCTION: u8 = 1;
/// Where in a key the channel begins, after the kind, the number and the day.
const CHANNEL_AT: usize = 17;
/// The bit of a participant that was not seen that day at all; below it there is one for each rank.
const NEW: u8 = 8;
/// How many channels the bids of a batch are counted of at a time.
const SLOTS: usize = 256;

/// Each bid by its bidder and by its auction, with the day, and the channel if that is asked for; and, as `counts`, how many
/// bids there were.
pub struct Participants {
    by: By,
}

/// The bids of a day and a channel in a batch.
struct Counted<'a> {
    day: Day,
    channel: Str<'a>,
    at: i64,
    news: News,
}

impl Counted<'_> {
    fn emit(&self, counts: &mut Batch) {
        counts.push(self.at, Some(self.channel.0), Some(&Rows::<News>::pack(&self.news)));
    }
}

#[operator(shared)]
impl BatchOperator for Participants {
    fn open(setup: &mut Setup) -> Result<Self> {
        let Config { by } = setup.config()?;
        setup.input::<(), Events>("in", false);
        setup.output::<Bytes, u32>("out");
        setup.output::<Bytes, Rows<News>>("counts");
        Ok(Participants { by })
    }

    fn process(&mut self, call: &mut Call<'_>, _: u32, batch: Batch) -> Result<()> {
        let (mut parts, mut counts) = (Batch::default(), Batch::default());
        let mut slots: Vec<Option<Counted<'_>>> = Vec::new();
        slots.resize_with(SLOTS, || None);
        let mut key = Vec::new();
        for (row, event) in Events::rows(batch.value_column(), batch.rows()).enumerate() {
            let bid = event.map_err(Error::from).and_then(|event| event.bid()).map_err(|error| at_row(error, row))?;
            let Some(bid) = bid else { continue };
            let (day, rank) = (Day::of(bid.date_time), rank(bid.price));
            let channel = if let By::Channel = self.by { bid.channel } else { Str::default() };
            for (kind, number) in [(BIDDER, bid.bidder), (AUCTION, bid.auction)] {
                key.clear();
                key.push(kind);
                key.extend_from_slice(&number.to_le_bytes());
                key.extend_from_slice(&day.0.to_le_bytes());
                key.extend_from_slice(channel.0);
                parts.push(bid.date_time, Some(&key), Some(&u32::from(rank).to_le_bytes()));
            }
            let hash = channel.0.iter().fold(day.0 as usize, |hash, byte| hash.wrapping_mul(31) ^ usize::from(*byte));
            let slot = &mut slots[hash % SLOTS];
            let other = slot.take_if(|counted| (counted.day, counted.channel) != (day, channel));
            if let Some(other) = other {
                other.emit(&mut counts);
            }
            let counted = slot.get_or_insert(Counted { day, channel, at: bid.date_time, news: News::default() });
            counted.news.bids[usize::from(rank)] += 1;
            counted.news.minute = counted.news.minute.max(Minute::of(bid.date_time));
        }
        slots.iter().flatten().for_each(|counted| counted.emit(&mut counts));
        for (output, batch) in [(0, parts), (1, counts)] {
            if batch.rows() > 0 {
                call.emit(output, batch);
            }
        }
        Ok(())
    }
}

/// Tells what is new of a bidder or an auction that day, keyed by channel. It forgets it when the day is over.
#[derive(States)]
pub struct DistinctParticipants {
    seen: ValueState<u32>,
}

#[operator(shared)]
impl KeyedOperator for DistinctParticipants {
    type Key = Bytes;
    type Value = u32;
    type Output = Output<Bytes, Rows<News>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        // What is written at some time of a day lives until that day is over.
        let seen = setup.state("seen").ttl(Ttl::event_time(Duration::from_millis(DAY as u64))).value();
        Ok(DistinctParticipants { seen })
    }

    fn process(&mut self, record: Record<'_, Bytes, u32>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let seen = self.seen.get().unwrap_or(0);
        let now = seen | 1 << record.value.min(2) | u32::from(NEW);
        if now != seen {
            self.seen.set(now);
            let new = (now & !seen) as u8;
            let is_auction = record.key.first() == Some(&AUCTION);
            let (bidder, auction) = if is_auction { (0, new) } else { (new, 0) };
            out.emit(record.key.get(CHANNEL_AT..).unwrap_or_default(), News { bidder, auction, ..News::default() });
        }
        Ok(())
    }
}

/// Of a day the last minute; bids, bidders and auctions, each by rank and in all.
pub type Sums = (Minute, [[u64; 4]; 3]);

/// Adds up what is new, and tells it at the end of the day.
pub struct DailyStatistics;

#[operator(shared)]
impl WindowOperator for DailyStatistics {
    type Key = Bytes;
    type Value = Rows<News>;
    type Accumulator = Postcard<Sums>;
    type Output = Output<(), Rows<Statistics<'static>>>;

    fn open(_: &mut Setup) -> Result<(Self, Windows)> {
        Ok((DailyStatistics, Windows::tumbling(Duration::from_hours(24))))
    }

    fn add(
        &mut self,
        record: &Record<'_, Bytes, Rows<News>>,
        (last, [bids, bidders, auctions]): &mut Sums,
    ) -> Result<()> {
        let News { minute, bids: new_bids, bidder, auction } = record.value;
        *last = (*last).max(minute);
        for rank in 0..3 {
            bids[rank] += new_bids[rank];
            bids[3] += new_bids[rank];
        }
        for rank in 0..4 {
            bidders[rank] += u64::from(bidder >> rank & 1);
            auctions[rank] += u64::from(auction >> rank & 1);
        }
        Ok(())
    }

    fn merge(&mut self, (last, sums): &mut Sums, (other_last, other): &Sums) -> Result<()> {
        *last = (*last).max(*other_last);
        sums.as_flattened_mut().iter_mut().zip(other.as_flattened()).for_each(|(sum, of_other)| *sum += of_other);
        Ok(())
    }

    fn emit(
        &mut self,
        channel: &[u8],
        window: Window,
        &(minute, [bids, bidders, auctions]): &Sums,
        out: &mut Self::Output,
    ) -> Result<()> {
        let statistics = Statistics {
            channel: Str(channel),
            day: Day::of(window.start),
            minute,
            total_bids: bids[3],
            rank1_bids: bids[0],
            rank2_bids: bids[1],
            rank3_bids: bids[2],
            total_bidders: bidders[3],
            rank1_bidders: bidders[0],
            rank2_bidders: bidders[1],
            rank3_bidders: bidders[2],
            total_auctions: auctions[3],
            rank1_auctions: auctions[0],
            rank2_auctions: auctions[1],
            rank3_auctions: auctions[2],
        };
        out.emit((), statistics);
        Ok(())
    }
}
