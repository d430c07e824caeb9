//! Reads when checkpoints are taken and what follows a failure, and tells what of that cannot be.

use std::time::Duration;

use wasmill_engine::RestartStrategy;

use super::{
    definition::{CHECKPOINT, RESTART, UNLIMITED},
    nodes::Source,
    problem::Findings,
    read::{Job, number},
    section::Section,
    suggest::{list, quote},
    tree::At,
    units::show_duration,
};

/// The table `checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// From the start of one to the start of the next; `None` for only the one that ends a bounded job.
    pub interval: Option<Duration>,
    /// One that takes longer has failed.
    pub timeout: Duration,
    /// At least so long from the end of one to the start of the next.
    pub min_pause: Duration,
    /// How many may fail in a row.
    pub tolerated_failures: u32,
    /// How many are kept.
    pub keep: u32,
}

impl Checkpoint {
    /// That of a job file.
    pub(super) fn read(job: &Section) -> Checkpoint {
        let section = job.section("checkpoint", &CHECKPOINT);
        Checkpoint {
            interval: section.duration("interval"),
            timeout: section.duration("timeout").unwrap_or_default(),
            min_pause: section.duration("min-pause").unwrap_or_default(),
            tolerated_failures: number(&section, "tolerated-failures"),
            keep: number(&section, "keep"),
        }
    }
}

/// What a job file says of failures.
pub(super) fn restart(job: &Section) -> RestartStrategy {
    let section = job.section("restart", &RESTART);
    if !job.has("restart") && job.section("checkpoint", &CHECKPOINT).get("interval").is_none() {
        // As in Flink: without checkpoints there is nothing to go back to, and what fails once mostly fails again.
        return RestartStrategy::None;
    }
    let duration = |key| section.duration(key).unwrap_or_default();
    let attempts = match section.choice("attempts") {
        Some(UNLIMITED) => None,
        _ => Some(number(&section, "attempts")),
    };
    match section.choice("strategy") {
        Some("none") => RestartStrategy::None,
        Some("fixed-delay") => RestartStrategy::FixedDelay { delay: duration("delay"), attempts },
        _ => RestartStrategy::ExponentialDelay { initial: duration("delay"), max: duration("max-delay"), attempts },
    }
}

fn stdin(sources: &[Source]) -> Option<&Source> {
    sources.iter().find(|source| source.connector == "stdin")
}

/// Tells what cannot work.
pub(super) fn check(job: &Job, section: &Section, findings: &mut Findings) {
    let checkpoint = section.section("checkpoint", &CHECKPOINT);
    let restart = section.section("restart", &RESTART);
    check_checkpoint(&checkpoint, findings);
    check_restart(&restart, findings);
    if let Some(source) = stdin(&job.sources) {
        check_stdin(job, source, &checkpoint, &restart, findings);
    }
    if !checkpoint.has("interval") {
        check_endless(job, findings);
    }
}

fn check_checkpoint(checkpoint: &Section, findings: &mut Findings) {
    if let (Some(pause), false) = (checkpoint.get("min-pause"), checkpoint.has("interval")) {
        let hint = "remove it, or add an `interval`, such as `interval = \"10s\"`";
        findings.error(&pause.key, "`min-pause` means nothing without an `interval`", hint);
    }
}

fn check_restart(restart: &Section, findings: &mut Findings) {
    let strategy = restart.choice("strategy").unwrap_or_default();
    let unused: &[(&str, &[&str])] = &[
        ("delay", &["fixed-delay", "exponential-delay"]),
        ("max-delay", &["exponential-delay"]),
        ("attempts", &["fixed-delay", "exponential-delay"]),
    ];
    // An option that chooses another strategy does not make the file wrong.
    let is_written = restart.get("strategy").is_some_and(|strategy| !matches!(strategy.at, At::Option(_)));
    for (key, strategies) in unused.iter().filter(|(_, strategies)| is_written && !strategies.contains(&strategy)) {
        if let Some(setting) = restart.get(key) {
            let message = format!("{} means nothing with the strategy {}", quote(key), quote(strategy));
            let hint = format!("remove it, or use the strategy {}", list(strategies.iter().copied(), "or"));
            findings.error(&setting.key, message, hint);
        }
    }
    let (delay, most) = (restart.duration("delay"), restart.duration("max-delay"));
    if let (Some(delay), Some(most), "exponential-delay") = (delay, most, strategy)
        && delay > most
    {
        let at = restart.get("max-delay").or(restart.get("delay")).map_or(&restart.at, |setting| &setting.at);
        let (delay, most) = (show_duration(delay), show_duration(most));
        let message = format!("the first `delay` is {delay}, longer than `max-delay`, which is {most}");
        findings.error(at, message, format!("add `max-delay = \"{delay}\"` or a longer one, or shorten `delay`"));
    }
}

/// Standard input has no position that a checkpoint could keep, and cannot be read again.
fn check_stdin(job: &Job, source: &Source, checkpoint: &Section, restart: &Section, findings: &mut Findings) {
    let id = quote(&source.place.id);
    let file = "write the input to a file and read that";
    match checkpoint.get("interval") {
        Some(interval) if job.sources.iter().all(|source| source.connector == "stdin") => findings.error(
            &interval.key,
            format!(
                "the job cannot take checkpoints before it ends: {id} reads standard input, which cannot be read again"
            ),
            format!("remove `interval`, or {file}"),
        ),
        Some(interval) => findings.warning(
            &interval.key,
            format!("checkpoints fail as long as {id} reads standard input, which cannot be read again"),
            match job.checkpoint.tolerated_failures {
                0 => format!("{file}; or say how many may fail: `tolerated-failures`"),
                more => format!("{file}; with more than {more} failures in a row the job fails"),
            },
        ),
        None if job.restart != RestartStrategy::None => {
            let at = restart.get("strategy").map_or(&restart.at, |strategy| &strategy.at);
            let message = format!("{id} reads standard input, which another attempt cannot read again");
            findings.warning(at, message, format!("use `strategy = \"none\"`, or {file}"));
        }
        None => {}
    }
}

/// Sinks that commit show nothing before a checkpoint, and a job that does not end has none by itself.
fn check_endless(job: &Job, findings: &mut Findings) {
    let made_up = |source: &&Source| match source.connector {
        "generator" => !source.section.has("count"),
        "nexmark" => !source.section.has("events"),
        _ => false,
    };
    let endless = job.sources.iter().find(made_up);
    let sinks = job.sinks.iter().filter(|sink| sink.connector == "file");
    let sinks: Vec<&str> = sinks.map(|sink| sink.place.id.as_str()).collect();
    if let (Some(source), false) = (endless, sinks.is_empty()) {
        let message = format!(
            "rows of {} are shown when a checkpoint is complete, but {} never ends and no `checkpoint.interval` is set",
            list(sinks, "and"),
            quote(&source.place.id)
        );
        let hint = "add a table `[checkpoint]` with `interval = \"10s\"`; without it they may appear only when the job is stopped";
        findings.warning(&source.place.at, message, hint);
    }
}
