//! Runs a job three ways against what another program computed: whole, killed again and again, and killed and rescaled.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;

use crate::{root, wasmill};

/// What counts of the order of the lines of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Nothing: several subtasks write, or rows of several keys.
    Any,
    /// All: it is part of the result.
    AsWritten,
}

/// A sink of a job.
#[derive(Debug, Clone, Copy)]
pub struct Sink {
    /// Its id in the job file.
    pub id: &'static str,
    /// What its result is called.
    pub result: &'static str,
    /// What counts of its order.
    pub order: Order,
}

/// A job with results that are known.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The job file, from the root of the repository.
    pub job: &'static str,
    /// The components that it needs, from the root of the repository.
    pub components: &'static [&'static str],
    /// Its file sinks.
    pub sinks: Vec<Sink>,
    /// What else of it is changed, as for `--set`.
    pub set: Vec<String>,
}

/// Compares the lines of the sink that is given with those that are expected; what differs as a panic.
pub type Check<'a> = &'a dyn Fn(&Sink, Vec<String>);

impl Pipeline {
    fn command(&self, folder: &Path, parallelism: usize) -> Command {
        self.components.iter().for_each(|component| drop(crate::built(component)));
        let mut command = wasmill();
        command.arg("run").arg(root().join(self.job)).args(["--quiet", "--parallelism", &parallelism.to_string()]);
        command.arg("--state-dir").arg(folder.join("state"));
        for Sink { id, .. } in &self.sinks {
            let out = folder.join(id).display().to_string();
            command.arg("--set").arg(format!("sink.{id}.path={out:?}"));
        }
        command.args(self.set.iter().flat_map(|set| ["--set", set]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn check(&self, folder: &Path, check: Check<'_>) {
        for sink in &self.sinks {
            check(sink, lines(&folder.join(sink.id), sink.order));
        }
    }

    /// Runs the job to its end.
    ///
    /// # Panics
    /// If it fails, or a result is another one.
    pub fn whole(&self, parallelism: usize, check: Check<'_>) {
        let folder = tempfile::tempdir().unwrap();
        let output = self.command(folder.path(), parallelism).output().unwrap();
        assert!(output.status.success(), "{}: {}", self.job, String::from_utf8_lossy(&output.stderr));
        self.check(folder.path(), check);
    }

    /// Kills the job with SIGKILL after times that `seed` decides, about `patience` milliseconds each, and runs it again, until
    /// it gets through; with the `parallelism` of each attempt in turn. Where the machine is so fast that it is never killed, all begins
    /// anew with half the patience. Returns how often it was killed.
    ///
    /// # Panics
    /// If it fails, does not get through in 300 attempts, cannot be interrupted at all, or a result is another one.
    pub fn killed(&self, seed: u64, patience: u64, parallelism: &[usize], check: Check<'_>) -> u32 {
        let halves = std::iter::successors(Some(patience), |patience| (*patience > 1).then_some(patience / 2));
        for patience in halves {
            let folder = tempfile::tempdir().unwrap();
            let kills = self.through(folder.path(), seed, patience, parallelism);
            if kills > 0 {
                self.check(folder.path(), check);
                return kills;
            }
        }
        panic!("{}: it was never interrupted", self.job);
    }

    /// Runs and kills it until it gets through; how often it was killed.
    fn through(&self, folder: &Path, seed: u64, patience: u64, parallelism: &[usize]) -> u32 {
        let (mut random, mut kills) = (seed, 0);
        for attempt in 0.. {
            assert!(attempt < 300, "{}: it does not get through after {kills} kills", self.job);
            let mut command = self.command(folder, parallelism[attempt % parallelism.len()]);
            // Small batches and many checkpoints, so that there is much to be interrupted.
            command.args(["--set", "checkpoint.interval=\"5ms\"", "--set", "engine.batch-size=\"4KiB\""]);
            let mut child = command.spawn().unwrap();
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Longer each time: a machine that is busy must get through as well.
            let patience = Duration::from_millis(patience + (random >> 33) % (3 * patience) + 3 * attempt as u64);
            let since = Instant::now();
            let ended = loop {
                match child.try_wait().unwrap() {
                    Some(status) => break Some(status),
                    None if since.elapsed() >= patience => break None,
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            };
            let Some(status) = ended else {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                continue;
            };
            let output = child.wait_with_output().unwrap();
            assert!(status.success(), "{}, seed {seed}: {}", self.job, String::from_utf8_lossy(&output.stderr));
            break;
        }
        kills
    }
}

/// The lines of a folder of part files: sorted, or in the order of the checkpoints that showed them.
fn lines(folder: &Path, order: Order) -> Vec<String> {
    let parts = std::fs::read_dir(folder).expect("the result folder exists");
    let mut parts: Vec<PathBuf> = parts.map(|part| part.expect("the folder can be read").path()).collect();
    let name = |part: &Path| part.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // What sinks keep for themselves is hidden.
    parts.retain(|part| !name(part).starts_with('.'));
    // `part-SUBTASK-CHECKPOINT.txt`
    parts.sort_by_key(|part| name(part).rsplit('-').next().map(str::to_string));
    let text = |part: &PathBuf| std::fs::read_to_string(part).expect("a part file can be read");
    let mut lines: Vec<String> =
        parts.iter().flat_map(|part| text(part).lines().map(str::to_string).collect::<Vec<_>>()).collect();
    if order == Order::Any {
        lines.sort();
    }
    lines
}

/// The text of a file, from the root of the repository unless absolute; decompressed where it ends in `.gz`.
///
/// # Panics
/// If it cannot be read.
pub fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "gz") {
        return String::from_utf8(bytes).expect("the file is text");
    }
    let mut text = String::new();
    GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("the file is gzip of text");
    text
}

/// Verifies that a sink has the lines of a file.
///
/// # Panics
/// With the first difference, if it has others.
pub fn has_lines_of(path: impl AsRef<Path>, sink: &Sink, found: &[String]) {
    let path = path.as_ref();
    let expected = text(path);
    let expected: Vec<&str> = expected.lines().collect();
    let differs = expected.iter().zip(found).position(|(expected, found)| expected != found);
    if let Some(at) = differs {
        panic!("`{}`, line {}:\n  found    {}\n  expected {}", sink.id, at + 1, found[at], expected[at]);
    }
    assert_eq!(found.len(), expected.len(), "lines of `{}`, compared with {}", sink.id, path.display());
}
