//! What is no window, and what is in none.

use wasmill_sdk::{Operator, prelude::*, testing::Harness, window::PreAggregate};

use crate::sums::*;

/// Its output would be that of another shape.
struct Mapped;

#[operator(shared)]
impl WindowOperator for Mapped {
    type Key = Text;
    type Value = i64;
    type Accumulator = i64;
    type Output = MapValues<i64>;

    fn open(_: &mut Setup) -> Result<(Self, Windows)> {
        Ok((Mapped, Windows::tumbling(ms(10))))
    }

    fn add(&mut self, _: &Record<'_, Text, i64>, _: &mut i64) -> Result<()> {
        Ok(())
    }

    fn merge(&mut self, _: &mut i64, _: &i64) -> Result<()> {
        Ok(())
    }

    fn emit(&mut self, _: &str, _: Window, _: &i64, _: &mut Self::Output) -> Result<()> {
        Ok(())
    }
}

fn error<O: Operator>(config: &str) -> String {
    Harness::<O>::open(config).err().unwrap().message().to_string()
}

#[test]
fn a_record_without_event_time_is_at_fault() {
    for windows in ["tumbling 10", "session 5", "tumbling 10, counted"] {
        let error = open(windows).push("a", 1, i64::MIN).unwrap_err();
        assert!(error.to_string().starts_with("row 0: it has no event time"), "{error}");
    }
    // Counting needs none.
    let mut harness = open("count 2");
    push(&mut harness, &[(1, i64::MIN), (2, i64::MIN)]);
    assert_eq!(sums(&mut harness), [(3, None)]);
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let refused = |windows: &str| error::<Sum>(&format!(r#"{{"windows": "{windows}"}}"#));
    assert_eq!(
        refused("tumbling 0"),
        "windows: the size of windows is 0ns: it must be whole milliseconds, at least one"
    );
    assert!(refused("tumbling 1.5").contains("the size of windows is 1.5ms"));
    assert!(refused("session for ever").contains("the gap of sessions is"));
    assert_eq!(refused("session 5 from 3"), "windows: only tumbling and sliding windows have an offset");
    assert_eq!(refused("count 0"), "windows: a count window of no records would never end");
    let late_clock = r#"{"windows": "tumbling 10 by the clock", "lateness": 5}"#;
    assert_eq!(error::<Sum>(late_clock), "windows: in processing time nothing is late: there is no lateness to allow");
    assert!(error::<Mapped>("{}").contains("its `Output` cannot be `MapValues`"));
    for windows in ["session 5", "count 2", "tumbling 10 by the clock", "tumbling 10, counted"] {
        let error = error::<PreAggregate<Sum>>(&format!(r#"{{"windows": "{windows}"}}"#));
        assert!(error.starts_with("windows: two stages are for tumbling and sliding windows"), "{error}");
    }
}
