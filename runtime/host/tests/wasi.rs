//! WASI is there, and grants nothing: time is the call's, numbers are seeded, what is printed goes to the log.

mod common;

use common::{Bench, Running, Source, batch, guest::EMIT};
use wasmill_core::OperatorError;
use wasmill_host::Limits;

fn start(source: &Source) -> Running {
    Bench::new().start(source, Limits::default())
}

const WIT: &str = "package wasi:clocks@0.2.6 {
    interface monotonic-clock {
        use wasi:io/poll@0.2.6.{pollable};
        now: func() -> u64;
        subscribe-duration: func(when: u64) -> pollable;
    }
    interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
}
package wasi:io@0.2.6 {
    interface poll { resource pollable; }
    interface error { resource error; }
    interface streams {
        use error.{error};
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        }
        variant stream-error { last-operation-failed(error), closed }
    }
}
package wasi:cli@0.2.6 {
    interface stderr { use wasi:io/streams@0.2.6.{output-stream}; get-stderr: func() -> output-stream; }
    interface exit { exit: func(status: result); }
}
package wasi:random@0.2.6 { interface random { get-random-u64: func() -> u64; } }";

fn with_wasi(imports: &str, world: &str, process: &str) -> Source {
    let imports = format!("{imports} {EMIT}");
    let process = format!("{process} (call $emit (i32.add (local.get $p) (i32.const 16)))");
    let (packages, world) = (WIT.to_string(), world.to_string());
    Source { imports, packages, world, ..Source::processing(&process) }
}

#[test]
fn sleeping_is_refused() {
    let source = with_wasi(
        r#"(import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $sleep (param i64) (result i32)))"#,
        "import wasi:clocks/monotonic-clock@0.2.6;",
        "(drop (call $sleep (i64.const 1)))",
    );
    let error = start(&source).process(batch()).unwrap_err();
    let OperatorError::Contract(error) = error else { panic!("{error}") };
    assert!(error.contains("waits for a clock") && error.contains("set a timer instead"), "{error}");
}

#[test]
fn clocks_show_the_time_of_the_call_and_random_numbers_repeat() {
    // Overwrites the batch's two timestamps: the monotonic time, then a random number.
    let source = with_wasi(
        r#"(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))
           (import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))"#,
        "import wasi:clocks/monotonic-clock@0.2.6; import wasi:random/random@0.2.6;",
        "(i64.store (i32.load offset=20 (local.get $p)) (call $now))
         (i64.store offset=8 (i32.load offset=20 (local.get $p)) (call $random))",
    );
    let times = |running: &mut Running| running.process(batch()).unwrap()[0].1.timestamps.clone();
    let (mut first, mut replay) = (start(&source), start(&source));
    let seen = times(&mut first);
    // NOW is 1,700,000,000,000 ms.
    assert_eq!(seen[0], 1_700_000_000_000_000_000);
    assert_eq!(times(&mut replay), seen);
    assert_ne!(times(&mut first)[1], seen[1]);
}

/// As the standard libraries of Rust and C print: a panic without the SDK's hook is explained all the same.
#[test]
fn what_was_printed_to_standard_error_explains_a_trap() {
    let mut source = with_wasi(
        r#"(import "wasi:cli/stderr@0.2.6" "get-stderr" (func $stderr (result i32)))
           (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush"
             (func $print (param i32 i32 i32 i32)))"#,
        "import wasi:cli/stderr@0.2.6; import wasi:io/streams@0.2.6;",
        "(call $print (call $stderr) (i32.const 256) (i32.const 4) (i32.const 600)) unreachable",
    );
    source.text = "oops".to_string();
    let error = start(&source).process(batch()).unwrap_err();
    assert!(matches!(&error, OperatorError::Trap(text) if text.starts_with("oops (wasm `unreachable`")), "{error}");
}

#[test]
fn a_guest_that_ends_itself_ends_only_itself() {
    let source = with_wasi(
        r#"(import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))"#,
        "import wasi:cli/exit@0.2.6;",
        "(call $exit (i32.const 1))",
    );
    let error = start(&source).process(batch()).unwrap_err();
    assert!(matches!(&error, OperatorError::Trap(text) if text.contains("called `exit` (status 1)")), "{error}");
}
