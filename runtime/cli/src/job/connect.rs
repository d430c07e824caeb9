//! Makes sources and sinks of their tables.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use wasmill_connectors::{
    discard::DiscardSink,
    event_time::{EventTime, TimeFormat},
    file::{Compression, FileSink, FileSource, unfit_field},
    generator::GeneratorSource,
    nexmark::{EventFormat, NexmarkSource},
    render::LineFormat,
    rows::{Format, RowFormat},
    stdin::StdinSource,
    stdout::StdoutSink,
};
use wasmill_core::{Codec, SinkFactory, SourceFactory, graph::NodeId};
use wasmill_engine::{ExecutionMode, SourceSpec};

use super::{
    definition::{EVENT_TIME, GENERATED_TIME, NEXMARK_TIME},
    nodes::{Sink, Source},
    problem::Findings,
    read::Job,
    section::Section,
    suggest::quote,
    tree::At,
    watermarks::Watermarks,
};

/// Sources and sinks, ready to be made.
#[derive(Default)]
pub struct Connected {
    /// The sources, by their nodes.
    pub sources: BTreeMap<NodeId, SourceSpec>,
    /// The sinks, by their nodes.
    pub sinks: BTreeMap<NodeId, Arc<dyn SinkFactory>>,
    /// What each source brings.
    pub(super) feeds: HashMap<NodeId, Feed>,
}

/// What a source brings.
pub(super) struct Feed {
    pub(super) key: Codec,
    pub(super) value: Codec,
    pub(super) has_keys: bool,
    /// Whether it has watermarks before its end.
    pub(super) has_watermarks: bool,
    /// Whether its rows are known to end.
    pub(super) bounded: bool,
    /// What to write in its table so that its rows have keys, if that is possible.
    pub(super) key_hint: Option<&'static str>,
}

impl Job {
    /// Makes all sources and sinks, and tells what is wrong with them alone and together. Looks for the files of sources.
    pub(super) fn connect(&self, findings: &mut Findings) -> Connected {
        let mut connected = Connected::default();
        for (node, source) in self.sources.iter().enumerate() {
            let Some((factory, mut feed)) = self.source(source, findings) else { continue };
            let definition = match source.connector {
                "generator" => &GENERATED_TIME,
                "nexmark" => &NEXMARK_TIME,
                _ => &EVENT_TIME,
            };
            let time = source.section.section("event-time", definition);
            let disorder = match source.connector {
                "nexmark" => Duration::from_millis(nexmark(&source.section).disorder()),
                _ => Duration::ZERO,
            };
            let watermarks = Watermarks::read(&time, source.section.has("event-time"), disorder, findings);
            feed.has_watermarks &= watermarks.are_any();
            if let Some(factory) = factory {
                connected.sources.insert(node, watermarks.of(factory));
            }
            self.check_mode(source, &feed, findings);
            connected.feeds.insert(node, feed);
        }
        let first_sink = self.sources.len() + self.operators.len();
        for (i, sink) in self.sinks.iter().enumerate() {
            if let Some(factory) = self.sink(sink, findings) {
                connected.sinks.insert(first_sink + i, factory);
            }
        }
        self.check_stdin(findings);
        self.check_targets(findings);
        connected
    }

    /// The source, unless its files are not there, which has been told then, and what it brings.
    fn source(&self, source: &Source, findings: &mut Findings) -> Option<(Option<Arc<dyn SourceFactory>>, Feed)> {
        let section = &source.section;
        let has_watermarks = section.has("event-time");
        if source.connector == "generator" {
            let generator = self.generator(section);
            let ((key, value), bounded) = (generator.codecs(), section.has("count"));
            let (has_keys, key_hint) = (generator.keys > 0, Some("a number of `keys`"));
            let feed = Feed { key, value, has_keys, has_watermarks, bounded, key_hint };
            return Some((Some(Arc::new(generator)), feed));
        }
        if source.connector == "nexmark" {
            let nexmark = nexmark(section);
            if nexmark.shuffled.is_multiple_of(953) {
                let message = "events cannot be shuffled in groups of a multiple of 953";
                findings.error(section.at("out-of-order-group"), message, "choose another number");
            }
            let ((key, value), bounded) = (nexmark.codecs(), section.has("events"));
            let feed = Feed { key, value, has_keys: false, has_watermarks: true, bounded, key_hint: None };
            return Some((Some(Arc::new(nexmark)), feed));
        }
        let format = row_format(section, findings);
        let (key, value) = format.codecs();
        let key_hint = (format.format != Format::Text).then_some("a `key`");
        let has_keys = section.has("key");
        let bounded = source.connector == "file";
        let feed = Feed { key, value, has_keys, has_watermarks, bounded, key_hint };
        let factory: Option<Arc<dyn SourceFactory>> = match source.connector {
            "file" => self.files(section, format, findings).map(|files| Arc::new(files) as _),
            "stdin" => Some(Arc::new(StdinSource { format })),
            _ => return None,
        };
        Some((factory, feed))
    }

    fn files(&self, section: &Section, format: RowFormat, findings: &mut Findings) -> Option<FileSource> {
        let patterns = section.texts("path")?;
        let split_bytes = section.size("split-size").unwrap_or(u64::MAX);
        let paths: Vec<PathBuf> = patterns.iter().map(|(pattern, _)| within(&self.directory, pattern)).collect();
        let all = FileSource::new(&paths, format.clone(), split_bytes);
        if all.is_err() {
            for (path, (_, at)) in paths.iter().zip(&patterns) {
                if let Err(error) = FileSource::new(std::slice::from_ref(path), format.clone(), split_bytes) {
                    findings.error(at, error.to_string(), "correct the path; it is relative to the job file");
                }
            }
        }
        all.ok()
    }

    fn generator(&self, section: &Section) -> GeneratorSource {
        let number = |key: &str| section.integer(key).and_then(|number| u64::try_from(number).ok());
        let time = section.section("event-time", &GENERATED_TIME);
        let interval = time.duration("interval").and_then(|interval| i64::try_from(interval.as_millis()).ok());
        GeneratorSource {
            count: number("count"),
            rate: number("rate"),
            seed: number("seed").unwrap_or(self.seed),
            keys: number("keys").unwrap_or_default(),
            event_time: section.has("event-time").then_some(time.integer("start").zip(interval)).flatten(),
        }
    }

    /// The sink, unless its table is incomplete, which has been told then.
    fn sink(&self, sink: &Sink, findings: &mut Findings) -> Option<Arc<dyn SinkFactory>> {
        let section = &sink.section;
        let format = if section.choice("format") == Some("json") { LineFormat::Json } else { LineFormat::Text };
        let with_key = section.boolean("key").unwrap_or_default();
        let separator = section.text("separator").unwrap_or_default();
        Some(match sink.connector {
            "file" => Arc::new(FileSink {
                path: self.directory.join(section.text("path")?),
                format,
                with_key,
                separator,
                compression: match section.choice("compression") {
                    Some("gzip") => Compression::Gzip,
                    Some("zstd") => Compression::Zstd,
                    _ => Compression::None,
                },
                partition_by: partition_by(section, findings),
                overwrite: section.boolean("overwrite").unwrap_or_default(),
            }),
            "stdout" => Arc::new(StdoutSink::new(format, with_key, separator)),
            "discard" => Arc::new(DiscardSink),
            _ => return None,
        })
    }

    /// In batch mode a source must come to an end. Whether standard input does is up to whoever writes it.
    fn check_mode(&self, source: &Source, feed: &Feed, findings: &mut Findings) {
        if self.mode == ExecutionMode::Batch && !feed.bounded && source.connector != "stdin" {
            let id = quote(&source.place.id);
            let message = format!("{id} never ends, but in the mode `batch` results appear at the end");
            let hint = match source.connector {
                "generator" => "add a `count` to it, or remove `mode`",
                "nexmark" => "add `events` to it, or remove `mode`",
                _ => "read a source that ends, or remove `mode`",
            };
            findings.error(source.section.at("connector"), message, hint);
        }
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

/// The fields that the rows of a sink are partitioned by; those that cannot be are told.
fn partition_by(section: &Section, findings: &mut Findings) -> Vec<String> {
    let given = section.texts("partition-by").unwrap_or_default();
    let fields: Vec<String> = given.iter().map(|(field, _)| field.clone()).collect();
    if let Some((i, why)) = unfit_field(&fields) {
        let message = format!("rows cannot be partitioned: {why}");
        findings.error(&given[i].1, message, "name other members of the rows, each once");
    }
    fields
}

/// The generator of Nexmark.
fn nexmark(section: &Section) -> NexmarkSource {
    let number = |key: &str| section.integer(key).and_then(|number| u64::try_from(number).ok());
    NexmarkSource {
        count: number("events"),
        rate: number("rate"),
        base_time: section.integer("base-time").unwrap_or_default(),
        density: number("events-per-second").unwrap_or(1),
        shuffled: number("out-of-order-group").unwrap_or(1),
        format: if section.choice("format") == Some("json") { EventFormat::Json } else { EventFormat::Postcard },
    }
}

/// How the rows of a file or of standard input are made.
fn row_format(section: &Section, findings: &mut Findings) -> RowFormat {
    let format = match section.choice("format") {
        Some("json") => Format::Json,
        Some("csv") => Format::Csv,
        _ => Format::Text,
    };
    let time = section.section("event-time", &EVENT_TIME);
    let field = time.text("field");
    // Elsewhere the key means nothing, which is told.
    let watermark = time.text("watermark-field").filter(|_| time.choice("watermarks") == Some("from-record"));
    if format == Format::Json {
        let fields = [
            ("key", section.text("key"), section.at("key")),
            ("event-time.field", field.clone(), time.at("field")),
            ("event-time.watermark-field", watermark.clone(), time.at("watermark-field")),
        ];
        for (name, pointer, at) in fields {
            check_pointer(name, pointer.as_deref(), at, findings);
        }
    }
    let time_format = match time.choice("format") {
        Some("milliseconds") => TimeFormat::Milliseconds,
        Some("seconds") => TimeFormat::Seconds,
        _ => TimeFormat::Rfc3339,
    };
    RowFormat {
        format,
        key: section.text("key"),
        event_time: field.map(|field| EventTime { field, format: time_format }),
        watermark: watermark.map(|field| EventTime { field, format: time_format }),
        skip_errors: section.choice("on-error") == Some("skip"),
        max_line: section.size("max-line").and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(1 << 20),
        delimiter: section.text("delimiter").and_then(|text| text.bytes().next()).unwrap_or(b','),
        header: section.boolean("header").unwrap_or(true),
    }
}

/// A JSON Pointer (RFC 6901) begins with `/`, and `~` in it is followed by 0 or 1.
fn check_pointer(name: &str, pointer: Option<&str>, at: &At, findings: &mut Findings) {
    let Some(pointer) = pointer else { return };
    let is_sound = pointer.starts_with('/') && pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !is_sound {
        let steps = pointer.trim_start_matches(['$', '.', '/']).replace('~', "~0").replace('.', "/");
        let message = format!("{} is not a JSON Pointer: {}", quote(name), quote(pointer));
        findings.error(at, message, format!("write a `/` before each step: \"/{steps}\""));
    }
}

/// `pattern` in `directory`, whose own name is not meant as a pattern.
fn within(directory: &Path, pattern: &str) -> PathBuf {
    let literal = directory.join(pattern);
    let is_pattern = |c: char| matches!(c, '*' | '?' | '[' | ']');
    match directory.to_str().filter(|_| pattern.contains(is_pattern) && !literal.is_file()) {
        Some(directory) if directory.contains(is_pattern) => {
            let escaped: String =
                directory.chars().map(|c| if is_pattern(c) { format!("[{c}]") } else { c.to_string() }).collect();
            Path::new(&escaped).join(pattern)
        }
        _ => literal,
    }
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
