//! Counts the rows of each key in value state, and emits each count: workload W2.

use wasmill_sdk::prelude::*;

/// The count of each key.
#[derive(States)]
pub struct Count {
    counts: ValueState<u64>,
}

#[operator]
impl KeyedOperator for Count {
    type Key = u64;
    type Value = ();
    type Output = MapValues<u64>;

    fn open(setup: &mut Setup) -> Result<Self> {
        Ok(Count { counts: setup.value_state("counts") })
    }

    #[inline]
    fn process(&mut self, _: Record<'_, u64, ()>, _: &mut KeyedCall<'_>, out: &mut MapValues<u64>) -> Result<()> {
        let count = self.counts.update(|count| {
            *count += 1;
            *count
        });
        out.set(count);
        Ok(())
    }
}
