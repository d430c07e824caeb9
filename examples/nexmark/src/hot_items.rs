//! Query 5: the auctions with the most bids in the last 10 seconds, every 2 seconds.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    event::Events,
    row::{Rows, rows},
    windows::{SIZE, is_open, start_of, time_of},
};

/// From one window to the next, milliseconds.
const SLIDE: i64 = 2_000;

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

/// Counts bids a slide, and tells the sum of five at the end of each window, keyed by that end.
#[derive(States)]
pub struct SlidingCounts {
    /// When a slide begins, and its bids; the slides of the windows that are open.
    slides: ValueState<Postcard<Vec<(i64, u64)>>>,
}

#[operator(shared)]
impl KeyedOperator for SlidingCounts {
    type Key = u64;
    type Value = ();
    type Output = Output<i64, Rows<Count>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(SlidingCounts { slides: setup.value_state("slides") })
    }

    fn process(&mut self, bid: Record<'_, u64, ()>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
        let start = start_of(time_of(&bid)?, SLIDE);
        // A late bid counts in those of its windows that have not ended.
        let next = start.max(start_of(call.watermark().saturating_add(1).max(0), SLIDE)) + SLIDE;
        if next > start + SIZE {
            return Ok(());
        }
        let is_new = self.slides.update(|slides| match slides.iter_mut().rev().find(|(of, _)| *of == start) {
            Some((_, bids)) => {
                *bids += 1;
                false
            }
            None => {
                slides.push((start, 1));
                true
            }
        });
        if is_new {
            call.register_event_timer(next - 1, 0);
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, call: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        let end = timer.time() + 1;
        let (num, is_empty) = self.slides.update(|slides| {
            let num = slides.iter().filter(|(start, _)| (end - SIZE..end).contains(start)).map(|(_, bids)| bids).sum();
            slides.retain(|(start, _)| start + SIZE > end);
            (num, slides.is_empty())
        });
        if num > 0 {
            out.emit(end, Count { auction: timer.key(), num });
        }
        if is_empty {
            self.slides.clear();
        } else {
            call.register_event_timer(timer.time() + SLIDE, 0);
        }
        Ok(())
    }
}

/// Keeps the auctions with the most bids in a window, all of them. The key is the window's end.
#[derive(States)]
pub struct HotItems {
    most: ValueState<Postcard<(u64, Vec<u64>)>>,
}

#[operator(shared)]
impl KeyedOperator for HotItems {
    type Key = i64;
    type Value = Rows<Count>;
    type Output = Output<(), Rows<Count>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(HotItems { most: setup.value_state("most") })
    }

    fn process(
        &mut self,
        record: Record<'_, i64, Rows<Count>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let Count { auction, num } = record.value;
        if is_open(record.key, call, self.most.get().is_none()) {
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
