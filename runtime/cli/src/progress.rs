//! Decides how a running job and a job's end are shown: a table for people, an object for programs.

mod live;
mod report;
mod stages;

use std::{collections::BTreeSet, time::Duration};

pub use live::Live;
pub use report::{Ending, OperatorMetrics, report};
pub use stages::stages;
use wasmill_core::{graph::Role, status::StatusSnapshot};
use wasmill_engine::{CheckpointProgress, NodeProgress, Progress, SplitsProgress};

use crate::format;

/// A row a node: what it did since `before`, or since the start. Rates are what a source sends and what all others
/// receive; shares are of the time of all subtasks; nodes of one chain share a subtask, and so its time.
pub fn table(now: &Progress, before: Option<&Progress>) -> String {
    let window = now.elapsed.saturating_sub(before.map_or(Duration::ZERO, |before| before.elapsed));
    let rows = now.nodes.iter().enumerate().map(|(i, node)| {
        let before = before.and_then(|before| before.nodes.get(i)).map(total).unwrap_or_default();
        row(node, before, window)
    });
    let titles = COLUMNS.map(|(title, _)| title.to_string());
    let rows: Vec<Vec<String>> = std::iter::once(titles).chain(rows).map(Vec::from).collect();
    aligned(&rows, &COLUMNS.map(|(_, align)| align))
}

/// Rows of cells, one a column, as lines in which the cells of a column stand below each other, two spaces apart.
fn aligned(rows: &[Vec<String>], columns: &[Align]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, align), width) in row.iter().zip(columns).zip(&widths) {
            match align {
                Align::Left => line.push_str(&format!("{cell:<width$}  ")),
                Align::Right => line.push_str(&format!("{cell:>width$}  ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}

const COLUMNS: [(&str, Align); 9] = [
    ("node", Align::Left),
    ("subtasks", Align::Right),
    ("records in", Align::Right),
    ("records out", Align::Right),
    ("rate", Align::Right),
    ("busy", Align::Right),
    ("idle", Align::Right),
    ("backpressured", Align::Right),
    ("watermark", Align::Left),
];

fn row(node: &NodeProgress, before: StatusSnapshot, window: Duration) -> [String; COLUMNS.len()] {
    let now = total(node);
    let since = |now: u64, before: u64| now.saturating_sub(before);
    let moved = match node.role {
        Role::Source => since(now.records_out, before.records_out),
        Role::Operator | Role::Sink => since(now.records_in, before.records_in),
    };
    let (busy, idle) = (since(now.busy_ns, before.busy_ns), since(now.idle_ns, before.idle_ns));
    let backpressured = since(now.backpressured_ns, before.backpressured_ns);
    let time = busy.saturating_add(idle).saturating_add(backpressured);
    let subtasks = node.subtasks.len();
    [
        node.id.clone(),
        if now.finished == 0 { subtasks.to_string() } else { format!("{}/{subtasks} done", now.finished) },
        if node.role == Role::Source { String::new() } else { format::count(now.records_in) },
        if node.role == Role::Sink { String::new() } else { format::count(now.records_out) },
        if window.is_zero() { String::new() } else { format::rate(moved as f64 / window.as_secs_f64()) },
        format::share(busy, time),
        format::share(idle, time),
        format::share(backpressured, time),
        format::watermark(now.watermark),
    ]
}

/// The counters of all subtasks of a node added up, with the lowest watermark.
pub fn total(node: &NodeProgress) -> StatusSnapshot {
    node.subtasks.iter().copied().reduce(StatusSnapshot::plus).unwrap_or_default()
}

/// How checkpoints and restarts fare, in one line; `None` where there is nothing to say of them yet.
pub fn checkpoints(checkpoints: &CheckpointProgress) -> Option<String> {
    let CheckpointProgress { attempt, restored, completed, failed, last, dead_letters, .. } = checkpoints;
    let mut parts = Vec::new();
    if *completed > 0 || *failed > 0 {
        parts.push(format!("{} completed", format::count(*completed)));
    }
    if *failed > 0 {
        parts.push(format!("{} failed", format::count(*failed)));
    }
    if let Some(last) = last {
        let (duration, bytes) = (format::duration(last.duration), format::bytes(last.bytes));
        parts.push(format!("the last, {}, took {duration} and wrote {bytes}", last.epoch));
    }
    if let Some(epoch) = restored {
        parts.push(format!("restored from {epoch}"));
    }
    if *attempt > 1 {
        parts.push(format!("attempt {attempt}"));
    }
    let mut lines = Vec::new();
    if !parts.is_empty() {
        lines.push(format!("checkpoints: {}", parts.join(", ")));
    }
    if *dead_letters > 0 {
        lines.push(format!("dead letters: {}", format::count(*dead_letters)));
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// Rows that operators emitted on outputs that go nowhere, a line an operator that has any.
pub fn unconnected(progress: &Progress) -> Vec<String> {
    let lines = progress.nodes.iter().map(|node| (node, total(node).records_unconnected));
    lines
        .filter(|(_, records)| *records > 0)
        .map(|(node, records)| {
            let records = format::count(records);
            format!(
                "{records} records of `{}` went nowhere: the job connects nothing to the output they are on",
                node.id
            )
        })
        .collect()
}

/// Who holds whose watermark back, a line a node: sources with splits that are idle or wait for other sources, and nodes with
/// rows of several others, each with its watermark.
pub fn held_back(progress: &Progress) -> Vec<String> {
    progress.nodes.iter().filter_map(|node| splits(node).or_else(|| inputs(node))).collect()
}

fn splits(node: &NodeProgress) -> Option<String> {
    let sum = |of: fn(&SplitsProgress) -> usize| node.splits.iter().map(of).sum::<usize>();
    let (open, idle, paused) = (sum(|of| of.open), sum(|of| of.idle), sum(|of| of.paused));
    let mut parts = Vec::new();
    if idle > 0 {
        parts.push(format!("{idle} of {open} splits idle"));
    }
    if paused > 0 {
        parts.push(format!("{paused} of {open} splits ahead of other sources, waiting"));
    }
    (!parts.is_empty()).then(|| format!("{}: {}", node.id, parts.join(", ")))
}

fn inputs(node: &NodeProgress) -> Option<String> {
    // Per input and node that sends: the lowest watermark of those channels that are not idle.
    let mut lowest: Vec<((&str, &str), Option<i64>)> = Vec::new();
    for input in node.inputs.iter().flatten() {
        for channel in &input.channels {
            let from = (input.name.as_str(), channel.from.as_str());
            let counting = (!channel.idle).then_some(channel.watermark);
            match lowest.iter_mut().find(|(of, _)| *of == from) {
                Some((_, watermark)) => *watermark = (*watermark).into_iter().chain(counting).min(),
                None => lowest.push((from, counting)),
            }
        }
    }
    let names: BTreeSet<&str> = lowest.iter().map(|((name, _), _)| *name).collect();
    let part = |((name, from), watermark): &((&str, &str), Option<i64>)| {
        let watermark = watermark.map_or("idle".to_string(), format::watermark);
        if names.len() > 1 { format!("{name} from {from} {watermark}") } else { format!("{from} {watermark}") }
    };
    let parts: Vec<String> = lowest.iter().map(part).collect();
    (parts.len() > 1).then(|| format!("{}: {}", node.id, parts.join(", ")))
}

/// Cuts every line to `width` characters, so that a narrow terminal shows a table and not a tangle.
fn clip(text: &str, width: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| line.chars().take(width).collect()).collect();
    lines.join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use wasmill_engine::{ChannelProgress, CheckpointStats, InputProgress};

    use super::*;

    pub(crate) fn snapshot(records: (u64, u64), times: (u64, u64, u64), watermark: i64) -> StatusSnapshot {
        StatusSnapshot {
            records_in: records.0,
            records_out: records.1,
            busy_ns: times.0,
            idle_ns: times.1,
            backpressured_ns: times.2,
            watermark,
            ..StatusSnapshot::default()
        }
    }

    pub(crate) fn progress() -> Progress {
        let done = StatusSnapshot { finished: 1, ..snapshot((0, 1500), (1, 1, 2), i64::MAX) };
        let node = |id: &str, role, subtasks| NodeProgress {
            id: id.to_string(),
            role,
            subtasks,
            inputs: vec![],
            splits: vec![],
        };
        Progress {
            elapsed: Duration::from_millis(2000),
            nodes: vec![
                node("lines", Role::Source, vec![done, snapshot((0, 500), (1, 3, 0), 1_700_000_000_000)]),
                node("count", Role::Operator, vec![snapshot((2000, 7), (0, 0, 0), i64::MIN)]),
                node("out", Role::Sink, vec![snapshot((7, 0), (1, 99, 0), 0)]),
            ],
            checkpoints: CheckpointProgress { attempt: 1, ..CheckpointProgress::default() },
            interleaving: None,
        }
    }

    #[test]
    fn the_table_is_aligned_and_says_what_happened() {
        let expected = "\
node   subtasks  records in  records out     rate  busy  idle  backpressured  watermark
lines  1/2 done                    2,000  1.00k/s   25%   50%            25%  2023-11-14T22:13:20.000Z
count         1       2,000            7  1.00k/s     -     -              -  -
out           1           7                3.50/s    1%   99%             0%  1970-01-01T00:00:00.000Z
";
        assert_eq!(table(&progress(), None), expected);
    }

    #[test]
    fn rates_and_shares_are_of_the_window() {
        let before = progress();
        let mut now = progress();
        now.elapsed += Duration::from_millis(500);
        now.nodes[2].subtasks[0] = snapshot((107, 0), (4, 100, 0), 0);
        let table = table(&now, Some(&before));
        let line: Vec<&str> = table.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(line, ["out", "1", "107", "200/s", "75%", "25%", "0%", "1970-01-01T00:00:00.000Z"]);
    }

    #[test]
    fn checkpoints_are_told_in_one_line() {
        let mut now = progress().checkpoints;
        assert_eq!(checkpoints(&now), None, "nothing happened yet");
        (now.completed, now.failed, now.attempt, now.restored) = (1200, 1, 3, Some(9));
        now.last = Some(CheckpointStats {
            epoch: 1209,
            duration: Duration::from_millis(34),
            bytes: 2048,
            ..CheckpointStats::default()
        });
        let line = "checkpoints: 1,200 completed, 1 failed, the last, 1209, took 34.0 ms and wrote 2.00 KiB, restored from 9, \
                    attempt 3";
        assert_eq!(checkpoints(&now).unwrap(), line);
        now.dead_letters = 5;
        assert_eq!(checkpoints(&now).unwrap(), format!("{line}; dead letters: 5"));
    }

    #[test]
    fn rows_that_go_nowhere_are_told() {
        let mut progress = progress();
        assert_eq!(unconnected(&progress), Vec::<String>::new());
        progress.nodes[1].subtasks[0].records_unconnected = 1200;
        assert!(unconnected(&progress)[0].starts_with("1,200 records of `count` went nowhere"));
    }

    #[test]
    fn who_holds_whom_back_is_told() {
        let mut progress = progress();
        assert_eq!(held_back(&progress), Vec::<String>::new());
        progress.nodes[0].splits = vec![
            SplitsProgress { open: 2, idle: 1, ..SplitsProgress::default() },
            SplitsProgress { open: 1, paused: 1, ..SplitsProgress::default() },
        ];
        let channel =
            |from: &str, watermark, idle| ChannelProgress { from: from.to_string(), subtask: 0, watermark, idle };
        let input =
            |name: &str, channels| InputProgress { name: name.to_string(), watermark: 0, idle: false, channels };
        let subtask = |watermark| {
            vec![
                input("left", vec![channel("a", watermark, false), channel("b", 5, true)]),
                input("right", vec![channel("c", i64::MIN, false)]),
            ]
        };
        progress.nodes[1].inputs = vec![subtask(2_000), subtask(1_000)];
        let union = input("in", vec![channel("a", 0, false), channel("b", i64::MAX, false)]);
        progress.nodes[2].inputs = vec![vec![union]];
        let expected = [
            "lines: 1 of 3 splits idle, 1 of 3 splits ahead of other sources, waiting",
            "count: left from a 1970-01-01T00:00:01.000Z, left from b idle, right from c -",
            "out: a 1970-01-01T00:00:00.000Z, b end",
        ];
        assert_eq!(held_back(&progress), expected);
    }

    #[test]
    fn lines_are_clipped_by_characters() {
        assert_eq!(clip("äöü\nab", 2), "äö\nab");
    }
}
