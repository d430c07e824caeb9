//! Counts each word, in state that belongs to the word, and tells its count when the input has ended.

use wasmill_sdk::prelude::*;

/// The count of each word.
#[derive(States)]
pub struct Count {
    counts: ValueState<u64>,
}

#[operator]
impl KeyedOperator for Count {
    type Key = Text;
    type Value = ();
    type Output = Output<Text, u64>;

    fn open(setup: &mut Setup) -> Result<Self> {
        setup.event_timers();
        Ok(Count { counts: setup.value_state("counts") })
    }

    fn process(&mut self, _: Record<'_, Text, ()>, call: &mut KeyedCall<'_>, _: &mut Self::Output) -> Result<()> {
        if self.counts.get().is_none() {
            call.register_event_timer(END_OF_TIME, 0);
        }
        self.counts.update(|count| *count += 1);
        Ok(())
    }

    fn on_timer(&mut self, word: Timer<'_, Text>, _: &mut KeyedCall<'_>, out: &mut Self::Output) -> Result<()> {
        out.emit(word.key(), self.counts.get().unwrap_or(0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;

    #[test]
    fn each_word_is_told_once_with_its_count() {
        let mut harness = Harness::<Count>::open("{}").unwrap();
        for word in ["to", "be", "or", "not", "to", "be"] {
            harness.push(word, (), 0).unwrap();
        }
        assert!(harness.output().is_empty(), "nothing is told before the end");
        harness.finish().unwrap();
        let counts: Vec<(String, u64)> = harness.output().into_iter().map(|(word, count, _)| (word, count)).collect();
        let expected = [("be", 2), ("not", 1), ("or", 1), ("to", 2)];
        assert_eq!(counts, expected.map(|(word, count)| (word.to_string(), count)));
    }
}
