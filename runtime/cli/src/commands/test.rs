//! Proves that the result of a job does not depend on crashes, nor on which subtask is how fast.

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::JobArgs;
use crate::{
    checked::Checked,
    crash_test::{self, Difference, Disturbance, Interleaved, Mode, Subject, Tested, shown},
    exit::{Exit, Failure, Outcome},
    format,
    interrupts::Interrupts,
    job::{Job, Overrides},
    talk::{self, Talk},
};

/// Prove that the result of a job does not depend on crashes, or on which subtask is how fast
///
/// Runs the job once undisturbed, then again in processes that crash, each going on from the checkpoint that the last one
/// left, and compares the sorted lines of all its file sinks. Checkpoints are taken every 5 ms and batches are small, so that
/// little input is enough; nothing of the job's own state directory and results is touched.
///
/// A process crashes at a point in the life of a checkpoint, all of them in turn, or with --kill at any time. The same seed
/// takes the same decisions. A difference is exit code 1, with the first lines that differ. A job whose result depends on
/// processing time, on the order in which rows of several subtasks meet, or with --rescale on its parallelism, differs
/// without being wrong.
///
/// With --interleavings nothing crashes: in each run subtasks go on one at a time, in an order that a seed decides, as it does
/// how batches are cut. The seed of a result that differs replays that run, row for row, with
/// `wasmill run --set engine.interleaving-seed=SEED`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill test job.toml
  wasmill test job.toml --kill --rescale --seed 7
  wasmill test job.toml --interleavings 100
  wasmill test job.toml --set source.lines.path=sample.txt --json")]
pub struct Test {
    /// What to test
    #[command(flatten)]
    pub job: JobArgs,
    /// Crash at every point that a checkpoint passes, in turn; this is the default
    #[arg(long, conflicts_with = "kill")]
    pub crash_every_barrier: bool,
    /// Kill the process at any time, by SIGKILL
    #[arg(long)]
    pub kill: bool,
    /// Run it in so many orders of turns of its subtasks, in place of crashing it
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["crash_every_barrier", "kill", "rescale", "crashes"],
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub interleavings: Option<u32>,
    /// Decides where and when it crashes, or the first order of turns
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=1 << 62))]
    pub seed: u64,
    /// Go on at another parallelism after each crash, 1 to 3
    #[arg(long, conflicts_with = "parallelism")]
    pub rescale: bool,
    /// At most so many crashes; then the job may finish
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub crashes: u32,
    /// Print a report as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// What `--rescale` goes up to.
const RESCALE: u32 = 3;

impl Test {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        let JobArgs { job: file, set, parallelism } = self.job;
        // Before the check: what cannot be tested at all need not be right with the settings of a test. A file that cannot be
        // read the check tells of.
        if let Ok(job) = Job::read(&file, &Overrides { set: set.clone(), parallelism }) {
            testable(&job, &file, &set)?;
        }
        let all = crash_test::SETTINGS.map(str::to_string).into_iter().chain(set.iter().cloned()).collect();
        // This compiles the components too, so that attempts find them in the cache.
        let Checked { job, .. } = JobArgs { job: file.clone(), set: all, parallelism }.check(talk)?;
        let sinks = testable(&job, &file, &set)?;
        let mode = if self.kill { Mode::Kill } else { Mode::EveryBarrier };
        let rescale = self.rescale.then(|| RESCALE.min(job.max_parallelism.get()));
        let disturbance = Disturbance { mode, seed: self.seed, crashes: self.crashes, rescale };
        let subject = Subject { job: file, set, parallelism, sinks };
        if let Some(count) = self.interleavings {
            return interleavings(&job.name, &subject, self.seed, count, self.json, talk);
        }
        let folder = tempfile::Builder::new().prefix("wasmill-test-").tempdir();
        let folder = folder.context("cannot make a temporary folder for the results")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let tested = runtime.context("cannot start the test")?.block_on(async {
            let mut interrupts = Interrupts::new().context("cannot listen for Ctrl-C")?;
            crash_test::test(&subject, &disturbance, folder.path(), &mut interrupts, talk).await
        })?;
        let Some(tested) = tested else { return Ok(Exit::Interrupted) };
        if self.json {
            talk::print(&report(&job.name, &disturbance, &tested).to_string())?;
        }
        if tested.differences.is_empty() {
            agrees(&job.name, &disturbance, &tested, talk);
            return Ok(Exit::Done);
        }
        let kept = folder.keep();
        Err(differs(&job.name, &disturbance, &tested)
            .hint(format_args!("both results are in `{}`; remove it when you are done", kept.display())))
    }
}

/// Runs the job in so many interleavings.
fn interleavings(job: &str, subject: &Subject, seed: u64, count: u32, json: bool, talk: &Talk) -> Outcome {
    let folder = tempfile::Builder::new().prefix("wasmill-test-").tempdir();
    let folder = folder.context("cannot make a temporary folder for the results")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let seeds = seed..seed + u64::from(count);
    let tested = runtime.context("cannot start the test")?.block_on(async {
        let mut interrupts = Interrupts::new().context("cannot listen for Ctrl-C")?;
        crash_test::interleave(subject, seeds, folder.path(), &mut interrupts, talk).await
    })?;
    let Some(Interleaved { runs, lines, different }) = tested else { return Ok(Exit::Interrupted) };
    if json {
        let differences: &[_] = different.as_ref().map_or(&[], |(_, differences)| differences);
        let report = json!({
            "job": job,
            "mode": "interleavings",
            "seed": seed,
            "interleavings": runs,
            "identical": different.is_none(),
            "differs_at_seed": different.as_ref().map(|(seed, _)| seed),
            "lines": lines,
            "differences": differences.iter().map(difference).collect::<Vec<_>>(),
        });
        talk::print(&report.to_string())?;
    }
    let Some((seed, differences)) = different else {
        let lines = format::count(lines);
        talk.done(
            "Tested",
            format_args!("job `{job}`, from seed {seed}: {runs} interleavings, and the same {lines} lines"),
        );
        return Ok(Exit::Done);
    };
    let mut message = format!("the result of job `{job}` is another one in the interleaving of seed {seed}");
    message.push_str(&told(&differences));
    let (file, kept) = (subject.job.display(), folder.keep());
    Err(Failure::message(message).hint(format_args!(
        "`wasmill run {file} --set engine.interleaving-seed={seed}` replays it; both results are in `{}`",
        kept.display()
    )))
}

/// The sinks that are compared.
///
/// # Errors
/// When a job cannot be run twice, or nothing could be compared.
fn testable(job: &Job, file: &std::path::Path, set: &[String]) -> Result<Vec<String>, Failure> {
    for source in &job.sources {
        let id = &source.place.id;
        match source.connector {
            "stdin" => {
                let message = format!("the source `{id}` reads standard input, which cannot be read again");
                return Err(Failure::message(message).hint("let it read a file"));
            }
            "generator" if !is_counted(id, file, set) => {
                let message = format!("the source `{id}` generates rows without end, so the job has no result");
                return Err(Failure::message(message).hint(format_args!("give it one: --set source.{id}.count=100000")));
            }
            _ => {}
        }
    }
    let mut files = Vec::new();
    for sink in &job.sinks {
        let id = &sink.place.id;
        match sink.connector {
            "file" => files.push(id.clone()),
            "discard" => {}
            other => {
                let message = format!("the sink `{id}` is `{other}`, whose rows cannot be taken back after a crash");
                let hint = format!("let it write files: --set sink.{id}.connector=file --set sink.{id}.path=out");
                return Err(Failure::message(message).hint(hint));
            }
        }
    }
    if files.is_empty() {
        let message = "the job has no sink that writes files, so there is nothing to compare";
        return Err(Failure::message(message).hint("add a sink with `connector = \"file\"`"));
    }
    Ok(files)
}

/// Whether a generator has a `count`, in the job file or on the command line.
fn is_counted(id: &str, file: &std::path::Path, set: &[String]) -> bool {
    let key = format!("source.{id}.count");
    if set.iter().any(|set| set.split_once('=').is_some_and(|(path, _)| path.trim() == key)) {
        return true;
    }
    // It was read a moment ago.
    let Ok(text) = std::fs::read_to_string(file) else { return true };
    let Ok(document) = text.parse::<toml_edit::DocumentMut>() else { return true };
    let source = document.get("source").and_then(|sources| sources.get(id));
    source.is_some_and(|source| source.get("count").is_some())
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::EveryBarrier => "crash-every-barrier",
        Mode::Kill => "kill",
    }
}

/// What `--json` prints.
fn report(job: &str, disturbance: &Disturbance, tested: &Tested) -> Value {
    json!({
        "job": job,
        "mode": mode(disturbance.mode),
        "seed": disturbance.seed,
        "rescaled": disturbance.rescale.is_some(),
        "crashes": tested.crashes(),
        "crashed_at": tested.crashed,
        "attempts": tested.attempts,
        "identical": tested.differences.is_empty(),
        "lines": tested.lines,
        "undisturbed_ms": u64::try_from(tested.undisturbed.as_millis()).unwrap_or(u64::MAX),
        "differences": tested.differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn difference((sink, difference): &(String, Difference)) -> Value {
    let first = difference.first.iter().map(
        |(missing, line)| json!({ "only_in": if *missing { "undisturbed" } else { "disturbed" }, "line": shown(line) }),
    );
    json!({
        "sink": sink,
        "missing": difference.missing,
        "added": difference.added,
        "first": first.collect::<Vec<_>>(),
    })
}

fn agrees(job: &str, disturbance: &Disturbance, tested: &Tested, talk: &Talk) {
    let Disturbance { seed, .. } = disturbance;
    let (crashes, attempts) = (tested.crashes(), tested.attempts);
    if crashes == 0 {
        talk.warn(format_args!(
            "job `{job}` finished before anything crashed, which shows nothing: give it more input"
        ));
        return;
    }
    let lines = format::count(tested.lines);
    let result = format!("{crashes} crashes in {attempts} attempts, and the same {lines} lines");
    talk.done("Tested", format_args!("job `{job}`, seed {seed}: {result}"));
    let places: Vec<String> = tested.crashed.iter().map(|(place, times)| format!("{place} {times}")).collect();
    talk.say(format_args!("crashes at: {}", places.join(", ")));
}

fn differs(job: &str, disturbance: &Disturbance, tested: &Tested) -> Failure {
    let (crashes, seed) = (tested.crashes(), disturbance.seed);
    let message = format!("the result of job `{job}` is another one after {crashes} crashes, seed {seed}");
    Failure::message(message + &told(&tested.differences))
}

/// Differences for people.
fn told(differences: &[(String, Difference)]) -> String {
    let mut message = String::new();
    for (sink, difference) in differences {
        let (missing, added) = (format::count(difference.missing), format::count(difference.added));
        message.push_str(&format!("\n  sink `{sink}`: {missing} lines are missing, {added} are too many; the first:"));
        for (missing, line) in &difference.first {
            message.push_str(&format!("\n    {} {}", if *missing { "-" } else { "+" }, shown(line)));
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::crash_test::difference as compared;

    fn tested(found: &[&str]) -> Tested {
        let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
        let difference = compared(&lines(&["a\n", "b\n"]), &lines(found));
        Tested {
            crashed: BTreeMap::from([("cut".to_string(), 2), ("stored".to_string(), 1)]),
            attempts: 4,
            lines: 2,
            undisturbed: Duration::from_millis(300),
            differences: difference.map(|difference| ("out".to_string(), difference)).into_iter().collect(),
        }
    }

    const DISTURBANCE: Disturbance = Disturbance { mode: Mode::EveryBarrier, seed: 9, crashes: 24, rescale: Some(3) };

    #[test]
    fn the_report_says_how_often_it_crashed_and_what_differs() {
        let same = report("words", &DISTURBANCE, &tested(&["a\n", "b\n"]));
        assert_eq!(
            same,
            json!({
                "job": "words", "mode": "crash-every-barrier", "seed": 9, "rescaled": true, "crashes": 3,
                "crashed_at": { "cut": 2, "stored": 1 }, "attempts": 4, "identical": true, "lines": 2,
                "undisturbed_ms": 300, "differences": [],
            })
        );
        let other = tested(&["b\n", "b\n"]);
        let report = report("words", &DISTURBANCE, &other);
        assert_eq!(report["identical"], false);
        let first = json!([{ "only_in": "undisturbed", "line": "a" }, { "only_in": "disturbed", "line": "b" }]);
        assert_eq!(report["differences"], json!([{ "sink": "out", "missing": 1, "added": 1, "first": first }]));
        let failure = differs("words", &DISTURBANCE, &other);
        assert_eq!(failure.exit, Exit::Failed);
        let message = failure.error.to_string();
        assert!(message.contains("3 crashes, seed 9") && message.ends_with("\n    - a\n    + b"), "{message}");
    }

    fn judged(sources: &str, sinks: &str, set: &[&str]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("job.toml");
        let text = format!("name = \"a\"\n{sources}\n{sinks}");
        std::fs::write(&file, &text).unwrap();
        let set: Vec<String> = set.iter().map(|set| set.to_string()).collect();
        let job = Job::read(&file, &Overrides { set: set.clone(), parallelism: None }).unwrap();
        testable(&job, &file, &set).map_err(|failure| failure.error.to_string() + &failure.hint.unwrap_or_default())
    }

    #[test]
    fn only_what_can_be_run_twice_and_compared_is_tested() {
        let generator = "[source.g]\nconnector = \"generator\"\n";
        let counted = &format!("{generator}count = 10\n");
        let sink = |id: &str, connector: &str| format!("[sink.{id}]\nconnector = \"{connector}\"\ninput = \"g\"\n");
        let file = &(sink("f", "file") + "path = \"out\"\n");
        assert_eq!(judged(counted, &(file.clone() + &sink("d", "discard")), &[]), Ok(vec!["f".to_string()]));
        assert_eq!(judged(generator, file, &["source.g.count=5"]), Ok(vec!["f".to_string()]));
        for (sources, sinks, why) in [
            (generator, file.clone(), "--set source.g.count"),
            ("[source.g]\nconnector = \"stdin\"\nformat = \"text\"\n", file.clone(), "standard input"),
            (counted, sink("s", "stdout"), "--set sink.s.connector=file"),
            (counted, sink("d", "discard"), "nothing to compare"),
        ] {
            let refusal = judged(sources, &sinks, &[]).unwrap_err();
            assert!(refusal.contains(why), "{refusal}");
        }
    }
}
