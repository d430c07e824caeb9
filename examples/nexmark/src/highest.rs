//! Query 7: the highest bids of every 10 seconds, all of the same price.

use wasmill_sdk::{Codec, prelude::*};

use crate::{
    bids::Passed,
    event::Events,
    row::{Rows, at_row},
    windows::{LateRecords, SIZE, start_of},
};

/// Leaves of a batch of events only what may be the highest bid of its window, so that there is little to exchange. It keeps
/// nothing from one batch to the next, and how batches are cut makes no difference to the highest bid.
pub struct HighestOfBatch;

/// A window's highest price in a batch, and the bids of that price, encoded.
struct Highest {
    end: i64,
    price: u64,
    bids: Batch,
}

#[operator(shared)]
impl BatchOperator for HighestOfBatch {
    fn open(setup: &mut Setup) -> Result<Self> {
        setup.input::<(), Events>("in", false);
        setup.output::<i64, Rows<Passed<'static>>>("out");
        Ok(HighestOfBatch)
    }

    fn process(&mut self, call: &mut Call<'_>, _: u32, batch: Batch) -> Result<()> {
        let mut windows: Vec<Highest> = Vec::new();
        for (row, event) in Events::rows(batch.value_column(), batch.rows()).enumerate() {
            let event = event.map_err(|error| at_row(error.into(), row))?;
            let numbers = event.bid_numbers().map_err(|error| at_row(error, row))?;
            let Some(numbers) = numbers else { continue };
            let (end, price) = (start_of(numbers.date_time, SIZE).saturating_add(SIZE), numbers.price);
            let window = match windows.iter().rposition(|window| window.end == end) {
                Some(at) => &mut windows[at],
                None => {
                    windows.push(Highest { end, price, bids: Batch::default() });
                    let last = windows.len() - 1;
                    &mut windows[last]
                }
            };
            if price < window.price {
                continue;
            }
            if price > window.price {
                (window.price, window.bids) = (price, Batch::default());
            }
            if let Some(bid) = event.bid().map_err(|error| at_row(error, row))? {
                let packed = Rows::<Passed<'static>>::pack(&bid.into());
                window.bids.push(bid.date_time, Some(&end.to_le_bytes()), Some(&packed));
            }
        }
        windows.into_iter().for_each(|window| call.emit(0, window.bids));
        Ok(())
    }
}

/// Keeps the highest bids of a window. The key is the window's end.
#[derive(States)]
pub struct HighestBids {
    /// The price, and packed rows.
    highest: ValueState<Postcard<(u64, Vec<Vec<u8>>)>>,
    late: LateRecords,
}

#[operator(shared)]
impl KeyedOperator for HighestBids {
    type Key = i64;
    type Value = Rows<Passed<'static>>;
    type Output = Output<(), Rows<Passed<'static>>>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(HighestBids { highest: setup.value_state("highest"), late: LateRecords::new(setup) })
    }

    fn process(
        &mut self,
        bid: Record<'_, i64, Self::Value>,
        call: &mut KeyedCall<'_>,
        _: &mut Self::Output,
    ) -> Result<()> {
        if self.late.is_open(bid.key, call, self.highest.get().is_none()) {
            let packed = || Rows::<Passed<'static>>::pack(&bid.value);
            match self.highest.get() {
                Some((price, _)) if *price > bid.value.price => {}
                Some((price, _)) if *price == bid.value.price => {
                    self.highest.update(|(_, bids)| bids.push(packed()));
                }
                _ => self.highest.set((bid.value.price, vec![packed()])),
            }
        }
        Ok(())
    }

    fn on_timer(&mut self, _: Timer<'_, i64>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        if let Some((_, bids)) = self.highest.get() {
            let mut bids: Vec<&Vec<u8>> = bids.iter().collect();
            bids.sort_unstable();
            for bid in bids {
                out.emit((), Rows::<Passed<'static>>::read(bid)?);
            }
        }
        self.highest.clear();
        Ok(())
    }
}
