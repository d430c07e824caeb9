//! Looks into checkpoints and savepoints, without the operators' code.

#[cfg(unix)]
mod live;
mod shown;

use std::{
    io::{self, BufWriter, StdoutLock, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use wasmill_core::{
    description::{StateDescription, StateScope},
    time::TimeDomain,
};
use wasmill_state::{ReadError, Reader};

use crate::{
    exit::{Exit, Failure, Outcome, StdoutClosed},
    format,
    job::{Job, Overrides},
    talk::{self, Talk},
};

/// Look into a checkpoint or a savepoint
///
/// Reads state as it is stored, by the codecs that operators declared; none of their code runs and nothing is changed.
/// Entries are printed as JSON Lines. Where the job runs, it is asked for a checkpoint, written to a temporary folder, so that what is
/// shown is of now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wasmill state list state/                          operators, states, sizes
  wasmill state get state/ count.counts emma         what one key has
  wasmill state scan savepoint/ count.counts --limit 10
  wasmill state export savepoint/ > state.jsonl      everything")]
pub struct State {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with state.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List operators, their states and how many entries these have
    List(List),
    /// Print what one key has in a state
    Get(Get),
    /// Print the entries of a state
    Scan(Scan),
    /// Print all entries of all states, and timers
    Export(Export),
}

/// Whose state it is.
#[derive(Debug, Args)]
pub struct At {
    /// A state directory, a savepoint, or a job file that names its state directory
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// A checkpoint that the state directory keeps; without it, the newest
    #[arg(long, value_name = "EPOCH")]
    pub checkpoint: Option<u64>,
}

/// Lists states.
#[derive(Debug, Args)]
pub struct List {
    /// Whose state
    #[command(flatten)]
    pub at: At,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Prints what a key has.
#[derive(Debug, Args)]
pub struct Get {
    /// Whose state
    #[command(flatten)]
    pub at: At,
    /// The state, as OPERATOR.STATE
    #[arg(value_name = "STATE")]
    pub state: String,
    /// The key, as its codec writes it: text, a number, JSON; all else in hexadecimal
    #[arg(value_name = "KEY", allow_hyphen_values = true)]
    pub key: String,
}

/// Prints the entries of a state.
#[derive(Debug, Args)]
pub struct Scan {
    /// Whose state
    #[command(flatten)]
    pub at: At,
    /// The state, as OPERATOR.STATE
    #[arg(value_name = "STATE")]
    pub state: String,
    /// Print at most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Prints everything.
#[derive(Debug, Args)]
pub struct Export {
    /// Whose state
    #[command(flatten)]
    pub at: At,
}

impl State {
    pub(crate) fn run(self, talk: &Talk) -> Outcome {
        match self.action {
            Action::List(list) => list.run(talk)?,
            Action::Get(get) => get.run(talk)?,
            Action::Scan(scan) => scan.run(talk)?,
            Action::Export(export) => export.run(talk)?,
        }
        Ok(Exit::Done)
    }
}

impl At {
    #[cfg(unix)]
    fn open(&self, talk: &Talk) -> Result<live::Opened, Failure> {
        let folder = folder(&self.path)?;
        match self.read(&folder) {
            Err(ReadError::InUse { .. }) if self.checkpoint.is_none() => live::open(&folder, talk),
            read => read.map(live::Opened::from).map_err(unreadable),
        }
    }

    #[cfg(not(unix))]
    fn open(&self, _: &Talk) -> Result<Reader, Failure> {
        self.read(&folder(&self.path)?).map_err(unreadable)
    }

    fn read(&self, folder: &Path) -> Result<Reader, ReadError> {
        match self.checkpoint {
            Some(epoch) => Reader::open_checkpoint(folder, epoch),
            None => Reader::open(folder),
        }
    }
}

/// The folder that is meant by a path: itself, or the state directory of a job file.
pub(super) fn folder(path: &Path) -> Result<PathBuf, Failure> {
    if !path.is_file() {
        return Ok(path.to_path_buf());
    }
    let unreadable = |_| Failure::message(format_args!("`{}` is neither a folder nor a job file", path.display()));
    let job = Job::read(path, &Overrides::default()).map_err(unreadable)?;
    job.state.directory.ok_or_else(|| {
        Failure::message(format_args!("the job in `{}` names no state directory", path.display()))
            .hint("name the folder itself, as it was given to `wasmill run --state-dir`")
    })
}

impl List {
    fn run(&self, talk: &Talk) -> Result<(), Failure> {
        let reader = self.at.open(talk)?;
        let manifest = reader.manifest();
        let mut operators = Vec::new();
        let mut rows = vec![["operator", "state", "kind", "key", "value", "entries"].map(String::from).to_vec()];
        for operator in reader.operators() {
            let mut states = Vec::new();
            for state in &operator.states {
                let entries = count(&reader, &operator.id, state)?;
                let kind = match state.scope {
                    StateScope::Keyed => state.kind.name().to_string(),
                    StateScope::Broadcast => format!("broadcast {}", state.kind.name()),
                };
                let grouped = format::count(entries as u64);
                let codecs = [shown::codec(&state.key), shown::codec(&state.value)];
                rows.push(
                    [vec![operator.id.clone(), state.name.clone(), kind], codecs.to_vec(), vec![grouped]].concat(),
                );
                states.push(shown::state(state, entries));
            }
            let mut timers = Vec::new();
            for &domain in &operator.timers {
                let there = reader.timers(&operator.id, domain).map_err(unreadable)?.len();
                let name = domain_name(domain);
                rows.push(vec![
                    operator.id.clone(),
                    format!("({name} timers)"),
                    String::new(),
                    String::new(),
                    String::new(),
                    format::count(there as u64),
                ]);
                timers.push(json!({ "domain": name, "timers": there }));
            }
            operators.push(json!({ "operator": operator.id, "states": states, "timers": timers }));
        }
        if self.json {
            let report = json!({
                "job": &*manifest.job.job,
                "epoch": manifest.epoch,
                "triggered": manifest.triggered,
                "finished": manifest.finished,
                "max_parallelism": manifest.max_parallelism,
                "operators": operators,
            });
            return talk::print(&report.to_string());
        }
        let finished = if manifest.finished { ", of a finished job" } else { "" };
        let when = format::time(manifest.triggered);
        talk.say(format_args!("checkpoint {} of {}, {when}{finished}\n", manifest.epoch, manifest.job));
        talk::print(&format::columns(&rows))
    }
}

fn count(reader: &Reader, operator: &str, state: &StateDescription) -> Result<usize, Failure> {
    let mut entries = 0;
    for entry in reader.entries(operator, &state.name).map_err(unreadable)? {
        entry.map_err(unreadable)?;
        entries += 1;
    }
    Ok(entries)
}

impl Get {
    fn run(&self, talk: &Talk) -> Result<(), Failure> {
        let reader = self.at.open(talk)?;
        let (operator, state) = named(&self.state)?;
        let described = reader.state(operator, state).map_err(unreadable)?;
        let key = shown::parse(&described.key, &self.key).ok_or_else(|| {
            Failure::usage(format_args!("`{}` is not a key of codec {}", self.key, shown::codec(&described.key)))
                .hint("keys of codecs that are not known are given in hexadecimal")
        })?;
        let entries = reader.get(operator, state, &key).map_err(unreadable)?;
        if entries.is_empty() {
            return Err(Failure::message(format_args!("`{}` has nothing in `{}`", self.key, self.state)));
        }
        let mut out = Lines::new();
        entries.iter().try_for_each(|entry| out.print(&shown::entry(operator, &described, entry)))?;
        out.finish()
    }
}

impl Scan {
    fn run(&self, talk: &Talk) -> Result<(), Failure> {
        let reader = self.at.open(talk)?;
        let (operator, state) = named(&self.state)?;
        let mut out = Lines::new();
        entries(&reader, operator, state, self.limit.unwrap_or(usize::MAX), &mut out)?;
        out.finish()
    }
}

impl Export {
    fn run(&self, talk: &Talk) -> Result<(), Failure> {
        let reader = self.at.open(talk)?;
        let mut out = Lines::new();
        for operator in reader.operators() {
            for state in &operator.states {
                entries(&reader, &operator.id, &state.name, usize::MAX, &mut out)?;
            }
            // Timers have the keys of keyed state.
            let keyed = operator.states.iter().find(|state| state.scope == StateScope::Keyed);
            for &domain in &operator.timers {
                for timer in reader.timers(&operator.id, domain).map_err(unreadable)? {
                    let key = shown::value(keyed.map(|state| &state.key), &timer.key);
                    let domain = domain_name(domain);
                    let (time, tag) = (timer.time, timer.tag);
                    out.print(
                        &json!({ "operator": operator.id, "timers": domain, "time": time, "key": key, "tag": tag }),
                    )?;
                }
            }
        }
        out.finish()
    }
}

fn entries(reader: &Reader, operator: &str, state: &str, limit: usize, out: &mut Lines) -> Result<(), Failure> {
    let described = reader.state(operator, state).map_err(unreadable)?;
    for entry in reader.entries(operator, state).map_err(unreadable)?.take(limit) {
        out.print(&shown::entry(operator, &described, &entry.map_err(unreadable)?))?;
    }
    Ok(())
}

fn named(state: &str) -> Result<(&str, &str), Failure> {
    state.split_once('.').ok_or_else(|| {
        Failure::usage(format_args!("`{state}` names no state: write OPERATOR.STATE"))
            .hint("`wasmill state list PATH` shows what there is")
    })
}

fn unreadable(error: ReadError) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn domain_name(domain: TimeDomain) -> &'static str {
    match domain {
        TimeDomain::EventTime => "event-time",
        TimeDomain::ProcessingTime => "processing-time",
    }
}

/// JSON Lines on standard output.
struct Lines(BufWriter<StdoutLock<'static>>);

impl Lines {
    fn new() -> Lines {
        Lines(BufWriter::new(io::stdout().lock()))
    }

    fn print(&mut self, line: &Value) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(unwritable)
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.0.flush().map_err(unwritable)
    }
}

fn unwritable(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Exit::Done, StdoutClosed),
        _ => Failure::message(format_args!("cannot write to standard output: {error}")),
    }
}
