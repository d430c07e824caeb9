//! Query 17: how many bids each auction had a day, and their prices.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    calendar::Day,
    event::Events,
    row::{Rows, rows},
    statistics::rank,
};

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
    sum_price: u128,
}

rows!(PriceStatistics);

/// Prices by auction.
#[operator(shared)]
pub fn prices(event: Record<'_, (), Events>, out: &mut Output<u64, u64>) -> Result<()> {
    if let Some(bid) = event.value.bid_numbers()? {
        out.emit_at(bid.date_time, bid.auction, bid.price);
    }
    Ok(())
}

/// What the bids of an auction come to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Gathered {
    bids: [u64; 3],
    lowest: u64,
    highest: u64,
    sum: u128,
}

impl Default for Gathered {
    fn default() -> Gathered {
        Gathered { bids: [0; 3], lowest: u64::MAX, highest: 0, sum: 0 }
    }
}

/// Gathers the prices of an auction a day, and tells what they come to at its end.
pub struct DailyPrices;

#[operator(shared)]
impl WindowOperator for DailyPrices {
    type Key = u64;
    type Value = u64;
    type Accumulator = Postcard<Gathered>;
    type Output = Output<(), Rows<PriceStatistics>>;

    fn open(_: &mut Setup) -> Result<(Self, Windows)> {
        Ok((DailyPrices, Windows::tumbling(Duration::from_hours(24))))
    }

    fn add(&mut self, bid: &Record<'_, u64, u64>, gathered: &mut Gathered) -> Result<()> {
        let price = bid.value;
        gathered.bids[usize::from(rank(price))] += 1;
        (gathered.lowest, gathered.highest) = (gathered.lowest.min(price), gathered.highest.max(price));
        gathered.sum += u128::from(price);
        Ok(())
    }

    fn merge(&mut self, gathered: &mut Gathered, other: &Gathered) -> Result<()> {
        gathered.bids.iter_mut().zip(other.bids).for_each(|(bids, of_other)| *bids += of_other);
        gathered.lowest = gathered.lowest.min(other.lowest);
        gathered.highest = gathered.highest.max(other.highest);
        gathered.sum += other.sum;
        Ok(())
    }

    fn emit(&mut self, auction: u64, window: Window, gathered: &Gathered, out: &mut Self::Output) -> Result<()> {
        let &Gathered { bids: [rank1_bids, rank2_bids, rank3_bids], lowest, highest, sum } = gathered;
        let total_bids = rank1_bids + rank2_bids + rank3_bids;
        let statistics = PriceStatistics {
            auction,
            day: Day::of(window.start),
            total_bids,
            rank1_bids,
            rank2_bids,
            rank3_bids,
            min_price: lowest,
            max_price: highest,
            // The average of 64-bit numbers is one.
            avg_price: (sum / u128::from(total_bids.max(1))) as u64,
            sum_price: sum,
        };
        out.emit((), statistics);
        Ok(())
    }
}
