//! Reads a job file: from text to typed nodes, with everything that is wrong in it alone.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use wasmill_core::MaxParallelism;
use wasmill_engine::{ExecutionMode, RestartStrategy};

use super::{
    definition::{self, JOB},
    nodes::{Defaults, Limits, Operator, Place, Sink, Source},
    overrides::Overrides,
    problem::{Findings, Problem},
    recovery::{self, Checkpoint},
    section::Section,
    suggest::quote,
    text::Text,
    tree::{self, At, Node, Value},
    validate,
};

/// The most nodes a job may have.
const NODES: usize = 1_000;

/// The most edges a job may have.
const EDGES: usize = 10_000;

/// A job file, read. Its problems are kept and told by [`Job::resolve`], together with those that only the components can
/// show, so that all come at once. A value that is wrong counts as its default until then.
#[derive(Debug, Clone)]
pub struct Job {
    /// The job file, as the user named it.
    pub path: PathBuf,
    /// The folder that paths in the job file are relative to.
    pub directory: PathBuf,
    /// What the job is called.
    pub name: String,
    /// The number of key groups.
    pub max_parallelism: MaxParallelism,
    /// What random numbers are made of.
    pub seed: u64,
    /// When results appear.
    pub mode: ExecutionMode,
    /// How rows travel.
    pub engine: Engine,
    /// Where keyed state lives.
    pub state: State,
    /// When checkpoints are taken.
    pub checkpoint: Checkpoint,
    /// What follows a failure.
    pub restart: RestartStrategy,
    /// Where rows come in.
    pub sources: Vec<Source>,
    /// What transforms rows.
    pub operators: Vec<Operator>,
    /// Where rows go out.
    pub sinks: Vec<Sink>,
    pub(super) text: Text,
    pub(super) options: Vec<String>,
    pub(super) findings: Findings,
}

/// The table `engine`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// About how many bytes a batch holds.
    pub batch_bytes: u64,
    /// At most how many rows a batch of a source holds.
    pub batch_rows: u32,
    /// How long rows wait for their batch to fill.
    pub linger: Duration,
    /// How many batches a channel holds.
    pub channel_batches: u32,
    /// How many bytes all channels into one subtask hold.
    pub gate_bytes: u64,
    /// Over how many emitted bytes a call is suspended.
    pub outbox_bytes: u64,
    /// What the whole job may use, bytes.
    pub memory: u64,
    /// Decides the order of turns, in a test.
    pub interleaving: Option<u64>,
}

/// The table `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where the job's state is kept; `None`: in a temporary folder.
    pub directory: Option<PathBuf>,
    /// How much of its state an instance caches, bytes.
    pub cache_bytes: u64,
    /// Page cache of the store, bytes.
    pub store_cache_bytes: u64,
    /// Write buffer of a subtask, bytes.
    pub write_buffer_bytes: u64,
}

impl Job {
    /// Reads the job file at `path`, as changed by `overrides`.
    ///
    /// # Errors
    /// When it cannot be read or is not TOML; all other problems come out of [`Job::resolve`].
    pub fn read(path: &Path, overrides: &Overrides) -> Result<Job, Vec<Problem>> {
        let text = Text::read(path).map_err(|problem| vec![*problem])?;
        Job::from_text(text, overrides)
    }

    /// Reads `text` as if it were the file at `path`.
    ///
    /// # Errors
    /// As [`Job::read`].
    pub fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Job, Vec<Problem>> {
        Job::from_text(Text::new(path.to_path_buf(), text.to_string()), overrides)
    }

    fn from_text(text: Text, overrides: &Overrides) -> Result<Job, Vec<Problem>> {
        let options = overrides.shown();
        let mut root = tree::parse(&text).map_err(|findings| findings.problems(&text, &options))?;
        let mut findings = Findings::default();
        overrides.apply(&mut root, &mut findings);
        let Node { value: Value::Table(entries), .. } = &root else { unreachable!("a TOML document is a table") };
        let section = validate::table(&JOB, "", &At::Whole, entries, &mut findings);
        let mut job = Job::typed(&section, text, options);
        job.check(&section, &mut findings);
        recovery::check(&job, &section, &mut findings);
        job.findings = findings;
        Ok(job)
    }

    fn typed(section: &Section, text: Text, options: Vec<String>) -> Job {
        let directory = text.path.parent().unwrap_or(Path::new("")).to_path_buf();
        let engine = section.section("engine", &definition::ENGINE);
        let state = section.section("state", &definition::STATE);
        let limits = Limits::read(&section.section("limits", &definition::LIMITS), None);
        let defaults =
            Defaults { parallelism: number(section, "parallelism"), chain: engine.boolean("chain").unwrap_or(true) };
        let max_parallelism = MaxParallelism::new(number(section, "max-parallelism"));
        let sources = section.named("source").into_iter().map(|(id, section)| {
            let connector = section.choice("connector").unwrap_or_default();
            // Standard input is one stream; no job's default makes it several.
            let defaults = if connector == "stdin" { Defaults { parallelism: 1, ..defaults } } else { defaults };
            Source { place: Place::read(id, &section, defaults), connector, section }
        });
        let sources: Vec<Source> = sources.collect();
        let operators = section.named("operator").into_iter();
        let operators = operators.map(|(id, section)| Operator::read(id, section, defaults, limits, &directory));
        let sinks = section.named("sink").into_iter().map(|(id, section)| {
            let connector = section.choice("connector").unwrap_or_default();
            Sink { place: Place::read(id, &section, defaults), connector, section }
        });
        Job {
            path: text.path.clone(),
            name: section.text("name").unwrap_or_default(),
            max_parallelism: max_parallelism.unwrap_or(MaxParallelism::DEFAULT),
            seed: section.integer("seed").and_then(|seed| u64::try_from(seed).ok()).unwrap_or_default(),
            mode: match section.choice("mode") {
                Some("batch") => ExecutionMode::Batch,
                _ => ExecutionMode::Streaming,
            },
            engine: Engine {
                batch_bytes: engine.size("batch-size").unwrap_or_default(),
                batch_rows: number(&engine, "batch-rows"),
                linger: engine.duration("linger").unwrap_or_default(),
                channel_batches: number(&engine, "channel-batches"),
                gate_bytes: engine.size("gate-size").unwrap_or_default(),
                outbox_bytes: engine.size("outbox-size").unwrap_or_default(),
                memory: engine.size("memory").unwrap_or_default(),
                interleaving: engine.integer("interleaving-seed").and_then(|seed| u64::try_from(seed).ok()),
            },
            state: State {
                directory: state.text("directory").map(|path| directory.join(path)),
                cache_bytes: state.size("cache").unwrap_or_default(),
                store_cache_bytes: state.size("store-cache").unwrap_or_default(),
                write_buffer_bytes: state.size("write-buffer").unwrap_or_default(),
            },
            checkpoint: Checkpoint::read(section),
            restart: recovery::restart(section),
            sources,
            operators: operators.collect(),
            sinks: sinks.collect(),
            directory,
            text,
            options,
            findings: Findings::default(),
        }
    }

    /// What only a look at the whole file shows.
    fn check(&mut self, section: &Section, findings: &mut Findings) {
        if self.sources.is_empty() && !section.has("source") {
            let hint = "add a table `[source.ID]`, such as `[source.lines]` with `connector = \"file\"`";
            findings.error(&At::Whole, "the job has no source", hint);
        }
        let mut first: HashMap<&str, &'static str> = HashMap::new();
        for (kind, place) in self.places() {
            if let Some(other) = first.get(place.id.as_str()) {
                let message = format!("the id {} is taken: {other} has it already", quote(&place.id));
                findings.error(&place.at, message, "give every source, operator and sink an id of its own");
            } else {
                first.insert(&place.id, kind);
            }
        }
        let (nodes, edges) = self.places().fold((0, 0), |(n, e), (_, place)| (n + 1, e + place.inputs.len()));
        for (count, most, what) in [(nodes, NODES, "nodes"), (edges, EDGES, "edges")] {
            if count > most {
                findings.error(&At::Whole, format!("the job has {count} {what}; at most {most} are possible"), "");
                self.sources.clear();
                self.operators.clear();
                self.sinks.clear();
                return;
            }
        }
    }

    /// Every node with what it is, in the order of the logical graph: sources, operators, sinks.
    pub(super) fn places(&self) -> impl Iterator<Item = (&'static str, &Place)> {
        let sources = self.sources.iter().map(|source| ("a source", &source.place));
        let operators = self.operators.iter().map(|operator| ("an operator", &operator.place));
        sources.chain(operators).chain(self.sinks.iter().map(|sink| ("a sink", &sink.place)))
    }
}

/// A number of the section; 1 where it has no such number.
pub(super) fn number(section: &Section, key: &str) -> u32 {
    section.integer(key).and_then(|number| u32::try_from(number).ok()).unwrap_or(1)
}
