//! Sessions, which merge.

use wasmill_sdk::prelude::*;

use crate::sums::*;

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
