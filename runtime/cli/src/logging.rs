//! Decides what is logged and how a line looks; lines go around the progress that is being drawn.

use std::{fmt, io};

use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    field::Visit,
    fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    registry::LookupSpan,
};

use crate::{exit::Failure, talk::Talk};

/// The environment variable that says what is logged.
pub const VARIABLE: &str = "WASMILL_LOG";

/// Starts logging for the process.
///
/// # Errors
/// When [`VARIABLE`] cannot be understood.
pub fn start(talk: &Talk, verbose: u8) -> Result<(), Failure> {
    let filter = match std::env::var(VARIABLE) {
        Ok(directives) if !directives.trim().is_empty() => EnvFilter::try_new(&directives).map_err(|error| {
            Failure::usage(format_args!("{VARIABLE} is `{directives}`, which is not a log filter: {error}"))
                .hint("use `error`, `warn`, `info`, `debug`, `trace`, or `target=level,...`")
        })?,
        _ => EnvFilter::new(default_filter(talk.quiet, verbose)),
    };
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Around(talk.clone()));
    // A second subscriber in one process (tests) is refused; the first one stays.
    let _ = subscriber.event_format(Line { color: talk.color }).try_init();
    Ok(())
}

/// A target covers all that begin with it: `wasmill` the crates here and `wasmill::guest`, where operators speak. Other
/// crates are heard from `-vv` on only: what they say at `info` is not about the job.
fn default_filter(quiet: bool, verbose: u8) -> &'static str {
    match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,wasmill=info",
        (false, 2) => "info,wasmill=debug",
        (false, _) => "debug,wasmill=trace",
    }
}

/// Hands whole lines to [`Talk`].
struct Around(Talk);

struct LineWriter(Talk, Vec<u8>);

impl<'a> MakeWriter<'a> for Around {
    type Writer = LineWriter;

    fn make_writer(&'a self) -> LineWriter {
        LineWriter(self.0.clone(), Vec::new())
    }
}

impl io::Write for LineWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.1);
        if !text.is_empty() {
            self.0.write(text.trim_end_matches('\n'));
        }
    }
}

/// `warn: [count/1] message field=value`: where a guest or a subtask speaks comes first, the rest as it is.
struct Line {
    color: bool,
}

#[derive(Default)]
struct Fields {
    message: String,
    operator: Option<String>,
    subtask: Option<String>,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "operator" => self.operator = Some(value.to_string()),
            _ => self.record_debug(field, &format_args!("{value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "operator" => self.operator = Some(format!("{value:?}")),
            "subtask" => self.subtask = Some(format!("{value:?}")),
            // One process runs one job here, of one tenant.
            "job" | "tenant" => {}
            name => self.others.push_str(&format!(" {name}={value:?}")),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (name, attribute) = match *event.metadata().level() {
            Level::ERROR => ("error", "31"),
            Level::WARN => ("warn", "33"),
            Level::INFO => ("info", "32"),
            Level::DEBUG => ("debug", "34"),
            Level::TRACE => ("trace", "35"),
        };
        if self.color {
            write!(writer, "\x1b[{attribute}m{name}\x1b[0m:")?;
        } else {
            write!(writer, "{name}:")?;
        }
        match (&fields.operator, &fields.subtask) {
            (Some(operator), Some(subtask)) => write!(writer, " [{operator}/{subtask}]")?,
            (Some(operator), None) => write!(writer, " [{operator}]")?,
            _ => {}
        }
        write!(writer, " {}{}", printable(&fields.message), printable(&fields.others))?;
        writeln!(writer)
    }
}

/// A guest's line must not drive the terminal: control characters but the tab are shown, not obeyed, and a further line is
/// indented below the first.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        match character {
            '\n' => shown.push_str("\n    "),
            '\t' => shown.push('\t'),
            control if control.is_control() => shown.extend(control.escape_default()),
            other => shown.push(other),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_cannot_drive_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\nc\td\n"), "a\\u{1b}[2Jb\\r\n    c\td");
    }

    #[test]
    fn every_default_filter_is_one() {
        for verbose in 0..4 {
            assert!(EnvFilter::try_new(default_filter(false, verbose)).is_ok());
        }
    }
}
