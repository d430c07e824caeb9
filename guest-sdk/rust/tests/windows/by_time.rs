//! Windows of event time and of processing time.

use wasmill_sdk::prelude::*;

use crate::sums::*;

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
