//! What a job file says of checkpoints and failures, and what of it cannot be.

use std::time::Duration;

use wasmill_engine::RestartStrategy::{self, ExponentialDelay, FixedDelay};

use super::{super::Checkpoint, *};

const SECOND: Duration = Duration::from_secs(1);

fn read(text: &str, set: &[&str]) -> Job {
    let overrides = Overrides { set: set.iter().map(ToString::to_string).collect(), parallelism: None };
    Job::parse(Path::new("job.toml"), &format!("name = \"a\"\n{text}"), &overrides).unwrap()
}

fn restart(text: &str) -> RestartStrategy {
    read(text, &[]).restart
}

/// The problems of `head` before a source `lines` and a sink `out` with these connectors.
fn around(head: &str, source: &str, sink: &str) -> String {
    let text = format!(
        "name = \"a\"\n{head}[source.lines]\nconnector = {source}\n[sink.out]\nconnector = {sink}\ninput = \"lines\"\n"
    );
    problems(&text, &[])
}

const BOUNDED: &str = "\"generator\"\ncount = 10";
const ENDLESS: &str = "\"generator\"";
const STDIN: &str = "\"stdin\"";
const STDOUT: &str = "\"stdout\"";
const FILE: &str = "\"file\"\npath = \"out\"";

#[test]
fn defaults() {
    let job = read("", &[]);
    let expected = Checkpoint {
        interval: None,
        timeout: Duration::from_secs(600),
        min_pause: Duration::ZERO,
        tolerated_failures: 0,
        keep: 1,
    };
    assert_eq!(job.checkpoint, expected);
    assert_eq!(job.restart, RestartStrategy::None, "as in Flink, where there are no checkpoints");
    let job = read("[checkpoint]\ninterval = \"1s\"\n", &[]);
    assert_eq!(job.restart, ExponentialDelay { initial: SECOND, max: 60 * SECOND, attempts: Some(10) });
    let job = read("[checkpoint]\n[restart]\n[operator.x]\ncomponent = \"x\"\ninput = \"y\"\n", &[]);
    assert_eq!(job.checkpoint, expected);
    assert_eq!(job.restart, ExponentialDelay { initial: SECOND, max: 60 * SECOND, attempts: Some(10) });
    assert!(!job.operators[0].dead_letter);
}

#[test]
fn everything_is_read() {
    let text = "[checkpoint]\ninterval = \"10s\"\ntimeout = \"1m\"\nmin-pause = \"20s\"\ntolerated-failures = 3\nkeep = 1000\n\
                [operator.x]\ncomponent = \"x\"\ninput = \"y\"\non-error = \"dead-letter\"\n";
    let job = read(text, &[]);
    let expected = Checkpoint {
        interval: Some(10 * SECOND),
        timeout: 60 * SECOND,
        min_pause: 20 * SECOND,
        tolerated_failures: 3,
        keep: 1000,
    };
    assert_eq!(job.checkpoint, expected);
    assert!(job.operators[0].dead_letter);
    assert_eq!(restart("[restart]\nstrategy = \"none\"\n"), RestartStrategy::None);
    assert_eq!(
        restart("[restart]\nstrategy = \"fixed-delay\"\ndelay = \"250ms\"\nattempts = 0\n"),
        FixedDelay { delay: Duration::from_millis(250), attempts: Some(0) }
    );
    assert_eq!(
        restart("[restart]\ndelay = \"0s\"\nmax-delay = \"1d\"\nattempts = \"unlimited\"\n"),
        ExponentialDelay { initial: Duration::ZERO, max: 86_400 * SECOND, attempts: None }
    );
    let set = ["checkpoint.interval=1s", "restart.attempts=unlimited", "restart.strategy=fixed-delay"];
    let job = read("", &set);
    assert_eq!(job.checkpoint.interval, Some(SECOND));
    assert_eq!(job.restart, FixedDelay { delay: SECOND, attempts: None });
}

/// A value that is out of range is told, and counts as its default.
#[test]
fn hostile_values() {
    let ranges = [
        ("checkpoint", "interval = \"0s\"", "`checkpoint.interval` is 0s, out of range"),
        ("checkpoint", "interval = \"8d\"", "`checkpoint.interval` is 8d, out of range"),
        ("checkpoint", "interval = 10", "`checkpoint.interval` is not a time span: `10`"),
        (
            "checkpoint",
            "interval = \"99999999999999999999s\"",
            "`checkpoint.interval` is not a time span: `99999999999999999999s`",
        ),
        ("checkpoint", "interval = false", "`checkpoint.interval` must be a time span, not a boolean"),
        ("checkpoint", "timeout = \"9ms\"", "`checkpoint.timeout` is 9ms, out of range"),
        ("checkpoint", "timeout = \"-1s\"", "`checkpoint.timeout` is not a time span: `-1s`"),
        ("checkpoint", "tolerated-failures = -1", "`checkpoint.tolerated-failures` is -1, out of range"),
        ("checkpoint", "keep = 0", "`checkpoint.keep` is 0, out of range"),
        ("checkpoint", "keep = 1001", "`checkpoint.keep` is 1001, out of range"),
        ("checkpoint", "keep = 9223372036854775807", "`checkpoint.keep` is 9223372036854775807, out of range"),
        ("checkpoint", "keep = \"unlimited\"", "`checkpoint.keep` must be an integer, not a string"),
        ("checkpoint", "every = \"1s\"", "unknown key `every` in `checkpoint`"),
        ("restart", "strategy = \"always\"", "`restart.strategy` cannot be `always`"),
        ("restart", "strategy = 1", "`restart.strategy` must be a string, not an integer"),
        ("restart", "delay = \"2d\"", "`restart.delay` is 2d, out of range"),
        ("restart", "max-delay = \"\"", "`restart.max-delay` is not a time span: ``"),
        ("restart", "attempts = -1", "`restart.attempts` is -1, out of range"),
        ("restart", "attempts = 1000001", "`restart.attempts` is 1000001, out of range"),
        ("restart", "attempts = 1.5", "`restart.attempts` must be an integer or `\"unlimited\"`, not a float"),
        ("restart", "attempts = \"forever\"", "`restart.attempts` cannot be `forever`"),
        ("restart", "attempts = \"Unlimited\"", "`restart.attempts` cannot be `Unlimited`"),
    ];
    for (table, line, expected) in ranges {
        let shown = around(&format!("[{table}]\n{line}\n"), BOUNDED, STDOUT);
        assert!(shown.starts_with(&format!("error: {expected}\n")), "{line}: {shown}");
        assert_eq!(shown.matches("error: ").count(), 1, "{line}: {shown}");
        let job = read(&format!("[{table}]\n{line}\n"), &[]);
        let sound = read(&format!("[{table}]\n"), &[]);
        assert_eq!((job.checkpoint, job.restart), (sound.checkpoint, sound.restart), "{line}");
    }
    for table in ["checkpoint", "restart"] {
        let shown = around(&format!("{table} = 1\n"), BOUNDED, STDOUT);
        assert!(shown.starts_with(&format!("error: `{table}` must be a table, not an integer\n")), "{shown}");
        let shown = around(&format!("[[{table}]]\n"), BOUNDED, STDOUT);
        assert!(shown.starts_with(&format!("error: `{table}` must be a table, not a list\n")), "{shown}");
    }
    let shown = around("[restart]\nattempts = \"none\"\n", BOUNDED, STDOUT);
    assert!(shown.ends_with("= help: for example `attempts = 3`, or `\"unlimited\"`"), "{shown}");
    let shown = around("[restart]\nattempts = -1\n", BOUNDED, STDOUT);
    assert!(shown.ends_with("= help: it can be from 0 to 1000000, or `\"unlimited\"`"), "{shown}");
}

#[test]
fn keys_that_mean_nothing_are_refused() {
    let expected = "error: `min-pause` means nothing without an `interval`
 --> job.toml:3:1
  |
3 | min-pause = \"1s\"
  | ^^^^^^^^^
  = help: remove it, or add an `interval`, such as `interval = \"10s\"`

error: `delay` means nothing with the strategy `none`
 --> job.toml:6:1
  |
6 | delay = \"1s\"
  | ^^^^^
  = help: remove it, or use the strategy `fixed-delay` or `exponential-delay`

error: `attempts` means nothing with the strategy `none`
 --> job.toml:7:1
  |
7 | attempts = 2
  | ^^^^^^^^
  = help: remove it, or use the strategy `fixed-delay` or `exponential-delay`";
    let head = "[checkpoint]\nmin-pause = \"1s\"\n[restart]\nstrategy = \"none\"\ndelay = \"1s\"\nattempts = 2\n";
    assert_eq!(around(head, BOUNDED, STDOUT), expected);
    let shown = around("[restart]\nstrategy = \"fixed-delay\"\nmax-delay = \"1s\"\n", BOUNDED, STDOUT);
    assert!(shown.starts_with("error: `max-delay` means nothing with the strategy `fixed-delay`\n"), "{shown}");
    assert!(shown.ends_with("= help: remove it, or use the strategy `exponential-delay`"), "{shown}");
    // A wrong interval is one problem, not two.
    let shown = around("[checkpoint]\ninterval = \"x\"\nmin-pause = \"1s\"\n", BOUNDED, STDOUT);
    assert_eq!(shown.matches("error: ").count(), 1, "{shown}");
}

/// Whoever runs a job without restarts for once need not change its file.
#[test]
fn an_option_may_choose_another_strategy() {
    let job = read("[restart]\nattempts = 3\ndelay = \"2s\"\n", &["restart.strategy=none"]);
    assert_eq!(job.restart, RestartStrategy::None);
    assert!(
        !job.findings.clone().problems(&job.text, &job.options).iter().any(|p| p.message.contains("means nothing"))
    );
}

#[test]
fn a_pause_may_be_longer_than_the_interval() {
    assert_eq!(around("[checkpoint]\ninterval = \"1s\"\nmin-pause = \"1m\"\ntimeout = \"10ms\"\n", ENDLESS, FILE), "");
}

#[test]
fn the_first_delay_is_not_longer_than_the_longest() {
    let expected = "error: the first `delay` is 5m, longer than `max-delay`, which is 1m
 --> job.toml:3:9
  |
3 | delay = \"5m\"
  |         ^^^^
  = help: add `max-delay = \"5m\"` or a longer one, or shorten `delay`";
    assert_eq!(around("[restart]\ndelay = \"5m\"\n", BOUNDED, STDOUT), expected);
    let shown = around("[restart]\nmax-delay = \"999ms\"\n", BOUNDED, STDOUT);
    assert!(shown.starts_with("error: the first `delay` is 1s, longer than `max-delay`, which is 999ms\n"), "{shown}");
    assert!(shown.contains("\n3 | max-delay"), "{shown}");
    for sound in ["delay = \"1m\"", "max-delay = \"1s\"", "strategy = \"fixed-delay\"\ndelay = \"5m\""] {
        assert_eq!(around(&format!("[restart]\n{sound}\n"), BOUNDED, STDOUT), "");
    }
}

#[test]
fn standard_input_has_no_checkpoints_before_its_end() {
    let expected = "error: the job cannot take checkpoints before it ends: `lines` reads standard input, which cannot be read again
 --> job.toml:3:1
  |
3 | interval = \"1s\"
  | ^^^^^^^^
  = help: remove `interval`, or write the input to a file and read that";
    assert_eq!(around("[checkpoint]\ninterval = \"1s\"\n", STDIN, STDOUT), expected);
    // Beside another source they are possible once it has ended.
    let more = "[source.more]\nconnector = \"generator\"\n[sink.more-out]\nconnector = \"discard\"\ninput = \"more\"\n";
    let expected = "warning: checkpoints fail as long as `lines` reads standard input, which cannot be read again
 --> job.toml:3:1
  |
3 | interval = \"1s\"
  | ^^^^^^^^
  = help: write the input to a file and read that; or say how many may fail: `tolerated-failures`";
    assert_eq!(around(&format!("[checkpoint]\ninterval = \"1s\"\n{more}"), STDIN, STDOUT), expected);
    let tolerant = format!("[checkpoint]\ninterval = \"1s\"\ntolerated-failures = 4\n{more}");
    let shown = around(&tolerant, STDIN, STDOUT);
    assert!(shown.ends_with("and read that; with more than 4 failures in a row the job fails"), "{shown}");
    assert_eq!(around("[checkpoint]\nkeep = 2\ntimeout = \"1h\"\n", STDIN, FILE), "");
}

#[test]
fn standard_input_cannot_be_read_by_another_attempt() {
    let source = "[source.lines]\nconnector = \"stdin\"\n";
    assert_eq!(restart(source), RestartStrategy::None);
    assert_eq!(around("", STDIN, STDOUT), "");
    // Who asks for attempts gets them, and is told.
    let asked = FixedDelay { delay: SECOND, attempts: Some(10) };
    let head = "[restart]\nstrategy = \"fixed-delay\"\n";
    assert_eq!(restart(&format!("{head}{source}")), asked);
    let expected = "warning: `lines` reads standard input, which another attempt cannot read again
 --> job.toml:3:12
  |
3 | strategy = \"fixed-delay\"
  |            ^^^^^^^^^^^^^
  = help: use `strategy = \"none\"`, or write the input to a file and read that";
    assert_eq!(around(head, STDIN, STDOUT), expected);
    let shown = around("[restart]\nattempts = 3\n", STDIN, STDOUT);
    assert!(shown.contains("\n --> job.toml:2:2\n"), "{shown}");
    assert_eq!(around("[restart]\nstrategy = \"none\"\n", STDIN, STDOUT), "");
    // With an interval there may be a checkpoint after its end.
    let more = "[checkpoint]\ninterval = \"1s\"\n[source.more]\nconnector = \"generator\"\n";
    assert!(matches!(restart(&format!("{more}{source}")), ExponentialDelay { .. }));
}

#[test]
fn a_job_without_end_and_checkpoints_shows_nothing() {
    let expected = "warning: rows of `out` are shown when a checkpoint is complete, but `lines` never ends and no \
                    `checkpoint.interval` is set
 --> job.toml:2:9
  |
2 | [source.lines]
  |         ^^^^^
  = help: add a table `[checkpoint]` with `interval = \"10s\"`; without it they may appear only when the job is stopped";
    assert_eq!(around("", ENDLESS, FILE), expected);
    for (head, source, sink) in [
        ("", ENDLESS, STDOUT),
        ("", BOUNDED, FILE),
        ("", STDIN, FILE),
        ("[checkpoint]\ninterval = \"10s\"\n", ENDLESS, FILE),
    ] {
        assert_eq!(around(head, source, sink), "", "{head}{source}{sink}");
    }
}
