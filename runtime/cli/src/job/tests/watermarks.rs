//! What is said of watermarks and of batch mode, and what the engine is given.

use std::time::Duration;

use wasmill_core::time::WatermarkStrategy;
use wasmill_engine::{ExecutionMode, SourceSpec, WatermarkAlignment};

use super::*;

/// A job whose source has these keys in its `event-time` table.
fn timed(keys: &str) -> String {
    format!(
        "name = \"a\"\n[source.lines]\nconnector = \"stdin\"\nformat = \"json\"\n[source.lines.event-time]\nfield = \"/at\"\n\
         {keys}\n[sink.out]\nconnector = \"stdout\"\ninput = \"lines\"\n"
    )
}

fn spec(text: &str) -> SourceSpec {
    let mut resolved = resolve(text, &[], &Overrides::default()).expect("the job is sound");
    resolved.connected.sources.remove(&0).expect("the source is the first node")
}

#[test]
fn strategies_reach_the_engine() {
    let strategy = |keys: &str| spec(&timed(keys)).strategy;
    assert_eq!(strategy(""), WatermarkStrategy::Bounded { bound: 0 });
    assert_eq!(strategy("max-out-of-orderness = \"2s\""), WatermarkStrategy::Bounded { bound: 2_000 });
    assert_eq!(strategy("watermarks = \"monotonic\""), WatermarkStrategy::Monotonic);
    assert_eq!(strategy("watermarks = \"none\""), WatermarkStrategy::None);
    let from_record = "watermarks = \"from-record\"\nwatermark-field = \"/wm\"";
    assert_eq!(strategy(from_record), WatermarkStrategy::FromRecord);
}

#[test]
fn idleness_and_alignment_reach_the_engine() {
    let plain = spec(&timed(""));
    assert_eq!((plain.idle_after, plain.alignment, plain.watermark_rows), (None, None, 1_000));
    let all = "idle-after = \"30s\"\nmax-drift = \"10m\"\nwatermark-rows = 5";
    let of = spec(&timed(all));
    let alignment = |group: &str| {
        let (group, max_drift) = (group.to_string(), Duration::from_secs(600));
        Some(WatermarkAlignment { group, max_drift })
    };
    assert_eq!((of.idle_after, of.watermark_rows), (Some(Duration::from_secs(30)), 5));
    assert_eq!(of.alignment, alignment("default"));
    assert_eq!(spec(&timed(&format!("{all}\nalignment-group = \"orders\""))).alignment, alignment("orders"));
}

#[test]
fn keys_that_do_not_fit_together_are_told() {
    let text = timed("watermarks = \"monotonic\"\nmax-out-of-orderness = \"2s\"\nwatermark-field = \"/wm\"");
    let expected = r#"error: `max-out-of-orderness` means nothing with watermarks `monotonic`
 --> job.toml:8:1
  |
8 | max-out-of-orderness = "2s"
  | ^^^^^^^^^^^^^^^^^^^^
  = help: remove it, or set `watermarks = "bounded"`

error: `watermark-field` means nothing with watermarks `monotonic`
 --> job.toml:9:1
  |
9 | watermark-field = "/wm"
  | ^^^^^^^^^^^^^^^
  = help: remove it, or set `watermarks = "from-record"`"#;
    assert_eq!(problems(&text, &[]), expected);
    let text = timed("watermarks = \"from-record\"\nwatermark-rows = 7\nalignment-group = \"x\"");
    let expected = r#"error: watermarks are taken from rows, but it is not said where they stand in a row
 --> job.toml:7:14
  |
7 | watermarks = "from-record"
  |              ^^^^^^^^^^^^^
  = help: add `watermark-field = "/watermark"`

error: `watermark-rows` means nothing with watermarks `from-record`
 --> job.toml:8:1
  |
8 | watermark-rows = 7
  | ^^^^^^^^^^^^^^
  = help: remove it, or set `watermarks = "bounded"`

error: `alignment-group` means nothing without `max-drift`
 --> job.toml:9:1
  |
9 | alignment-group = "x"
  | ^^^^^^^^^^^^^^^
  = help: add `max-drift = "10m"`, or remove it"#;
    assert_eq!(problems(&text, &[]), expected);
    let expected = r#"error: `max-drift` needs watermarks: the other sources of the group would wait for the end of this one
 --> job.toml:8:1
  |
8 | max-drift = "1m"
  | ^^^^^^^^^
  = help: remove it, or let the source have `watermarks`"#;
    assert_eq!(problems(&timed("watermarks = \"none\"\nmax-drift = \"1m\""), &[]), expected);
}

#[test]
fn the_watermark_field_is_a_pointer() {
    let text = timed("watermarks = \"from-record\"\nwatermark-field = \"wm\"");
    let expected = r#"error: `event-time.watermark-field` is not a JSON Pointer: `wm`
 --> job.toml:8:19
  |
8 | watermark-field = "wm"
  |                   ^^^^
  = help: write a `/` before each step: "/wm""#;
    assert_eq!(problems(&text, &[]), expected);
}

#[test]
fn a_generator_carries_no_watermarks() {
    let text = "name = \"a\"\n[source.lines]\nconnector = \"generator\"\n[source.lines.event-time]\n\
                watermarks = \"from-record\"\n[sink.out]\nconnector = \"stdout\"\ninput = \"lines\"\n";
    let expected = r#"error: `source.lines.event-time.watermarks` cannot be `from-record`
 --> job.toml:5:14
  |
5 | watermarks = "from-record"
  |              ^^^^^^^^^^^^^
  = help: it can be `bounded`, `monotonic` or `none`"#;
    assert_eq!(problems(text, &[]), expected);
}

#[test]
fn batch_mode_needs_input_that_ends() {
    let job = |source: &str| {
        format!(
            "name = \"a\"\nmode = \"batch\"\n[source.a]\n{source}\n[sink.out]\nconnector = \"stdout\"\ninput = \"a\"\n"
        )
    };
    for bounded in ["connector = \"generator\"\ncount = 3", "connector = \"stdin\""] {
        let parsed = Job::parse(Path::new("job.toml"), &job(bounded), &Overrides::default()).unwrap();
        assert_eq!((problems(&job(bounded), &[]).as_str(), parsed.mode), ("", ExecutionMode::Batch));
    }
    let expected = r#"error: `a` never ends, but in the mode `batch` results appear at the end
 --> job.toml:4:13
  |
4 | connector = "generator"
  |             ^^^^^^^^^^^
  = help: add a `count` to it, or remove `mode`"#;
    assert_eq!(problems(&job("connector = \"generator\""), &[]), expected);
}
