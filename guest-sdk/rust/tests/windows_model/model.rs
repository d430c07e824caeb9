//! Holds all windows of all keys as Flink's window operator has them, the plain way: each with all of its rows.

use std::collections::BTreeMap;

/// Which windows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Sliding { size: i64, slide: i64, offset: i64 },
    Session { gap: i64 },
    Count { n: usize },
    Global,
}

/// What is emitted: key, start, end, rows by number, time.
pub(crate) type Emitted = (u64, i64, i64, Vec<u64>, i64);

#[derive(Debug, Clone, Default)]
struct Contents {
    rows: Vec<u64>,
    has_timer: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) kind: Kind,
    pub(crate) lateness: i64,
    pub(crate) processing_time: bool,
    /// The watermark, or the clock.
    pub(crate) now: i64,
    windows: BTreeMap<(u64, i64, i64), Contents>,
    pub(crate) emitted: Vec<Emitted>,
    pub(crate) late: Vec<u64>,
}

fn last(end: i64) -> i64 {
    if end == i64::MAX { end } else { end - 1 }
}

impl Model {
    pub(crate) fn new(kind: Kind, lateness: i64, processing_time: bool) -> Model {
        let now = if processing_time { 0 } else { i64::MIN };
        Model { kind, lateness, processing_time, now, windows: BTreeMap::new(), emitted: Vec::new(), late: Vec::new() }
    }

    fn removal(&self, end: i64) -> i64 {
        last(end).saturating_add(self.lateness)
    }

    fn assign(&self, time: i64) -> Vec<(i64, i64)> {
        match self.kind {
            Kind::Sliding { size, slide, offset } => {
                let starts = time - size + 1..=time;
                let starts = starts.filter(|start| (start - offset).rem_euclid(slide) == 0);
                starts.map(|start| (start, start + size)).collect()
            }
            Kind::Session { gap } => vec![(time, time + gap)],
            Kind::Count { .. } | Kind::Global => vec![(i64::MIN, i64::MAX)],
        }
    }

    /// Takes row number `row`.
    pub(crate) fn row(&mut self, row: u64, key: u64, timestamp: i64) {
        let time = if self.processing_time { self.now } else { timestamp };
        let mut skipped = true;
        for (start, end) in self.assign(time) {
            let (mut start, mut end) = (start, end);
            let mut merged = Contents::default();
            if let Kind::Session { .. } = self.kind {
                let touched: Vec<_> =
                    self.windows.keys().filter(|(k, s, e)| *k == key && *s <= end && start <= *e).copied().collect();
                for window in touched {
                    let contents = self.windows.remove(&window).unwrap();
                    (start, end) = (start.min(window.1), end.max(window.2));
                    merged.rows.extend(contents.rows);
                }
                merged.has_timer = last(end) > self.now;
            }
            if !self.processing_time && self.removal(end) <= self.now && !matches!(self.kind, Kind::Count { .. }) {
                assert!(merged.rows.is_empty(), "a session that is held is not late");
                continue;
            }
            skipped = false;
            let window = self.windows.entry((key, start, end)).or_default();
            window.rows.extend(merged.rows);
            window.rows.push(row);
            window.has_timer |= merged.has_timer;
            match self.kind {
                Kind::Count { n } => {
                    if window.rows.len() == n {
                        let rows = self.windows.remove(&(key, start, end)).unwrap().rows;
                        self.emitted.push((key, start, end, rows, time));
                    }
                }
                _ if !self.processing_time && last(end) <= self.now => {
                    self.emitted.push((key, start, end, window.rows.clone(), last(end)));
                }
                _ => window.has_timer = true,
            }
        }
        if skipped && !self.processing_time && timestamp.saturating_add(self.lateness) <= self.now {
            self.late.push(row);
        }
    }

    /// The watermark, or the clock, comes to `now`, or was there and rows have come.
    pub(crate) fn advance(&mut self, now: i64) {
        self.now = self.now.max(now);
        if matches!(self.kind, Kind::Count { .. }) {
            return;
        }
        // Rows may come as long as the clock shows the last millisecond, but not once the watermark has reached it.
        let reached = if self.processing_time { self.now - 1 } else { self.now };
        let mut due: Vec<_> = self.windows.keys().filter(|(_, _, end)| last(*end) <= reached).copied().collect();
        due.sort_by_key(|(_, _, end)| *end);
        for window in due {
            let (key, start, end) = window;
            let contents = self.windows.get_mut(&window).unwrap();
            if std::mem::take(&mut contents.has_timer) {
                self.emitted.push((key, start, end, contents.rows.clone(), last(end)));
            }
            if self.removal(end) <= reached && !matches!(self.kind, Kind::Global) {
                self.windows.remove(&window);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}
