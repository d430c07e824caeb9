//! A component runs as an operator: described, opened, fed, and emitting.

mod common;

use std::{
    task::{Context, Waker},
    time::Duration,
};

use common::{Backend, Bench, NOW, Source, batch, drive};
use wasmill_core::{Batch, Outbox, batch::NO_TIME, description::StateKind, time::TimeDomain};
use wasmill_host::Limits;

#[test]
fn an_operator_describes_itself() {
    let bench = Bench::new();
    let description = bench.load(&Source::identity()).describe("{}", &Limits::default()).unwrap();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("test", "0.1"));
    assert_eq!((description.inputs[0].name.as_str(), description.inputs[0].keyed), ("in", true));
    assert_eq!(description.outputs[0].name, "out");
    assert_eq!(description.outputs[0].value.name, "bytes");
    let state = &description.states[0];
    assert_eq!(
        (state.name.as_str(), state.kind, state.schema_version, state.ttl),
        ("count", StateKind::Value, 1, None)
    );
    assert_eq!(description.timers, [TimeDomain::EventTime]);
}

#[test]
fn rows_go_through_unchanged() {
    let bench = Bench::new();
    let mut running = bench.start(&Source::identity(), Limits::default());
    let with_all = Batch {
        flags: vec![0, 2],
        value_ends: vec![3, 3],
        values: b"one".to_vec(),
        header_ends: vec![0, 4],
        headers: b"abcd".to_vec(),
        ..batch()
    };
    for batch in [batch(), with_all, Batch { value_ends: vec![0], ..Batch::default() }] {
        assert_eq!(running.process(batch.clone()).unwrap(), [(0, batch)]);
    }
    assert!(common::block_on(running.instance.snapshot(NOW, 1)).is_ok());
    assert!(common::block_on(running.instance.snapshot_step(100)).unwrap());
    assert!(common::block_on(running.instance.finish(NOW)).is_ok());
}

#[test]
fn only_columns_that_the_input_reads_arrive() {
    let bench = Bench::new();
    // Bit 1: keys.
    let mut running = bench.start(&Source { columns: 2, ..Source::identity() }, Limits::default());
    let keys = Batch { key_ends: vec![1, 3], keys: b"abb".to_vec(), ..Batch::default() };
    assert_eq!(running.process(batch()).unwrap(), [(0, keys)]);
    let keyless = Batch { value_ends: vec![1], values: b"v".to_vec(), ..Batch::default() };
    let times = Batch { timestamps: vec![NO_TIME], ..Batch::default() };
    assert_eq!(running.process(keyless).unwrap(), [(0, times)]);
}

/// Each of 30 batches fills the outbox, and is taken 5 ms later: 150 ms in a call that may run for 20. (A guest looks
/// up where it loops.)
#[test]
fn time_suspended_in_emit_is_not_charged() {
    let bench = Bench::new();
    let process = format!(
        "(local $i i32)
         (loop $l
           (call $emit (i32.add (local.get $p) (i32.const 16)))
           (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 30))))
         {}",
        common::guest::OK
    );
    let limits = Limits { call_budget: Duration::from_millis(20), ..Limits::default() };
    let operator = bench.operator(&Source { process, ..Source::identity() }, limits).unwrap();
    let narrow = Outbox::new(1);
    let mut instance = common::create(&operator, &Backend::default(), &narrow).unwrap();
    let emitted = drive(instance.process(NOW, 0, batch()), &narrow, Duration::from_millis(5)).unwrap();
    assert_eq!(emitted.len(), 30);
}

#[test]
fn what_a_guest_says_of_its_failure_is_told() {
    use wasmill_core::OperatorError::{Batch as Whole, Contract, Job, Record};
    let bench = Bench::new();
    // The `error` variant at 512: result 1, case, then row and message or message.
    let failing = |case: u32, row: u32| {
        let at = if case == 0 { 524 } else { 520 };
        let text = common::guest::TEXT;
        Source {
            process: format!(
                "(i32.store (i32.const 512) (i32.const 1)) (i32.store (i32.const 516) (i32.const {case}))
                 (i32.store (i32.const 520) (i32.const {row}))
                 (i32.store (i32.const {at}) (i32.const {text})) (i32.store (i32.const {}) (i32.const 4))
                 (i32.const 512)",
                at + 4
            ),
            ..Source::default()
        }
    };
    let error = |case, row| bench.start(&failing(case, row), Limits::default()).process(batch()).unwrap_err();
    assert!(matches!(error(0, 1), Record { row: 1, message } if message == "boom"));
    assert!(matches!(error(0, 2), Contract(message) if message.contains("row 2 of 2")));
    assert!(matches!(error(1, 0), Whole(message) if message == "boom"));
    assert!(matches!(error(2, 0), Job(message) if message == "boom"));
}

#[test]
fn an_instance_goes_on_after_an_error_of_its_own_but_not_after_a_trap() {
    let bench = Bench::new();
    let trap = "(if (i32.eq (i32.load (i32.add (local.get $p) (i32.const 24))) (i32.const 1)) (then unreachable))";
    let mut running = bench.start(&Source::processing(trap), Limits::default());
    assert!(running.process(batch()).is_ok());
    let one = Batch { timestamps: vec![1], ..Batch::default() };
    let first = running.process(one).unwrap_err().to_string();
    assert_eq!(running.process(batch()).unwrap_err().to_string(), first);
}

#[test]
fn an_instance_whose_call_was_given_up_is_not_called_again() {
    let bench = Bench::new();
    let operator = bench.operator(&Source::identity(), Limits::default()).unwrap();
    let narrow = Outbox::new(1);
    let mut instance = common::create(&operator, &Backend::default(), &narrow).unwrap();
    let mut call = instance.process(NOW, 0, batch());
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    let error = common::block_on(instance.finish(NOW)).unwrap_err();
    assert!(error.to_string().contains("`process` was given up"), "{error}");
}
