//! Queries 4 and 6, last steps: what auctions closed at, on average of a category, and of the last ten of a seller.

use serde::{Deserialize, Serialize};
use wasmill_sdk::prelude::*;

use crate::{
    row::{Rows, rows},
    winning::Won,
};

/// Query 4: a category and what its auctions closed at, on average, in whole cents.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct CategoryAverage {
    id: u64,
    r#final: u64,
}

/// Query 6: a seller and what the last auctions closed at, on average, in whole cents.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct SellerAverage {
    seller: u64,
    avg_price: u64,
}

rows!(CategoryAverage, SellerAverage);

/// Query 4: adds up what auctions of a category closed at, and tells the average at the end of the input.
#[derive(States)]
pub struct Averages {
    /// The sum, and the number of auctions.
    prices: ValueState<Postcard<(u128, u64)>>,
}

#[operator(shared)]
impl KeyedOperator for Averages {
    type Key = u64;
    type Value = Rows<Won<'static>>;
    type Output = Output<(), Rows<CategoryAverage>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(Averages { prices: setup.value_state("prices") })
    }

    fn process(
        &mut self,
        won: Record<'_, u64, Self::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let is_first = self.prices.update(|(sum, auctions)| {
            *sum += u128::from(won.value.price);
            *auctions += 1;
            *auctions == 1
        });
        if is_first {
            call.register_event_timer(END_OF_TIME, 0);
        }
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if let Some((sum, auctions)) = self.prices.get() {
            // The average of 64-bit numbers is one.
            let average = (sum / u128::from((*auctions).max(1))) as u64;
            out.emit((), CategoryAverage { id: timer.key(), r#final: average });
        }
        Ok(())
    }
}

/// How many auctions of a seller query 6 looks back on.
const LAST: usize = 10;

/// Auctions of a seller.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Closed {
    /// Those that the watermark has not reached: when they closed, number and price.
    waiting: Vec<(i64, u64, u64)>,
    /// Prices of the last ones that it has reached, the latest at the end.
    last: Vec<u64>,
}

/// Query 6: tells of each auction that closed the average of it and the seller's nine before. They are taken in the order in
/// which they closed, by number where that was the same millisecond, whatever the order in which they come.
#[derive(States)]
pub struct AveragesOfLast {
    closed: ValueState<Postcard<Closed>>,
}

#[operator(shared)]
impl KeyedOperator for AveragesOfLast {
    type Key = u64;
    type Value = Rows<Won<'static>>;
    type Output = Output<(), Rows<SellerAverage>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(AveragesOfLast { closed: setup.value_state("closed") })
    }

    fn process(
        &mut self,
        won: Record<'_, u64, Self::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        let Won { expires, id, price, .. } = won.value;
        self.closed.update(|closed| closed.waiting.push((expires, id, price)));
        call.register_event_timer(expires, 0);
        Ok(())
    }

    fn on_timer(&mut self, timer: Timer<'_, u64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        self.closed.update(|Closed { waiting, last }| {
            waiting.sort_unstable();
            let due = waiting.partition_point(|(expires, _, _)| *expires <= timer.time());
            for (expires, _, price) in waiting.drain(..due) {
                if last.len() == LAST {
                    last.remove(0);
                }
                last.push(price);
                let sum: u128 = last.iter().copied().map(u128::from).sum();
                let avg_price = (sum / last.len() as u128) as u64;
                out.emit_at(expires, (), SellerAverage { seller: timer.key(), avg_price });
            }
        });
        Ok(())
    }
}
