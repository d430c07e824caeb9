//! Proves that a job's result does not depend on crashes: runs it undisturbed, runs it again and ends it again and again, and
//! compares.
//!
//! Every attempt is a process of its own, `wasmill run` of this binary, so that a crash is one.

mod attempt;
mod compare;
mod interleavings;
mod schedule;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;
use compare::lines;
pub(crate) use compare::{Difference, difference, shown};
pub(crate) use interleavings::{Interleaved, interleave};
pub(crate) use schedule::Mode;
use schedule::{Schedule, Took};

use self::attempt::Ended;
use crate::{control, crash, exit::Failure, format, interrupts::Interrupts, talk::Talk};

/// Settings of every run: many checkpoints of little input, and a failure that nobody planned is told at once. What the user
/// sets counts more.
pub(crate) const SETTINGS: [&str; 4] = [
    "checkpoint.interval=\"5ms\"",
    "checkpoint.min-pause=\"0s\"",
    "engine.batch-size=\"4KiB\"",
    "restart.strategy=\"none\"",
];

/// The state directory of a run, in its folder.
const STATE: &str = "state";

/// An attempt may take so many times as long as all of the undisturbed run, and [`SLACK`].
const PATIENCE: u32 = 20;

const SLACK: Duration = Duration::from_secs(60);

/// A job to be tested.
pub(crate) struct Subject {
    /// The job file.
    pub(crate) job: PathBuf,
    /// What the user says differently.
    pub(crate) set: Vec<String>,
    /// The parallelism the user named.
    pub(crate) parallelism: Option<u32>,
    /// The ids of its sinks that write files.
    pub(crate) sinks: Vec<String>,
}

/// How it is disturbed.
pub(crate) struct Disturbance {
    pub(crate) mode: Mode,
    pub(crate) seed: u64,
    /// At most so many crashes; the attempt after the last one is left alone.
    pub(crate) crashes: u32,
    /// Every attempt has another parallelism, from 1 to this.
    pub(crate) rescale: Option<u32>,
}

/// What came out.
pub(crate) struct Tested {
    /// How many attempts crashed, by where.
    pub(crate) crashed: BTreeMap<String, u32>,
    pub(crate) attempts: u32,
    /// Lines of the undisturbed run.
    pub(crate) lines: u64,
    /// How long the undisturbed run took.
    pub(crate) undisturbed: Duration,
    /// Sinks whose results differ, and how.
    pub(crate) differences: Vec<(String, Difference)>,
}

impl Tested {
    pub(crate) fn crashes(&self) -> u32 {
        self.crashed.values().sum()
    }
}

/// Tests a job, with everything it writes below `folder`; `None` when it was interrupted.
///
/// # Errors
/// When an attempt fails by itself, or does not end.
pub(crate) async fn test(
    subject: &Subject,
    disturbance: &Disturbance,
    folder: &Path,
    interrupts: &mut Interrupts,
    talk: &Talk,
) -> Result<Option<Tested>, Failure> {
    let since = Instant::now();
    let undisturbed = folder.join("undisturbed");
    let command = subject.command(&undisturbed, subject.parallelism)?;
    let startup = match attempt::run(command, &undisturbed, &sign(&undisturbed), None, None, interrupts).await? {
        (Ended::Finished, ran) => ran.unwrap_or_default(),
        (Ended::Interrupted, _) => return Ok(None),
        (ended, _) => return Err(failed("undisturbed", &ended)),
    };
    let undisturbed_time = since.elapsed();
    let (seconds, crashes) = (format::duration(undisturbed_time), disturbance.crashes);
    talk.say(format_args!("undisturbed the job takes {seconds}; now it crashes, up to {crashes} times"));
    let limit = undisturbed_time * PATIENCE + SLACK;
    let disturbed = folder.join("disturbed");
    let took = Took { startup, running: undisturbed_time.saturating_sub(startup) };
    let mut schedule = Schedule::new(disturbance.seed, took);
    let (mut crashed, mut attempts, mut parallelism) = (BTreeMap::<String, u32>::new(), 0, subject.parallelism);
    loop {
        if let Some(most) = disturbance.rescale {
            parallelism = Some(schedule.another(parallelism.unwrap_or(0), most));
        }
        let mut command = subject.command(&disturbed, parallelism)?;
        let mut kill = None;
        if attempts < disturbance.crashes {
            match disturbance.mode {
                Mode::EveryBarrier => {
                    let crash = schedule.crash(parallelism.unwrap_or(1));
                    command.env(crash::VARIABLE, crash.to_string());
                }
                Mode::Kill => kill = Some(schedule.kill()),
            }
        }
        attempts += 1;
        tracing::debug!(attempts, ?parallelism, ?kill, "the next attempt");
        let (ended, _) = attempt::run(command, &disturbed, &sign(&disturbed), Some(limit), kill, interrupts).await?;
        match ended {
            Ended::Finished => break,
            Ended::Interrupted => return Ok(None),
            Ended::Crashed(at) => *crashed.entry(at).or_default() += 1,
            Ended::Killed => *crashed.entry("kill".to_string()).or_default() += 1,
            ended @ (Ended::Failed(_) | Ended::Late(_)) => {
                return Err(failed(&format!("in attempt {attempts}, after {} crashes", attempts - 1), &ended));
            }
        }
    }
    let (mut count, mut differences) = (0, Vec::new());
    for sink in &subject.sinks {
        let expected = lines(&result(&undisturbed, sink))?;
        count += expected.len() as u64;
        let found = lines(&result(&disturbed, sink))?;
        differences.extend(difference(&expected, &found).map(|difference| (sink.clone(), difference)));
    }
    Ok(Some(Tested { crashed, attempts, lines: count, undisturbed: undisturbed_time, differences }))
}

/// What is there while a run in `folder` runs its job.
fn sign(folder: &Path) -> PathBuf {
    folder.join(STATE).join(control::SOCKET)
}

/// Where a run in `folder` writes the result of a sink.
fn result(folder: &Path, sink: &str) -> PathBuf {
    folder.join("out").join(sink)
}

fn failed(when: &str, ended: &Ended) -> Failure {
    let failure = Failure::message(format_args!("the job failed {when}: {}", ended.why()));
    match ended {
        Ended::Late(_) => failure.hint("an attempt that goes on from a checkpoint hangs; `wasmill run -vv` says more"),
        _ => failure,
    }
}

impl Subject {
    /// The run of an attempt below `folder`.
    fn command(&self, folder: &Path, parallelism: Option<u32>) -> anyhow::Result<Command> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        let mut command = Command::new(std::env::current_exe().context("cannot find the binary of this command")?);
        command.arg("run").arg(&self.job).arg("--quiet").arg("--state-dir").arg(folder.join(STATE));
        for set in self.settings(folder)? {
            command.arg("--set").arg(set);
        }
        if let Some(parallelism) = parallelism {
            command.args(["--parallelism", &parallelism.to_string()]);
        }
        command.env_remove(crash::VARIABLE);
        Ok(command)
    }

    /// All `--set` of a run; where several say something of one key, the last one counts.
    fn settings(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let mut settings: Vec<String> = SETTINGS.map(str::to_string).into();
        settings.extend(self.set.iter().cloned());
        for sink in &self.sinks {
            let out = result(folder, sink);
            let path = out.to_str().with_context(|| format!("the path `{}` is not UTF-8", out.display()))?;
            let path = toml_edit::Value::from(path);
            settings.push(format!("sink.{sink}.path={}", path.to_string().trim()));
            // Lines are compared.
            settings.push(format!("sink.{sink}.compression=\"none\""));
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_redirected_whatever_the_user_sets() {
        let subject = Subject {
            job: "job.toml".into(),
            set: vec!["engine.batch-size=\"1MiB\"".into(), "sink.a.path=mine".into()],
            parallelism: None,
            sinks: vec!["a".into()],
        };
        let expected = [
            "checkpoint.interval=\"5ms\"",
            "checkpoint.min-pause=\"0s\"",
            "engine.batch-size=\"4KiB\"",
            "restart.strategy=\"none\"",
            "engine.batch-size=\"1MiB\"",
            "sink.a.path=mine",
            "sink.a.path=\"/t/out/a\"",
            "sink.a.compression=\"none\"",
        ];
        assert_eq!(subject.settings(Path::new("/t")).unwrap(), expected);
        let quoted = subject.settings(Path::new("/a\"b\\c")).unwrap().swap_remove(6);
        assert!(["sink.a.path='/a\"b\\c/out/a'", "sink.a.path=\"/a\\\"b\\\\c/out/a\""].contains(&&*quoted), "{quoted}");
    }
}
