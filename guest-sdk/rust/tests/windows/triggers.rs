//! Windows that fire when a trigger says so.

use wasmill_sdk::{
    prelude::*,
    testing::Harness,
    window::trigger::{TriggerContext, TriggerResult},
};

use crate::sums::*;

#[test]
fn count_windows_fire_and_begin_anew() {
    let mut harness = open("count 2");
    push(&mut harness, &[(1, 100), (2, 50), (4, 60), (8, 70), (16, 80)]);
    assert_eq!(sums(&mut harness), [(3, Some(50)), (12, Some(70))]);
    let snapshot = harness.snapshot().unwrap();
    let mut harness = Harness::<Sum>::restore(r#"{"windows": "count 2"}"#, &snapshot, |_| ()).unwrap();
    push(&mut harness, &[(32, 90)]);
    assert_eq!(sums(&mut harness), [(48, Some(90))]);
    harness.finish().unwrap();
    assert_eq!(sums(&mut harness), []);
    // A key whose windows are all complete has nothing in state.
    assert!(harness.snapshot().unwrap().state.is_empty());
}

#[test]
fn the_window_of_all_time_fires_at_the_end_if_asked_to() {
    let mut harness = open("global");
    push(&mut harness, &[(1, 100), (2, -50)]);
    harness.watermark(1 << 60).unwrap();
    assert_eq!(sums(&mut harness), []);
    harness.finish().unwrap();
    assert_eq!(sums(&mut harness), [(3, Some(END_OF_TIME))]);
}

#[test]
fn a_continuous_trigger_gives_early_results() {
    let mut harness = open("tumbling 20, every 5");
    push(&mut harness, &[(1, -18), (2, -9), (4, -11)]);
    harness.watermark(-16).unwrap();
    assert_eq!(sums(&mut harness), []);
    // The first row asks for -15, which asks for -10, and that for -5; the end of the window is the last.
    harness.watermark(-15).unwrap();
    assert_eq!(sums(&mut harness), [(7, Some(-1))]);
    harness.watermark(-6).unwrap();
    assert_eq!(sums(&mut harness), [(7, Some(-1))]);
    harness.watermark(-1).unwrap();
    assert_eq!(sums(&mut harness), [(7, Some(-1)), (7, Some(-1))]);
    assert!(harness.snapshot().unwrap().state.is_empty());

    let mut harness = open("global, every 10");
    push(&mut harness, &[(1, -5), (2, 3)]);
    harness.watermark(0).unwrap();
    harness.watermark(25).unwrap();
    assert_eq!(sums(&mut harness), [(3, Some(0)), (3, Some(10)), (3, Some(20))]);

    let mut harness = open("tumbling 20, every 5 by the clock");
    harness.processing_time(7).unwrap();
    push(&mut harness, &[(1, 0)]);
    harness.processing_time(10).unwrap();
    assert_eq!(sums(&mut harness), []);
    harness.processing_time(11).unwrap();
    harness.processing_time(13).unwrap();
    assert_eq!(sums(&mut harness), [(1, Some(19))]);
    harness.watermark(19).unwrap();
    harness.processing_time(1_000).unwrap();
    assert_eq!(sums(&mut harness), []);
    assert_eq!(harness.memory().timers(TimeDomain::ProcessingTime).count(), 0);
}

#[test]
fn a_trigger_may_purge() {
    let mut harness = open_late("tumbling 10, purging", 5);
    push(&mut harness, &[(1, 1), (2, 2)]);
    harness.watermark(9).unwrap();
    push(&mut harness, &[(4, 3)]);
    push(&mut harness, &[(8, 4)]);
    assert_eq!(fired(&mut harness), [(0, 10, 3), (0, 10, 4), (0, 10, 8)]);
    harness.watermark(14).unwrap();
    assert!(harness.snapshot().unwrap().state.is_empty());

    // Without purging it emits all it has, and what is not complete when the window ends is not emitted.
    let mut harness = open("tumbling 10, counted");
    push(&mut harness, &[(1, 1), (2, 2), (4, 3), (8, 4), (16, 5)]);
    harness.finish().unwrap();
    assert_eq!(fired(&mut harness), [(0, 10, 3), (0, 10, 15)]);
}

/// Counts how often it is asked at an end that was put off.
struct Meddler;

impl Trigger for Meddler {
    fn on_element(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        assert_eq!((window.watermark(), window.processing_time()), (i64::MIN, 0));
        // One that is deleted again, one twice, and one that must not take the window's own removal with it.
        let last = window.window().last();
        window.register_event_timer(time + 1);
        window.delete_event_timer(time + 1);
        window.register_event_timer(time + 2);
        window.register_event_timer(time + 2);
        window.register_event_timer(last);
        window.delete_event_timer(last);
        *window.number() += 1;
        TriggerResult::Continue
    }

    fn on_event_time(&mut self, time: i64, window: &mut TriggerContext<'_>) -> TriggerResult {
        assert_eq!(window.rows(), 2);
        assert_eq!(*window.number(), 2);
        if time == window.window().last() { TriggerResult::Continue } else { TriggerResult::Fire }
    }
}

struct Meddled;

#[operator(shared)]
impl WindowOperator for Meddled {
    type Key = Text;
    type Value = i64;
    type Accumulator = i64;
    type Output = Output<Text, i64>;

    fn open(_: &mut Setup) -> Result<(Self, Windows)> {
        Ok((Meddled, Windows::tumbling(ms(10)).trigger(Meddler)))
    }

    fn add(&mut self, number: &Record<'_, Text, i64>, sum: &mut i64) -> Result<()> {
        *sum += number.value;
        Ok(())
    }

    fn merge(&mut self, _: &mut i64, _: &i64) -> Result<()> {
        Err(Error::batch("windows that have a trigger have no panes"))
    }

    fn emit(&mut self, key: &str, _: Window, sum: &i64, out: &mut Self::Output) -> Result<()> {
        out.emit(key, *sum);
        Ok(())
    }
}

#[test]
fn timers_of_a_trigger_are_those_it_has_set() {
    let mut harness = Harness::<Meddled>::open("{}").unwrap();
    harness.push("a", 1, 3).unwrap();
    harness.push("a", 2, 5).unwrap();
    let times: Vec<i64> = harness.memory().timers(TimeDomain::EventTime).map(|(time, ..)| time).collect();
    assert_eq!(times, [5, 7, 9]);
    harness.watermark(100).unwrap();
    assert_eq!(harness.output(), [("a".to_string(), 3, Some(9)), ("a".to_string(), 3, Some(9))]);
    assert!(harness.snapshot().unwrap().state.is_empty());
}
