//! Query 5: the auctions with the most bids in the last 10 seconds, every 2 seconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::Events,
    row::{Rows, rows},
    windows::LateRecords,
};

/// The `config` table of [`BidTimes`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What the bids are keyed by.
    key: Key,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    Auction,
    Bidder,
}

/// Queries 5, 11 and 12: when bids were made, by auction or bidder. The time of the row is all there is to know.
pub struct BidTimes {
    key: Key,
}

#[operator(shared)]
impl RecordOperator for BidTimes {
    type Key = ();
    type Value = Events;
    type Output = Output<u64, ()>;

    fn open(setup: &mut Setup) -> Result<Self> {
        let Config { key } = setup.config()?;
        Ok(BidTimes { key })
    }

    fn process(&mut self, event: Record<'_, (), Events>, _: &mut Call<'_>, out: &mut Self::Output) -> Result<()> {
        if let Some(bid) = event.value.bid_numbers()? {
            let key = match self.key {
                Key::Auction => bid.auction,
                Key::Bidder => bid.bidder,
            };
            out.emit_at(bid.date_time, key, ());
        }
        Ok(())
    }
}

/// Query 5: an auction and its bids in a window.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Count {
    auction: u64,
    num: u64,
}

rows!(Count);

/// Counts the bids of each auction in a window, and tells them keyed by the window's end.
pub struct SlidingCounts;

#[operator(shared)]
impl WindowOperator for SlidingCounts {
    type Key = u64;
    type Value = ();
    type Accumulator = u64;
    type Output = Output<i64, Rows<Count>>;

    fn open(_: &mut Setup) -> Result<(Self, Windows)> {
        Ok((SlidingCounts, Windows::sliding(Duration::from_secs(10), Duration::from_secs(2))))
    }

    fn add(&mut self, _: &Record<'_, u64, ()>, num: &mut u64) -> Result<()> {
        *num += 1;
        Ok(())
    }

    fn merge(&mut self, num: &mut u64, other: &u64) -> Result<()> {
        *num += other;
        Ok(())
    }

    fn emit(&mut self, auction: u64, window: Window, num: &u64, out: &mut Self::Output) -> Result<()> {
        out.emit(window.end, Count { auction, num: *num });
        Ok(())
    }
}

/// Keeps the auctions with the most bids in a window, all of them. The key is the window's end.
#[derive(States)]
pub struct HotItems {
    most: ValueState<Postcard<(u64, Vec<u64>)>>,
    late: LateRecords,
}

#[operator(shared)]
impl KeyedOperator for HotItems {
    type Key = i64;
    type Value = Rows<Count>;
    type Output = Output<(), Rows<Count>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(HotItems { most: setup.value_state("most"), late: LateRecords::new(setup) })
    }

    fn process(
        &mut self,
        record: Record<'_, i64, Rows<Count>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let Count { auction, num } = record.value;
        if self.late.is_open(record.key, call, self.most.get().is_none()) {
            match self.most.get() {
                Some((most, _)) if *most > num => {}
                Some((most, _)) if *most == num => self.most.update(|(_, auctions)| auctions.push(auction)),
                _ => self.most.set((num, vec![auction])),
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer<'_, i64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if let Some((num, auctions)) = self.most.get() {
            let mut auctions = auctions.clone();
            auctions.sort_unstable();
            auctions.into_iter().for_each(|auction| out.emit((), Count { auction, num: *num }));
        }
        self.most.clear();
        Ok(())
    }
}
