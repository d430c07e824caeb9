//! Holds the sources, operators and sinks of a job file, typed, with edges that are not resolved yet.

use std::{path::PathBuf, time::Duration};

use wasmill_core::graph::Exchange;

use super::{definition, section::Section, tree::At};

/// What `on-error` says, and the output that such an operator has more than it describes.
pub const DEAD_LETTER: &str = "dead-letter";

/// What one instance of an operator may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, bytes.
    pub memory: u64,
    /// Running time of one call.
    pub call_budget: Duration,
    /// Bytes that may cross in one call.
    pub max_batch_bytes: u64,
}

impl Limits {
    /// Those of a `limits` table; what it does not say is as in `job`, or the default.
    pub(super) fn read(section: &Section, job: Option<Limits>) -> Limits {
        let size = |key: &str, inherited: Option<u64>| match (section.get(key), inherited) {
            (None, Some(inherited)) => inherited,
            _ => section.size(key).unwrap_or_default(),
        };
        let call_budget = match (section.get("call-budget"), job) {
            (None, Some(job)) => job.call_budget,
            _ => section.duration("call-budget").unwrap_or_default(),
        };
        Limits {
            memory: size("memory", job.map(|job| job.memory)),
            call_budget,
            max_batch_bytes: size("max-batch-size", job.map(|job| job.max_batch_bytes)),
        }
    }
}

/// What sources, operators and sinks have in common.
#[derive(Debug, Clone)]
pub struct Place {
    /// The id.
    pub id: String,
    /// Number of subtasks.
    pub parallelism: u32,
    /// Whether it may share a subtask with its predecessor.
    pub chain: bool,
    /// Where its table stands.
    pub(super) at: At,
    /// Where its rows come from.
    pub(super) inputs: Vec<Input>,
    /// Whether an edge was refused already, so that missing ones are not told again.
    pub(super) inputs_incomplete: bool,
}

/// An edge as written.
#[derive(Debug, Clone)]
pub(super) struct Input {
    /// The id of a node.
    pub(super) from: String,
    /// One of its outputs.
    pub(super) output: Option<String>,
    pub(super) from_at: At,
    /// An input of the operator.
    pub(super) name: Option<(String, At)>,
    pub(super) exchange: Option<(Exchange, At)>,
}

/// A source.
#[derive(Debug, Clone)]
pub struct Source {
    /// Id, parallelism and so on.
    pub place: Place,
    /// The connector; empty where the job file has none that is known.
    pub connector: &'static str,
    pub(super) section: Section,
}

/// An operator.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Id, parallelism and so on.
    pub place: Place,
    /// The component's file; `None` where the job file does not say.
    pub component: Option<PathBuf>,
    /// The operator's `config` table as one JSON object.
    pub config: String,
    /// What an instance may use.
    pub limits: Limits,
    /// Whether a record that it cannot process goes to the output [`DEAD_LETTER`], and the job on.
    pub dead_letter: bool,
    pub(super) section: Section,
}

/// A sink.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Id, parallelism and so on.
    pub place: Place,
    /// The connector; empty where the job file has none that is known.
    pub connector: &'static str,
    pub(super) section: Section,
}

/// What nodes get that do not say otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub(super) parallelism: u32,
    pub(super) chain: bool,
}

impl Place {
    pub(super) fn read(id: String, section: &Section, defaults: Defaults) -> Place {
        let inputs: Vec<Input> = section.inputs("input").iter().filter_map(Input::read).collect();
        let parallelism = section.integer("parallelism").and_then(|parallelism| u32::try_from(parallelism).ok());
        Place {
            id,
            parallelism: parallelism.unwrap_or(defaults.parallelism),
            chain: section.boolean("chain").unwrap_or(defaults.chain),
            at: section.at.clone(),
            inputs_incomplete: inputs.len() < section.inputs("input").len() || inputs.is_empty(),
            inputs,
        }
    }
}

impl Input {
    fn read(section: &Section) -> Option<Input> {
        let written = section.text("from")?;
        let (from, output) = match written.split_once('.') {
            Some((from, output)) => (from.to_string(), Some(output.to_string())),
            None => (written, None),
        };
        let exchange = section.choice("exchange").and_then(|word| {
            let (_, exchange) = Exchange::NAMES.into_iter().find(|(name, _)| *name == word)?;
            Some((exchange, section.at("exchange").clone()))
        });
        let name = section.text("as").map(|name| (name, section.at("as").clone()));
        Some(Input { from, output, from_at: section.at("from").clone(), name, exchange })
    }
}

impl Operator {
    pub(super) fn read(
        id: String,
        section: Section,
        defaults: Defaults,
        limits: Limits,
        directory: &std::path::Path,
    ) -> Operator {
        Operator {
            place: Place::read(id, &section, defaults),
            component: section.text("component").map(|path| directory.join(path)),
            config: section.json("config").map_or_else(|| "{}".to_string(), |config| config.to_string()),
            limits: Limits::read(&section.section("limits", &definition::LIMITS), Some(limits)),
            dead_letter: section.choice("on-error") == Some(DEAD_LETTER),
            section,
        }
    }
}
