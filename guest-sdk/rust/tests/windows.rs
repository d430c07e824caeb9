//! Windows worked out by hand after Flink's semantics.

use std::time::Duration;

use serde::Deserialize;
use wasmill_sdk::{
    Operator,
    prelude::*,
    testing::Harness,
    window::{
        PreAggregate,
        trigger::{
            ContinuousEventTimeTrigger, ContinuousProcessingTimeTrigger, CountTrigger, EventTimeTrigger,
            ProcessingTimeTrigger, PurgingTrigger, TriggerContext, TriggerResult,
        },
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    windows: String,
    #[serde(default)]
    lateness: u64,
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn windows(setup: &Setup) -> Result<Windows> {
    let Config { windows, lateness } = setup.config()?;
    let windows = match windows.as_str() {
        "tumbling 10" => Windows::tumbling(ms(10)),
        "tumbling 10 from 3" => Windows::tumbling(ms(10)).offset(ms(3)),
        "sliding 10 by 5" => Windows::sliding(ms(10), ms(5)),
        "sliding 10 by 4 from 3" => Windows::sliding(ms(10), ms(4)).offset(ms(3)),
        "sliding 100000 by 1" => Windows::sliding(ms(100_000), ms(1)),
        "session 5" => Windows::session(ms(5)),
        "session 5, counted" => Windows::session(ms(5)).trigger(CountTrigger::of(3)),
        "session 5, triggered" => Windows::session(ms(5)).trigger(EventTimeTrigger),
        "count 2" => Windows::count(2),
        "count 0" => Windows::count(0),
        "global" => Windows::global(EventTimeTrigger),
        "global, every 10" => Windows::global(ContinuousEventTimeTrigger::of(ms(10))),
        "tumbling 10, counted" => Windows::tumbling(ms(10)).trigger(CountTrigger::of(2)),
        "tumbling 10, purging" => Windows::tumbling(ms(10)).trigger(PurgingTrigger::of(EventTimeTrigger)),
        "tumbling 20, every 5" => Windows::tumbling(ms(20)).trigger(ContinuousEventTimeTrigger::of(ms(5))),
        "tumbling 20, every 5 by the clock" => {
            Windows::tumbling(ms(20)).trigger(ContinuousProcessingTimeTrigger::of(ms(5)))
        }
        "tumbling 10 by the clock" => Windows::tumbling(ms(10)).processing_time(),
        "tumbling 10 by the clock, triggered" => {
            Windows::tumbling(ms(10)).processing_time().trigger(ProcessingTimeTrigger)
        }
        "session 5 by the clock" => Windows::session(ms(5)).processing_time(),
        "tumbling 0" => Windows::tumbling(Duration::ZERO),
        "tumbling 1.5" => Windows::tumbling(Duration::from_micros(1_500)),
        "session for ever" => Windows::session(Duration::MAX),
        "session 5 from 3" => Windows::session(ms(5)).offset(ms(3)),
        "tumbling 2^62" => Windows::tumbling(ms(1 << 62)),
        "tumbling 1" => Windows::tumbling(ms(1)),
        other => return Err(Error::job(format_args!("no windows `{other}` here"))),
    };
    Ok(windows.allowed_lateness(ms(lateness)))
}

/// The sum of a window's numbers.
struct Sum;

#[operator(shared)]
impl WindowOperator for Sum {
    type Key = Text;
    type Value = i64;
    type Accumulator = i64;
    type Output = Output<Text, Postcard<(i64, i64, i64)>>;

    fn open(setup: &mut Setup) -> Result<(Self, Windows)> {
        Ok((Sum, windows(setup)?))
    }

    fn add(&mut self, number: &Record<'_, Text, i64>, sum: &mut i64) -> Result<()> {
        *sum += number.value;
        Ok(())
    }

    fn merge(&mut self, sum: &mut i64, other: &i64) -> Result<()> {
        *sum += other;
        Ok(())
    }

    fn emit(&mut self, key: &str, window: Window, sum: &i64, out: &mut Self::Output) -> Result<()> {
        out.emit(key, &(window.start, window.end, *sum));
        Ok(())
    }
}

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

wasmill_sdk::operators! { "sum" => Sum, "mapped" => Mapped }

fn open(windows: &str) -> Harness<Sum> {
    open_late(windows, 0)
}

fn open_late(windows: &str, lateness: u64) -> Harness<Sum> {
    Harness::open(&format!(r#"{{"windows": "{windows}", "lateness": {lateness}}}"#)).unwrap()
}

fn error<O: Operator>(config: &str) -> String {
    Harness::<O>::open(config).err().unwrap().message().to_string()
}

/// Gives key `a` numbers with times.
fn push(harness: &mut Harness<Sum>, rows: &[(i64, i64)]) {
    rows.iter().for_each(|(number, time)| harness.push("a", *number, *time).unwrap());
}

/// Start, end and sum of the windows that were emitted, which have their last millisecond as time.
fn fired(harness: &mut Harness<Sum>) -> Vec<(i64, i64, i64)> {
    let rows = harness.output().into_iter();
    rows.map(|(_, window, time)| {
        assert_eq!(time, Some(Window { start: window.0, end: window.1 }.last()));
        window
    })
    .collect()
}

/// Sums, and the times they have.
fn sums(harness: &mut Harness<Sum>) -> Vec<(i64, Option<i64>)> {
    harness.output().into_iter().map(|(_, (_, _, sum), time)| (sum, time)).collect()
}

fn late(harness: &mut Harness<Sum>) -> Vec<i64> {
    harness.side_output::<Text, i64>("late").into_iter().map(|(_, number, _)| number).collect()
}

#[test]
fn a_window_fires_at_its_last_millisecond_and_its_end_is_not_in_it() {
    let mut harness = open("tumbling 10");
    push(&mut harness, &[(1, 0), (2, 9), (4, 10), (8, -1), (16, -10)]);
    harness.watermark(-2).unwrap();
    assert_eq!(fired(&mut harness), []);
    harness.watermark(8).unwrap();
    assert_eq!(fired(&mut harness), [(-10, 0, 24)]);
    push(&mut harness, &[(32, -1)]);
    assert_eq!(late(&mut harness), [32]);
    harness.watermark(9).unwrap();
    assert_eq!(fired(&mut harness), [(0, 10, 3)]);
    harness.finish().unwrap();
    assert_eq!(fired(&mut harness), [(10, 20, 4)]);
    assert_eq!(harness.metric("late_records"), Some(1.0));
}

#[test]
fn windows_begin_at_the_offset() {
    let mut harness = open("tumbling 10 from 3");
    push(&mut harness, &[(1, 2), (2, 3), (4, 12), (8, 13)]);
    harness.finish().unwrap();
    assert_eq!(fired(&mut harness), [(-7, 3, 1), (3, 13, 6), (13, 23, 8)]);
    // Windows of ten every four that begin at 3: their panes of two begin at odd times.
    let mut harness = open("sliding 10 by 4 from 3");
    push(&mut harness, &[(1, 3), (2, 4), (4, 12), (8, 13)]);
    harness.finish().unwrap();
    assert_eq!(fired(&mut harness), [(-5, 5, 3), (-1, 9, 3), (3, 13, 7), (7, 17, 12), (11, 21, 12)]);
}

#[test]
fn late_rows_make_a_window_fire_again_until_it_is_removed() {
    let mut harness = open_late("tumbling 10", 5);
    push(&mut harness, &[(1, 3)]);
    harness.watermark(9).unwrap();
    assert_eq!(fired(&mut harness), [(0, 10, 1)]);
    // A row of another window that has not been seen before, but is not late yet, fires at once.
    push(&mut harness, &[(2, 5), (4, -6), (8, 7)]);
    harness.watermark(13).unwrap();
    push(&mut harness, &[(16, 8)]);
    assert_eq!(fired(&mut harness), [(0, 10, 3), (0, 10, 11), (0, 10, 27)]);
    assert_eq!(late(&mut harness), [4]);
    harness.watermark(14).unwrap();
    push(&mut harness, &[(32, 9)]);
    assert_eq!((fired(&mut harness), late(&mut harness)), (vec![], vec![32]));
    assert_eq!(harness.metric("late_records"), Some(2.0));
    assert_eq!(harness.memory().timers(TimeDomain::EventTime).count(), 0);
}

#[test]
fn a_late_row_fires_only_those_sliding_windows_that_have_fired() {
    let mut harness = open_late("sliding 10 by 5", 3);
    push(&mut harness, &[(1, 7)]);
    harness.watermark(10).unwrap();
    assert_eq!(fired(&mut harness), [(0, 10, 1)]);
    push(&mut harness, &[(2, 8)]);
    assert_eq!(fired(&mut harness), [(0, 10, 3)]);
    harness.watermark(12).unwrap();
    // The window up to 10 is removed, the one up to 15 is not: the row is in that one, and not late.
    push(&mut harness, &[(4, 9)]);
    assert_eq!((fired(&mut harness), late(&mut harness)), (vec![], vec![]));
    harness.watermark(14).unwrap();
    assert_eq!(fired(&mut harness), [(5, 15, 7)]);
}

#[test]
fn sessions_merge_when_they_touch() {
    for windows in ["session 5", "session 5, triggered"] {
        let mut harness = open(windows);
        // [0, 5) and [10, 15) are two sessions; [5, 10) touches both.
        push(&mut harness, &[(1, 0), (2, 10)]);
        push(&mut harness, &[(4, 5)]);
        // One of its own, which begins a millisecond after the end.
        push(&mut harness, &[(8, 16), (16, 16)]);
        harness.watermark(13).unwrap();
        assert_eq!(fired(&mut harness), [], "{windows}");
        harness.watermark(14).unwrap();
        assert_eq!(fired(&mut harness), [(0, 15, 7)], "{windows}");
        harness.watermark(100).unwrap();
        assert_eq!(fired(&mut harness), [(16, 21, 24)], "{windows}");
        assert_eq!(harness.memory().timers(TimeDomain::EventTime).count(), 0, "{windows}");
    }
}

#[test]
fn a_late_row_joins_a_session_that_is_open_or_makes_two_that_have_fired_one() {
    for windows in ["session 5", "session 5, triggered"] {
        let mut harness = open_late(windows, 20);
        push(&mut harness, &[(1, 0), (2, 10)]);
        harness.watermark(14).unwrap();
        assert_eq!(fired(&mut harness), [(0, 5, 1), (10, 15, 2)], "{windows}");
        push(&mut harness, &[(4, 6)]);
        assert_eq!(fired(&mut harness), [(6, 15, 6)], "{windows}");
        push(&mut harness, &[(8, 4)]);
        assert_eq!(fired(&mut harness), [(0, 15, 15)], "{windows}");
        // It goes on after the watermark: it fires when that comes.
        push(&mut harness, &[(16, 14)]);
        assert_eq!(fired(&mut harness), [], "{windows}");
        harness.watermark(18).unwrap();
        assert_eq!(fired(&mut harness), [(0, 19, 31)], "{windows}");
        harness.watermark(38).unwrap();
        push(&mut harness, &[(32, 14)]);
        assert_eq!((fired(&mut harness), late(&mut harness)), (vec![], vec![32]), "{windows}");
    }
    // Late by itself, but it touches a session that is not.
    let mut harness = open("session 5");
    push(&mut harness, &[(1, 8)]);
    harness.watermark(11).unwrap();
    push(&mut harness, &[(2, 3), (4, 2)]);
    harness.watermark(12).unwrap();
    assert_eq!(fired(&mut harness), [(2, 13, 7)]);
    assert!(late(&mut harness).is_empty());
}

#[test]
fn merged_sessions_add_up_what_their_trigger_counted() {
    let mut harness = open("session 5, counted");
    push(&mut harness, &[(1, 0), (2, 8)]);
    assert_eq!(sums(&mut harness), []);
    push(&mut harness, &[(4, 4)]);
    assert_eq!(sums(&mut harness), [(7, Some(12))]);
    // The watermark does not fire it: its trigger does not ask for that. It is removed all the same.
    harness.watermark(12).unwrap();
    assert_eq!(sums(&mut harness), []);
    assert!(harness.snapshot().unwrap().state.is_empty());
}

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

#[test]
fn windows_of_the_clock_take_no_notice_of_event_time() {
    for windows in ["tumbling 10 by the clock", "tumbling 10 by the clock, triggered"] {
        let mut harness = open(windows);
        harness.processing_time(5).unwrap();
        harness.watermark(1_000).unwrap();
        push(&mut harness, &[(1, 3), (2, 3_000), (4, i64::MIN)]);
        // As long as the clock shows the last millisecond, rows may come in it.
        harness.processing_time(9).unwrap();
        push(&mut harness, &[(8, 0)]);
        assert_eq!(fired(&mut harness), [], "{windows}");
        harness.processing_time(10).unwrap();
        assert_eq!(fired(&mut harness), [(0, 10, 15)], "{windows}");
        push(&mut harness, &[(16, 0)]);
        harness.finish().unwrap();
        assert_eq!(fired(&mut harness), [], "{windows}");
        assert_eq!((late(&mut harness), harness.metric("late_records")), (vec![], None), "{windows}");
    }
    let mut harness = open("session 5 by the clock");
    for (number, now) in [(1, 1), (2, 5), (4, 9), (8, 14)] {
        harness.processing_time(now).unwrap();
        push(&mut harness, &[(number, 0)]);
    }
    assert_eq!(fired(&mut harness), [(1, 14, 7)]);
    harness.processing_time(19).unwrap();
    assert_eq!(fired(&mut harness), [(14, 19, 8)]);
}

#[test]
fn times_at_the_ends_of_their_range_are_in_windows_too() {
    let far = 1 << 62;
    let mut harness = open("tumbling 2^62");
    push(&mut harness, &[(1, i64::MIN + 1), (2, -far - 1), (4, -far), (8, i64::MAX - 1), (16, i64::MAX)]);
    harness.watermark(i64::MAX - 2).unwrap();
    assert_eq!(fired(&mut harness), [(i64::MIN, -far, 3), (-far, 0, 4)]);
    harness.finish().unwrap();
    assert_eq!(fired(&mut harness), [(far, i64::MAX, 24)]);

    for windows in ["tumbling 1", "tumbling 10", "tumbling 10 from 3", "sliding 10 by 4 from 3", "session 5", "global"]
    {
        for lateness in [0, 5, u64::MAX] {
            let mut harness = open_late(windows, lateness);
            push(&mut harness, &[(1, i64::MIN + 1), (2, i64::MIN + 12), (4, i64::MAX - 12), (8, i64::MAX)]);
            harness.watermark(i64::MIN + 50).unwrap();
            harness.watermark(i64::MAX - 1).unwrap();
            harness.finish().unwrap();
            let sums: i64 = harness.output().iter().map(|(_, (_, _, sum), _)| sum).fold(0, |all, sum| all | sum);
            assert_eq!(sums, 15, "{windows} with {lateness}");
            assert_eq!(harness.metric("late_records"), None);
        }
    }
}

#[test]
fn a_key_has_one_timer_at_a_time_and_sets_none_a_record() {
    let mut harness = open("tumbling 10");
    for time in 0..1_000 {
        harness.push("a", 1, time).unwrap();
    }
    assert_eq!(harness.memory().timers(TimeDomain::EventTime).count(), 1);
    harness.watermark(999).unwrap();
    assert_eq!(fired(&mut harness).len(), 100);
    assert_eq!(harness.memory().timers(TimeDomain::EventTime).count(), 0);
    let mut harness = open("session 5");
    for time in 0..1_000 {
        harness.push("a", 1, time).unwrap();
    }
    assert_eq!(harness.memory().timers(TimeDomain::EventTime).count(), 1);
    harness.finish().unwrap();
    assert_eq!(fired(&mut harness), [(0, 1_004, 1_000)]);
}

/// 100,000 windows each: a second a record, if each were added to.
#[test]
fn a_record_of_a_sliding_window_is_added_once() {
    let mut harness = open("sliding 100000 by 1");
    let mut batch = Batch::default();
    (0..1_000i64).for_each(|row| batch.push(row % 50, Some(b"a"), Some(&1i64.to_le_bytes())));
    harness.process(0, batch).unwrap();
    harness.watermark(10).unwrap();
    let windows = fired(&mut harness);
    assert_eq!(windows.len(), 11);
    assert_eq!((windows[0], windows[10]), ((-99_999, 1, 20), (-99_989, 11, 220)));
}

#[test]
fn rows_come_out_in_the_order_of_time_for_each_key() {
    let mut harness = open("sliding 10 by 5");
    for (key, time) in [("b", 3), ("a", 13), ("a", 1), ("b", 12)] {
        harness.push(key, 1, time).unwrap();
    }
    harness.finish().unwrap();
    let order: Vec<(String, i64)> = harness.output().into_iter().map(|(key, (start, ..), _)| (key, start)).collect();
    let of = |wanted: &str| order.iter().filter(|(key, _)| key == wanted).map(|(_, at)| *at).collect::<Vec<i64>>();
    assert_eq!((of("a"), of("b")), (vec![-5, 0, 5, 10], vec![-5, 0, 5, 10]));
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
