//! Guests that break the contract or reach for the world outside get a clear error; what they say is heard.

mod common;

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use common::{
    Bench, Running, Source, batch, block_on,
    guest::{LOG, OK},
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use wasmill_core::{OperatorError, time::TimeDomain};
use wasmill_host::{Limits, MetricKind};

fn start(source: &Source) -> Running {
    Bench::new().start(source, Limits::default())
}

fn contract(source: &Source) -> String {
    match start(source).process(batch()).unwrap_err() {
        OperatorError::Contract(message) => message,
        other => panic!("not about the contract: {other}"),
    }
}

/// Sets the word at `offset` of what `emit` takes, then emits it.
fn emitting(offset: u32, word: u32) -> Source {
    let process = format!(
        "(i32.store (i32.add (local.get $p) (i32.const {})) (i32.const {word}))
         (call $emit (i32.add (local.get $p) (i32.const 16))) {OK}",
        16 + offset
    );
    Source { process, ..Source::identity() }
}

#[test]
fn columns_that_are_no_batch_are_named() {
    // After the output's number come eight pairs of pointer and length.
    let timestamps = contract(&emitting(8, 1));
    assert!(
        timestamps.contains("output `out`") && timestamps.contains("column `timestamps` has 1 entries"),
        "{timestamps}"
    );
    let values = contract(&emitting(4 + 8 * 4 + 4, 4));
    assert!(values.contains("column `value-ends` ends at 5, but its bytes are 4 long"), "{values}");
    let output = contract(&emitting(0, 9));
    assert!(output.contains("emitted to output 9, but describes 1"), "{output}");
    // A length beyond the memory is wasmtime's to find.
    let error = start(&emitting(8, 0x7fff_ffff)).process(batch()).unwrap_err();
    assert!(matches!(error, OperatorError::Trap(_) | OperatorError::Limit { limit: "max-batch-size", .. }), "{error}");
}

#[test]
fn imports_are_refused_where_they_have_no_place() {
    let bench = Bench::new();
    let emit = "(call $emit (i32.const 4096))";
    let describing = Source { describe: format!("{emit} (i32.const 1024)"), ..Source::identity() };
    let error = bench.load(&describing).describe("{}", &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("called `output.emit` from `describe`"), "{error}");

    let opening = Source { open: format!("{emit} {OK}"), ..Source::identity() };
    let operator = bench.operator(&opening, Limits::default()).unwrap();
    let outbox = wasmill_core::Outbox::new(1);
    let Err(error) = common::create(&operator, &common::Backend::default(), &outbox) else { panic!("it opened") };
    assert!(error.to_string().contains("called `output.emit` from `open`"), "{error}");

    let stepping = Source { snapshot_step: format!("{emit} (i32.const 48)"), ..Source::identity() };
    let mut running = bench.start(&stepping, Limits::default());
    let error = block_on(running.instance.snapshot_step(1)).unwrap_err();
    assert!(error.to_string().contains("called `output.emit` from `snapshot-step`"), "{error}");
}

const STATE: &str = r#"
    (import "wasmill:operator/state@0.1.0" "get-many"
      (func $get (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
    (import "wasmill:operator/state@0.1.0" "scan" (func $scan (param i32 i32 i32 i32 i32 i32 i32)))
    (import "wasmill:operator/state@0.1.0" "write-many" (func $write (param i32)))"#;

/// The key columns of the batch at `$p`, which begins 20 bytes in: key-ends at 28, keys at 36.
const KEYS: &str = "(i32.load offset=28 (local.get $p)) (i32.load offset=32 (local.get $p))
    (i32.load offset=36 (local.get $p)) (i32.load offset=40 (local.get $p))";

#[test]
fn state_is_read_and_written_in_bulk() {
    // Reads state 0 at the batch's keys to address 600 (present, ends, values). Then writes what it read to the same keys:
    // a record at 640 with state 0, epoch 1, operations at 800 (two puts), the entries as they came, the answer's ends and
    // values, no expiry.
    let process = format!(
        "(call $get (i32.const 0) {KEYS} (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 600))
         (i64.store (i32.const 648) (i64.const 1))
         (i32.store (i32.const 656) (i32.const 800)) (i32.store (i32.const 660) (i32.const 2))
         (memory.copy (i32.const 664) (i32.add (local.get $p) (i32.const 28)) (i32.const 16))
         (memory.copy (i32.const 696) (i32.const 608) (i32.const 16))
         (call $write (i32.const 640)) {OK}"
    );
    let source = Source { imports: STATE.to_string(), process, ..Source::default() };
    let mut running = start(&source);
    running.backend.put(0, b"a", b"one");
    running.process(batch()).unwrap();
    assert_eq!(running.backend.value(0, b"a").as_deref(), Some(&b"one"[..]));
    // Absent was answered with length 0, and so written.
    assert_eq!(running.backend.value(0, b"bb").as_deref(), Some(&b""[..]));
}

#[test]
fn state_of_others_unknown_state_and_what_is_not_there_yet_are_refused() {
    let get = |state: u32, keys: &str| Source {
        imports: STATE.to_string(),
        ..Source::processing(&format!(
            "(call $get (i32.const {state}) {keys}
               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 600))"
        ))
    };
    let unknown = contract(&get(3, KEYS));
    assert!(unknown.contains("`state.get-many` on state 3, but describes 1"), "{unknown}");
    let mut foreign = start(&get(0, KEYS));
    let batch_of_another = wasmill_core::Batch { keys: b"xbb".to_vec(), ..batch() };
    let error = foreign.process(batch_of_another).unwrap_err().to_string();
    assert!(error.contains("belongs to another subtask"), "{error}");
    let columns = contract(&get(0, &KEYS.replace("(i32.load offset=40 (local.get $p))", "(i32.const 2)")));
    assert!(columns.contains("column `key-ends` ends at 3, but its bytes are 2 long"), "{columns}");
    let zeros = "(i32.const 0) ".repeat(6);
    let scanning = format!("(call $scan {zeros} (i32.const 600))");
    let scan = contract(&Source { imports: STATE.to_string(), ..Source::processing(&scanning) });
    assert!(scan.contains("`state.scan` on value state"), "{scan}");
}

#[test]
fn timers_are_set_in_a_described_domain_for_own_keys() {
    let import = r#"(import "wasmill:operator/timers@0.1.0" "register"
        (func $register (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;
    // The batch's timestamps as times (at 20), its keys, and tags from the zeros at 800.
    let register = |domain: u32, tags: u32| Source {
        imports: import.to_string(),
        ..Source::processing(&format!(
            "(call $register (i32.const {domain})
               (i32.load offset=20 (local.get $p)) (i32.load offset=24 (local.get $p)) {KEYS}
               (i32.const 800) (i32.const {tags}))"
        ))
    };
    let mut running = start(&register(0, 2));
    running.process(batch()).unwrap();
    let due = running.backend.due(TimeDomain::EventTime, 15).unwrap();
    assert_eq!((due.times.as_slice(), due.keys.as_slice(), due.tags.as_slice()), (&[10][..], &b"a"[..], &[0][..]));
    let domain = contract(&register(1, 2));
    assert!(domain.contains("processing-time timers, which it does not describe"), "{domain}");
    let columns = contract(&register(0, 1));
    assert!(columns.contains("2 times, 2 keys, 1 tags"), "{columns}");
    let foreign = wasmill_core::Batch { keys: b"axx".to_vec(), ..batch() };
    let error = start(&register(0, 2)).process(foreign).unwrap_err().to_string();
    assert!(error.contains("for a key of another subtask (timer 1"), "{error}");
}

#[test]
fn a_trap_carries_the_last_words_and_the_functions() {
    let source = Source {
        imports: LOG.to_string(),
        text: "panicked at src/lib.rs:7: no such key".to_string(),
        extra: "(func $look_up unreachable)".to_string(),
        ..Source::processing("(call $log (i32.const 4) (i32.const 256) (i32.const 37)) (call $look_up)")
    };
    let error = start(&source).process(batch()).unwrap_err();
    let OperatorError::Trap(text) = error else { panic!("{error}") };
    assert!(text.starts_with("panicked at src/lib.rs:7: no such key (wasm `unreachable`"), "{text}");
    assert!(text.contains("in `process`; in look_up <- process"), "{text}");
}

#[test]
fn metrics_are_kept_by_subtask() {
    let import = r#"(import "wasmill:operator/metrics@0.1.0" "report" (func $report (param i32 i32)))"#;
    // A sample at 600: name, kind 0 (counter), value 2.5.
    let report = "(i32.store (i32.const 600) (i32.const 256)) (i32.store (i32.const 604) (i32.const 4))
        (f64.store (i32.const 616) (f64.const 2.5)) (call $report (i32.const 600) (i32.const 1))";
    let source = Source { imports: import.to_string(), ..Source::processing(report) };
    let bench = Bench::new();
    let operator = bench.operator(&source, Limits::default()).unwrap();
    let outbox = wasmill_core::Outbox::new(1);
    let instance = common::create(&operator, &common::Backend::default(), &outbox).unwrap();
    let mut running = Running { instance, backend: common::Backend::default(), outbox };
    running.process(batch()).unwrap();
    running.process(batch()).unwrap();
    let samples = operator.metrics().samples();
    assert_eq!(samples.len(), 1);
    assert_eq!((samples[0].name.as_str(), samples[0].subtask, samples[0].kind), ("boom", 0, MetricKind::Counter));
    assert_eq!(samples[0].value, 5.0);
}

/// Keeps what is logged for the target of guests.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "wasmill::guest"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_flood_of_lines_is_cut_and_reported() {
    let flood = "(local $i i32)
        (loop $l
          (call $log (i32.const 1) (i32.const 256) (i32.const 4))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))";
    let source = Source { imports: LOG.to_string(), ..Source::processing(flood) };
    let heard = Heard::default();
    tracing::subscriber::with_default(heard.clone(), || {
        let mut running = start(&source);
        running.process(batch()).unwrap();
    });
    let lines = heard.0.lock().unwrap();
    let line = "DEBUG message=boom tenant=local job=job operator=op subtask=0";
    let written = lines.iter().filter(|heard| *heard == line).count();
    let dropped: usize = lines
        .iter()
        .filter_map(|line| line.split("message=").nth(1)?.split(" lines were dropped").next()?.parse::<usize>().ok())
        .sum();
    // However many seconds it took: each line was written or counted, and no second had more than 1,000.
    assert_eq!(written + dropped, 100_000, "{:?}", lines.last());
    assert!(written <= 1_000 * 20, "{written}");
}
