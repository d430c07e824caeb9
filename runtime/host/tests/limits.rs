//! Guests that take more than they may are stopped, and the error names the limit.

mod common;

use std::{
    task::{Context, Poll, Waker},
    time::Duration,
};

use common::{Backend, Bench, NOW, Source, batch, create, create_with};
use wasmill_core::{Batch, OperatorError, Outbox, Quota};
use wasmill_host::{HostError, Limits, RuntimeOptions};

const SPIN: &str = "(loop $l (br $l))";

fn limit(error: OperatorError) -> (&'static str, String) {
    match error {
        OperatorError::Limit { limit, message } => (limit, message),
        other => panic!("not a limit: {other}"),
    }
}

fn short() -> Limits {
    Limits { call_budget: Duration::from_millis(50), ..Limits::default() }
}

#[test]
fn a_spinning_guest_is_stopped_at_its_budget() {
    let bench = Bench::new();
    let error = bench.start(&Source::processing(SPIN), short()).process(batch()).unwrap_err();
    let (limit, message) = limit(error);
    assert_eq!(limit, "call-budget");
    assert!(message.contains("50ms"), "{message}");
    // The next call of another instance is as good as any.
    assert!(bench.start(&Source::identity(), short()).process(batch()).is_ok());
}

#[test]
fn a_spinning_guest_leaves_its_neighbours_their_turns() {
    let bench = Bench::new();
    let mut spinning = bench.start(&Source::processing(SPIN), short());
    let mut neighbour = bench.start(&Source::identity(), short());
    let mut call = spinning.instance.process(NOW, 0, batch());
    let mut turns = 0;
    let error = loop {
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => break result.unwrap_err(),
            Poll::Pending => {
                assert_eq!(neighbour.process(batch()).unwrap().len(), 1);
                turns += 1;
            }
        }
    };
    assert_eq!(limit(error).0, "call-budget");
    // 50 ms are five ticks, and each gives a turn away.
    assert_eq!(turns, 5);
}

#[test]
fn a_guest_that_spins_while_it_starts_or_describes_itself_is_stopped() {
    let bench = Bench::new();
    for source in [
        Source { start: SPIN.to_string(), ..Source::default() },
        Source { describe: format!("{SPIN} (i32.const 1024)"), ..Source::default() },
    ] {
        match bench.load(&source).describe("{}", &short()) {
            Err(HostError::Describe { error, .. }) => assert_eq!(limit(error).0, "call-budget"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn memory_without_end_is_refused_with_figures() {
    let bench = Bench::new();
    let grow = "(loop $l (drop (memory.grow (i32.const 16))) (br $l))";
    let limits = Limits { memory: 8 << 20, ..Limits::default() };
    let (limit, message) = limit(bench.start(&Source::processing(grow), limits).process(batch()).unwrap_err());
    assert_eq!(limit, "memory");
    // From 2 pages in steps of 16: the eighth step would reach 130 pages of 128.
    assert!(message.contains("1048576 bytes more than the 7471104 it has, 8519680 in all"), "{message}");
    assert!(message.contains("may have 8388608"), "{message}");
}

#[test]
fn memory_is_charged_to_the_quota_from_the_start_and_given_back() {
    let bench = Bench::new();
    let source = Source::processing("(drop (memory.grow (i32.const 2)))");
    let operator = bench.operator(&source, Limits::default()).unwrap();
    let (backend, outbox) = (Backend::default(), Outbox::new(1 << 20));
    let quota = Quota::new("job `job`", 5 * 65_536);
    let mut instance = create_with(&operator, &backend, &outbox, quota.clone()).unwrap();
    assert_eq!(quota.used(), 2 * 65_536);
    common::block_on(instance.process(NOW, 0, batch())).unwrap();
    assert_eq!(quota.used(), 4 * 65_536);
    let (limit, message) = limit(common::block_on(instance.process(NOW, 0, batch())).unwrap_err());
    assert_eq!(limit, "memory");
    assert!(message.contains("memory quota of job `job`"), "{message}");
    drop(instance);
    assert_eq!(quota.used(), 0);
    // And at instantiation.
    let narrow = Quota::new("job `job`", 65_536);
    let Err(OperatorError::Limit { limit: "memory", .. }) = create_with(&operator, &backend, &outbox, narrow) else {
        panic!("an instance was made over its quota");
    };
}

#[test]
fn endless_recursion_ends_at_the_stack() {
    let bench = Bench::new();
    let source = Source {
        extra: "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))".to_string(),
        ..Source::processing("(drop (call $deep (i32.const 0)))")
    };
    let (limit, message) = limit(bench.start(&source, Limits::default()).process(batch()).unwrap_err());
    assert_eq!(limit, "stack");
    assert!(message.contains("1024 KiB"), "{message}");
}

/// As compilers for C and Rust lay it out: a stack at the start of linear memory, growing down, here from 64 KiB.
#[test]
fn the_end_of_a_stack_in_linear_memory_is_told_from_a_wild_pointer() {
    let bench = Bench::new();
    let deep = "(func $deep (param $sp i32)
        (i32.store (local.tee $sp (i32.sub (local.get $sp) (i32.const 4096))) (i32.const 7))
        (call $deep (local.get $sp)))";
    let source = Source { extra: deep.to_string(), ..Source::processing("(call $deep (i32.const 65536))") };
    let error = bench.start(&source, Limits::default()).process(batch()).unwrap_err();
    assert_eq!(limit(error).0, "stack");
    let wild = Source::processing("(i32.store (i32.const -8) (i32.const 1))");
    let error = bench.start(&wild, Limits::default()).process(batch()).unwrap_err();
    assert!(matches!(&error, OperatorError::Trap(text) if text.contains("out of bounds memory access")), "{error}");
}

#[test]
fn bytes_that_cross_in_a_call_are_bounded_both_ways() {
    let bench = Bench::new();
    let limits = || Limits { max_batch_bytes: 10_000, ..Limits::default() };
    let large = Batch { value_ends: vec![20_000], values: vec![0; 20_000], ..Batch::default() };
    let (name, message) = limit(bench.start(&Source::identity(), limits()).process(large).unwrap_err());
    assert_eq!(name, "max-batch-size");
    assert!(message.contains("20004 bytes"), "{message}");
    // The other way: 20,000 values whose bytes lie at address 0.
    let emit = "(i32.store (i32.add (local.get $p) (i32.const 32)) (i32.const 0))
        (i32.store (i32.add (local.get $p) (i32.const 56)) (i32.const 20000))
        (call $emit (i32.add (local.get $p) (i32.const 16)))";
    let source = Source { imports: common::guest::EMIT.to_string(), ..Source::processing(emit) };
    let (name, message) = limit(bench.start(&source, limits()).process(batch()).unwrap_err());
    assert_eq!(name, "max-batch-size");
    assert!(message.contains("10000 bytes"), "{message}");
}

#[test]
fn the_number_of_instances_is_bounded_and_a_slot_is_used_again() {
    let bench = Bench::with(RuntimeOptions { max_instances: 2, ..RuntimeOptions::default() });
    let operator = bench.operator(&Source::identity(), Limits::default()).unwrap();
    let (backend, outbox) = (Backend::default(), Outbox::new(1 << 20));
    let first = create(&operator, &backend, &outbox).unwrap();
    let _second = create(&operator, &backend, &outbox).unwrap();
    let Err(error) = create(&operator, &backend, &outbox) else { panic!("a third instance was made") };
    assert_eq!(limit(error).0, "max-instances");
    drop(first);
    assert!(create(&operator, &backend, &outbox).is_ok());
}
