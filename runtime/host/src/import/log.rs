//! Writes what guests log and print, and remembers their last words.

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use wasmill_core::Place;

use crate::{bindings::wasmill::operator::log, guest::Guest};

/// Longer lines are cut, bytes.
pub(crate) const LINE_BYTES: usize = 8 * 1024;

/// Lines a second and instance; more are counted and dropped.
const LINES_A_SECOND: u32 = 1_000;

/// How much of a guest's last words goes into an error, bytes.
const WORDS_BYTES: usize = 2_000;

/// One instance's log. Lines carry tenant, job, operator and subtask, under the target `wasmill::guest`.
pub(crate) struct Log {
    place: Place,
    since: Instant,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    rate: Rate,
    /// What was printed and is not yet a line, by stream.
    printed: [Vec<u8>; 2],
    /// The last line of level error in this call.
    error: Option<String>,
    /// The end of what was printed to standard error in this call.
    stderr: String,
}

/// A standard stream of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Log {
    pub(crate) fn new(place: Place) -> Log {
        Log { place, since: Instant::now(), lines: Mutex::default() }
    }

    /// A call begins: what was said before is not about it.
    pub(crate) fn begin(&self) {
        let mut lines = self.lock();
        if lines.error.is_some() || !lines.stderr.is_empty() {
            lines.error = None;
            lines.stderr.clear();
        }
    }

    /// What the guest said last in this call that may explain a trap.
    pub(crate) fn last_words(&self) -> Option<String> {
        let mut lines = self.lock();
        self.end_line(&mut lines, Stream::Stderr);
        let words = lines.error.clone().unwrap_or_else(|| one_line(&lines.stderr));
        (!words.is_empty()).then(|| cut(&words, WORDS_BYTES).to_string())
    }

    /// The host has something to say about the guest.
    pub(crate) fn warn(&self, message: &str) {
        self.write(log::Level::Warn, message);
    }

    /// Prints what is left when the instance goes.
    pub(crate) fn close(&self) {
        let mut lines = self.lock();
        self.end_line(&mut lines, Stream::Stdout);
        self.end_line(&mut lines, Stream::Stderr);
        let dropped = std::mem::take(&mut lines.rate.dropped);
        self.tell_dropped(dropped);
    }

    /// Takes bytes of a standard stream, and logs the lines that are whole.
    pub(crate) fn print(&self, stream: Stream, bytes: &[u8]) {
        let mut lines = self.lock();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let printed = &mut lines.printed[stream as usize];
            let room = LINE_BYTES.saturating_sub(printed.len());
            printed.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line(&mut lines, stream);
            }
        }
    }

    fn end_line(&self, lines: &mut Lines, stream: Stream) {
        let printed = std::mem::take(&mut lines.printed[stream as usize]);
        if printed.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&printed);
        let line = clean(text.trim_end_matches(['\n', '\r']));
        let level = match stream {
            Stream::Stdout => log::Level::Info,
            Stream::Stderr => {
                if lines.stderr.len() + line.len() > WORDS_BYTES {
                    lines.stderr.clear();
                }
                lines.stderr.push_str(&line);
                lines.stderr.push('\n');
                log::Level::Warn
            }
        };
        self.admit(lines, level, &line);
    }

    fn log(&self, level: log::Level, message: &str) {
        let line = clean(cut(message, LINE_BYTES));
        let mut lines = self.lock();
        if level == log::Level::Error {
            lines.error = Some(line.to_string());
        }
        self.admit(&mut lines, level, &line);
    }

    /// Writes a line unless there were too many.
    fn admit(&self, lines: &mut Lines, level: log::Level, line: &str) {
        if let Some(dropped) = lines.rate.admit(self.since.elapsed().as_secs()) {
            self.tell_dropped(dropped);
            self.write(level, line);
        }
    }

    fn tell_dropped(&self, dropped: u64) {
        if dropped > 0 {
            self.warn(&format!("{dropped} lines were dropped: more than {LINES_A_SECOND} in a second"));
        }
    }

    fn write(&self, level: log::Level, line: &str) {
        macro_rules! event {
            ($level:ident) => {
                tracing::event!(
                    target: "wasmill::guest",
                    tracing::Level::$level,
                    tenant = %self.place.job.tenant,
                    job = %self.place.job.job,
                    operator = %self.place.operator,
                    subtask = self.place.subtask,
                    "{line}"
                )
            };
        }
        match level {
            log::Level::Trace => event!(TRACE),
            log::Level::Debug => event!(DEBUG),
            log::Level::Info => event!(INFO),
            log::Level::Warn => event!(WARN),
            log::Level::Error => event!(ERROR),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl log::Host for Guest {
    fn log(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.log.log(level, &message);
        Ok(())
    }
}

/// Lines in the present second.
#[derive(Default)]
struct Rate {
    second: u64,
    lines: u32,
    dropped: u64,
}

impl Rate {
    /// Whether a line may be written in `second`; then how many were dropped before it.
    fn admit(&mut self, second: u64) -> Option<u64> {
        if second != self.second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines == LINES_A_SECOND {
            self.dropped += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

/// The first `bytes` of a text, or a little less, at the end of a character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// What a panic printed, as one line, without the hint about a backtrace that nobody can follow.
fn one_line(stderr: &str) -> String {
    let lines = stderr.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note: run with"));
    lines.collect::<Vec<_>>().join(" ")
}

/// A text that stays one line and leaves the terminal alone: control characters are written as escapes.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    let bad = |c: char| c.is_control() && c != '\t';
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if bad(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use wasmill_core::JobName;

    use super::*;

    #[test]
    fn a_flood_is_counted_and_dropped() {
        let mut rate = Rate::default();
        let written = (0..5_000).filter(|_| rate.admit(7).is_some()).count();
        assert_eq!(written, 1_000);
        assert_eq!((rate.admit(8), rate.admit(8)), (Some(4_000), Some(0)));
    }

    #[test]
    fn lines_are_cut_between_characters_and_cleaned() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 9), "añb");
        assert_eq!(clean("a\tb\x1b[2J\nc"), "a\tb\\u{1b}[2J\\nc");
    }

    #[test]
    fn last_words_are_the_error_of_this_call_or_the_end_of_stderr() {
        let log = Log::new(JobName::local("j").place("o", 0));
        log.print(Stream::Stderr, b"thread panicked\nat the ");
        log.print(Stream::Stderr, b"disco\n\nnote: run with `RUST_BACKTRACE=1`");
        assert_eq!(log.last_words().as_deref(), Some("thread panicked at the disco"));
        log.log(log::Level::Error, "panicked at lib.rs:1");
        log.log(log::Level::Info, "bye");
        assert_eq!(log.last_words().as_deref(), Some("panicked at lib.rs:1"));
        log.begin();
        assert_eq!(log.last_words(), None);
    }

    #[test]
    fn what_is_printed_without_an_end_of_line_stays_bounded() {
        let log = Log::new(JobName::local("j").place("o", 0));
        (0..100).for_each(|_| log.print(Stream::Stdout, &[b'x'; 1_000]));
        assert_eq!(log.lock().printed[0].len(), LINE_BYTES);
    }
}
