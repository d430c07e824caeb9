//! Workload W6: words of lines, and the running count of each.

use wasmill_sdk::prelude::*;

/// Emits each word of a line as a key: letters, digits and underscores, in lower case.
#[operator(shared)]
pub fn split(line: Record<'_, (), Text>, out: &mut Output<Text, ()>) {
    let line = line.value.to_ascii_lowercase();
    for word in line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty()) {
        out.emit(word, ());
    }
}

/// Emits the count of a word each time it comes.
#[derive(States)]
pub struct Count {
    counts: ValueState<u64>,
}

#[operator(shared)]
impl KeyedOperator for Count {
    type Key = Text;
    type Value = ();
    type Output = MapValues<u64>;

    fn open(setup: &mut Setup) -> Result<Self> {
        Ok(Count { counts: setup.value_state("counts") })
    }

    #[inline]
    fn process(&mut self, _: Record<'_, Text, ()>, _: &mut KeyedCall<'_>, out: &mut MapValues<u64>) -> Result<()> {
        let count = self.counts.update(|count| {
            *count += 1;
            *count
        });
        out.set(count);
        Ok(())
    }
}

wasmill_sdk::operators! { "split" => split, "count" => Count }
