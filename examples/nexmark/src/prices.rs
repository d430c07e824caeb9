//! Query 17: how many bids each auction had a day, and their prices.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    calendar::Day,
    event::Events,
    row::{Rows, rows},
    statistics::rank,
    windows::is_open,
};

/// A bid of an auction and a day.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Price {
    auction: u64,
    day: Day,
    price: u64,
}

/// Query 17: an auction and a day. Prices are cents, the average of them whole ones.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct PriceStatistics {
    auction: u64,
    day: Day,
    total_bids: u64,
    rank1_bids: u64,
    rank2_bids: u64,
    rank3_bids: u64,
    min_price: u64,
    max_price: u64,
    avg_price: u64,
    sum_price: u64,
}

rows!(Price, PriceStatistics);

/// Prices by auction and day, sixteen bytes.
#[operator(shared)]
pub fn prices(event: Record<'_, (), Events>, out: &mut Output<Bytes, Rows<Price>>) -> Result<()> {
    if let Some(bid) = event.value.bid_numbers()? {
        let day = Day::of(bid.date_time);
        let mut key = [0; 16];
        key[..8].copy_from_slice(&bid.auction.to_le_bytes());
        key[8..].copy_from_slice(&day.0.to_le_bytes());
        out.emit_at(bid.date_time, &key, Price { auction: bid.auction, day, price: bid.price });
    }
    Ok(())
}

/// What the bids of an auction and a day come to.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Gathered {
    auction: u64,
    day: Day,
    bids: [u64; 3],
    lowest: u64,
    highest: u64,
    sum: u64,
}

/// Gathers the prices of an auction and a day, and tells what they come to at its end.
#[derive(States)]
pub struct DailyPrices {
    gathered: ValueState<Postcard<Gathered>>,
}

#[operator(shared)]
impl KeyedOperator for DailyPrices {
    type Key = Bytes;
    type Value = Rows<Price>;
    type Output = Output<(), Rows<PriceStatistics>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(DailyPrices { gathered: setup.value_state("gathered") })
    }

    fn process(
        &mut self,
        record: Record<'_, Bytes, Rows<Price>>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let Price { auction, day, price } = record.value;
        if !is_open(day.end(), call, self.gathered.get().is_none()) {
            return Ok(());
        }
        let first = || Gathered { auction, day, lowest: u64::MAX, ..Gathered::default() };
        let fits = self.gathered.update_from(first, |gathered| {
            let Some(sum) = gathered.sum.checked_add(price) else { return false };
            gathered.sum = sum;
            gathered.bids[usize::from(rank(price)).min(2)] += 1;
            (gathered.lowest, gathered.highest) = (gathered.lowest.min(price), gathered.highest.max(price));
            true
        });
        if fits { Ok(()) } else { Err(Error::record("the prices of its auction and day add up to too much")) }
    }

    fn on_timer(&mut self, _: Timer<'_, Bytes>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if let Some(&Gathered { auction, day, bids: [rank1_bids, rank2_bids, rank3_bids], lowest, highest, sum }) =
            self.gathered.get()
        {
            let total_bids = rank1_bids + rank2_bids + rank3_bids;
            let statistics = PriceStatistics {
                auction,
                day,
                total_bids,
                rank1_bids,
                rank2_bids,
                rank3_bids,
                min_price: lowest,
                max_price: highest,
                avg_price: sum / total_bids.max(1),
                sum_price: sum,
            };
            out.emit((), statistics);
        }
        self.gathered.clear();
        Ok(())
    }
}
