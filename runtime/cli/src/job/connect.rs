//! Makes sources and sinks of their tables.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Component, Path, PathBuf},
};

use wasmill_core::Codec;

use super::{nodes::Source, problem::Findings, read::Job, suggest::quote};

/// Sources and sinks, ready to be made.
#[derive(Default)]
pub struct Connected {
    /// What each source brings, by its index.
    pub(super) feeds: HashMap<usize, Feed>,
}

/// What a source brings.
pub(super) struct Feed {
    pub(super) key: Codec,
    pub(super) value: Codec,
    pub(super) has_keys: bool,
    /// Whether its table could say where keys are.
    pub(super) can_have_keys: bool,
    pub(super) has_event_time: bool,
    /// Whether its rows are known to end.
    pub(super) bounded: bool,
}

impl Job {
    /// Makes all sources and sinks, and tells what is wrong between them.
    pub(super) fn connect(&self, findings: &mut Findings) -> Connected {
        let mut connected = Connected::default();
        for (i, source) in self.sources.iter().enumerate() {
            if let Some(feed) = feed(source) {
                connected.feeds.insert(i, feed);
            }
        }
        self.check_stdin(findings);
        self.check_targets(findings);
        connected
    }

    /// Standard input is one stream, and can be read once.
    fn check_stdin(&self, findings: &mut Findings) {
        let mut first: Option<&str> = None;
        for source in self.sources.iter().filter(|source| source.connector == "stdin") {
            let id = &source.place.id;
            if let Some(first) = first {
                let message = format!("{} reads standard input, but {} does already", quote(id), quote(first));
                findings.error(source.section.at("connector"), message, "let both take rows from one source");
            }
            first = first.or(Some(id));
            if source.place.parallelism != 1 {
                let parallelism = source.place.parallelism;
                let message = format!("{} reads standard input with a parallelism of {parallelism}", quote(id));
                let hint = "standard input is one stream: remove `parallelism`; what follows can be parallel";
                findings.error(source.section.at("parallelism"), message, hint);
            }
        }
    }

    /// No two sinks write to the same folder.
    fn check_targets(&self, findings: &mut Findings) {
        let mut first: HashMap<PathBuf, &str> = HashMap::new();
        for sink in self.sinks.iter().filter(|sink| sink.connector == "file") {
            let Some(path) = sink.section.text("path") else { continue };
            let id = sink.place.id.as_str();
            if let Some(other) = first.insert(plain(&self.directory.join(&path)), id) {
                let message = format!("{} writes to {}, but {} does already", quote(id), quote(&path), quote(other));
                findings.error(sink.section.at("path"), message, "give every sink a folder of its own");
            }
        }
    }
}

/// What a source brings, if its table says.
fn feed(source: &Source) -> Option<Feed> {
    let section = &source.section;
    let (value, can_have_keys) = match (source.connector, section.choice("format")) {
        ("generator", _) => ("json", true),
        (_, Some("text")) => ("text", false),
        (_, Some("json" | "csv")) => ("json", true),
        _ => return None,
    };
    let bounded = match source.connector {
        "file" => true,
        "generator" => section.has("count"),
        _ => false,
    };
    Some(Feed {
        key: Codec::named("text"),
        value: Codec::named(value),
        has_keys: section.has("key") || source.connector == "generator",
        can_have_keys,
        has_event_time: section.has("event-time"),
        bounded,
    })
}

/// The same path without `.` and, as far as names go, `..`.
fn plain(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}
