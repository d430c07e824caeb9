//! Holds the object that `wasmill run --json` prints.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use wasmill_core::{
    graph::Role,
    status::StatusSnapshot,
    time::{END_OF_TIME, NO_WATERMARK},
};
use wasmill_engine::{
    ChannelProgress, CheckpointProgress, CheckpointStats, InputProgress, NodeProgress, Progress, SplitsProgress,
};
use wasmill_host::{MetricKind, MetricSample, Metrics};

use super::total;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Its bounded input is through and its result committed.
    Finished,
    /// It had finished in an earlier run.
    AlreadyFinished,
    /// It was stopped at a barrier and can go on from there.
    Stopped,
    /// It was interrupted; nothing was committed since the last checkpoint.
    Cancelled,
    /// It failed with this message.
    Failed(String),
}

/// What the operators of a job report of themselves, by their id.
pub type OperatorMetrics = BTreeMap<String, Metrics>;

/// The report on a job: its checkpoints, counters a node and a subtask, the operators' own metrics, and where the results are (sink's id,
/// target). Times are in nanoseconds but for `duration_ms`; watermarks in milliseconds since the Unix epoch, null before
/// the first. How far they lag is told by `now`, milliseconds since the Unix epoch.
pub fn report(
    job: &str,
    ending: &Ending,
    progress: &Progress,
    now: i64,
    metrics: &OperatorMetrics,
    targets: &[(String, String)],
) -> Value {
    let (outcome, error) = match ending {
        Ending::Finished | Ending::AlreadyFinished => ("finished", Value::Null),
        Ending::Stopped => ("stopped", Value::Null),
        Ending::Cancelled => ("cancelled", Value::Null),
        Ending::Failed(message) => ("failed", json!(message)),
    };
    json!({
        "job": job,
        "outcome": outcome,
        "error": error,
        "already_finished": *ending == Ending::AlreadyFinished,
        "duration_ms": milliseconds(progress.elapsed),
        "interleaving": progress.interleaving.map(|digest| format!("{digest:016x}")),
        "checkpoints": checkpoints(&progress.checkpoints),
        "nodes": progress.nodes.iter().map(|of| node(of, now)).collect::<Vec<_>>(),
        "metrics": metrics.iter().flat_map(|(operator, metrics)| samples(operator, metrics)).collect::<Vec<_>>(),
        "targets": targets.iter().map(|(sink, target)| json!({ "sink": sink, "target": target })).collect::<Vec<_>>(),
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn checkpoints(progress: &CheckpointProgress) -> Value {
    let last = |last: CheckpointStats| {
        json!({
            "epoch": last.epoch,
            "duration_ms": milliseconds(last.duration),
            "acknowledged_ms": milliseconds(last.acknowledged),
            "entries": last.entries,
            "bytes": last.bytes,
        })
    };
    json!({
        "attempt": progress.attempt,
        "restored": progress.restored,
        "completed": progress.completed,
        "failed": progress.failed,
        "last": progress.last.map(last),
        "pauses_us": pauses(&progress.pauses),
        "dead_letters": progress.dead_letters,
        "last_failure": progress.last_failure,
        "warnings": progress.warnings,
    })
}

/// Quantiles of how long records waited for checkpoints; null where none did.
fn pauses(pauses: &[u32]) -> Value {
    let mut sorted = pauses.to_vec();
    sorted.sort_unstable();
    let Some(max) = sorted.last() else { return Value::Null };
    // The least value that at least this share of all does not exceed.
    let quantile = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
    json!({ "count": sorted.len(), "p50": quantile(50), "p99": quantile(99), "max": max })
}

fn samples(operator: &str, metrics: &Metrics) -> Vec<Value> {
    let kind = |kind| match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
    };
    let sample = |sample: MetricSample| {
        let MetricSample { name, subtask, kind: of, value } = sample;
        json!({ "operator": operator, "subtask": subtask, "name": name, "kind": kind(of), "value": value })
    };
    metrics.samples().into_iter().map(sample).collect()
}

fn node(node: &NodeProgress, now: i64) -> Value {
    let total = total(node);
    let role = match node.role {
        Role::Source => "source",
        Role::Operator => "operator",
        Role::Sink => "sink",
    };
    let subtasks = node.subtasks.iter().enumerate().map(|(index, status)| {
        let mut object = subtask(status, now);
        if let Some(inputs) = node.inputs.get(index).filter(|inputs| !inputs.is_empty()) {
            object["inputs"] = inputs.iter().map(|of| input(of, now)).collect();
        }
        if let Some(of) = node.splits.get(index) {
            object["splits"] = splits(of);
        }
        object
    });
    json!({
        "id": node.id,
        "role": role,
        "parallelism": node.subtasks.len(),
        "records_in": total.records_in,
        "records_out": total.records_out,
        "stages": stages(&total),
        "subtasks": subtasks.collect::<Vec<_>>(),
    })
}

/// Nanoseconds in each stage, those of all subtasks added up.
fn stages(total: &StatusSnapshot) -> Value {
    let stages = StatusSnapshot::STAGES.iter().zip(total.stages());
    stages.map(|(name, nanoseconds)| (format!("{name}_ns"), json!(nanoseconds))).collect()
}

fn subtask(status: &StatusSnapshot, now: i64) -> Value {
    json!({
        "records_in": status.records_in,
        "records_out": status.records_out,
        "records_unconnected": status.records_unconnected,
        "batches_in": status.batches_in,
        "bytes_in": status.bytes_in,
        "bytes_out": status.bytes_out,
        "busy_ns": status.busy_ns,
        "idle_ns": status.idle_ns,
        "backpressured_ns": status.backpressured_ns,
        "operator_ns": status.operator_ns,
        "watermark": watermark(status.watermark),
        "watermark_lag_ms": lag(status.watermark, now),
        "finished": status.finished != 0,
    })
}

fn input(input: &InputProgress, now: i64) -> Value {
    let channel = |channel: &ChannelProgress| {
        json!({
            "from": channel.from,
            "subtask": channel.subtask,
            "watermark": watermark(channel.watermark),
            "idle": channel.idle,
        })
    };
    json!({
        "name": input.name,
        "watermark": watermark(input.watermark),
        "watermark_lag_ms": lag(input.watermark, now),
        "idle": input.idle,
        "channels": input.channels.iter().map(channel).collect::<Vec<_>>(),
    })
}

fn splits(splits: &SplitsProgress) -> Value {
    let slowest = splits.slowest.as_ref().map(|(id, of)| json!({ "id": id, "watermark": watermark(*of) }));
    json!({ "open": splits.open, "idle": splits.idle, "paused": splits.paused, "slowest": slowest })
}

fn watermark(watermark: i64) -> Option<i64> {
    (watermark != NO_WATERMARK).then_some(watermark)
}

/// How far a watermark is behind the clock, milliseconds; nothing before the first and after the end.
fn lag(watermark: i64, now: i64) -> Option<i64> {
    (watermark != NO_WATERMARK && watermark != END_OF_TIME).then(|| now.saturating_sub(watermark))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::progress, *};

    const NOW: i64 = 1_700_000_000_700;

    #[test]
    fn the_report_adds_up() {
        let targets = [("out".to_string(), "counts.csv".to_string())];
        let report = report("words", &Ending::Finished, &progress(), NOW, &OperatorMetrics::new(), &targets);
        assert_eq!(report["outcome"], "finished");
        assert_eq!(report["error"], Value::Null);
        assert_eq!(report["duration_ms"], 2000);
        assert_eq!(report["nodes"][0]["records_out"], 2000);
        assert_eq!(report["nodes"][0]["subtasks"][1]["records_out"], 500);
        assert_eq!(report["nodes"][0]["subtasks"][0]["finished"], true);
        assert_eq!(report["nodes"][1]["subtasks"][0]["watermark"], Value::Null);
        assert_eq!(report["nodes"][2]["role"], "sink");
        assert_eq!(report["targets"][0]["target"], "counts.csv");
    }

    #[test]
    fn inputs_and_splits_say_who_holds_whom_back() {
        let mut progress = progress();
        progress.nodes[1].inputs = vec![vec![InputProgress {
            name: "left".to_string(),
            watermark: 1_700_000_000_000,
            idle: false,
            channels: vec![ChannelProgress { from: "lines".to_string(), subtask: 1, watermark: i64::MIN, idle: true }],
        }]];
        progress.nodes[0].splits = vec![
            SplitsProgress { open: 3, idle: 1, paused: 2, slowest: Some(("a.json".to_string(), 7)) },
            SplitsProgress::default(),
        ];
        let report = report("words", &Ending::Cancelled, &progress, NOW, &OperatorMetrics::new(), &[]);
        let input = json!([{
            "name": "left", "watermark": 1_700_000_000_000_i64, "watermark_lag_ms": 700, "idle": false,
            "channels": [{ "from": "lines", "subtask": 1, "watermark": null, "idle": true }],
        }]);
        assert_eq!(report["nodes"][1]["subtasks"][0]["inputs"], input);
        let lines = &report["nodes"][0]["subtasks"];
        let slowest = json!({ "id": "a.json", "watermark": 7 });
        assert_eq!(lines[0]["splits"], json!({ "open": 3, "idle": 1, "paused": 2, "slowest": slowest }));
        assert_eq!(lines[1]["splits"], json!({ "open": 0, "idle": 0, "paused": 0, "slowest": null }));
        assert_eq!((&lines[0]["watermark_lag_ms"], &lines[1]["watermark_lag_ms"]), (&Value::Null, &json!(700)));
    }

    #[test]
    fn stages_are_those_of_all_subtasks() {
        let mut progress = progress();
        let lines = &mut progress.nodes[0].subtasks;
        (lines[0].source_ns, lines[1].source_ns, lines[1].partition_ns) = (40, 2, 7);
        let report = report("words", &Ending::Finished, &progress, NOW, &OperatorMetrics::new(), &[]);
        let expected = json!({
            "source_ns": 42, "lower_ns": 0, "guest_ns": 0, "lift_ns": 0, "state_ns": 0, "partition_ns": 7, "sink_ns": 0,
            "checkpoint_ns": 0, "queue_ns": 0, "wait_ns": 0,
        });
        assert_eq!(report["nodes"][0]["stages"], expected);
    }

    #[test]
    fn checkpoints_are_in_the_report() {
        let mut progress = progress();
        let fresh = report("words", &Ending::AlreadyFinished, &progress, NOW, &OperatorMetrics::new(), &[]);
        assert_eq!((&fresh["outcome"], &fresh["already_finished"]), (&json!("finished"), &json!(true)));
        let nothing = json!({
            "attempt": 1, "restored": null, "completed": 0, "failed": 0, "last": null, "pauses_us": null,
            "dead_letters": 0, "last_failure": null, "warnings": [],
        });
        assert_eq!(fresh["checkpoints"], nothing);
        progress.checkpoints.pauses = (1..=200).rev().collect();
        progress.checkpoints.last = Some(CheckpointStats {
            epoch: 7,
            duration: Duration::from_micros(12_900),
            acknowledged: Duration::from_millis(3),
            entries: 5,
            bytes: 80,
        });
        let stopped = report("words", &Ending::Stopped, &progress, NOW, &OperatorMetrics::new(), &[]);
        assert_eq!((&stopped["outcome"], &stopped["already_finished"]), (&json!("stopped"), &json!(false)));
        let checkpoints = &stopped["checkpoints"];
        assert_eq!(checkpoints["pauses_us"], json!({ "count": 200, "p50": 100, "p99": 198, "max": 200 }));
        let last = json!({ "epoch": 7, "duration_ms": 12, "acknowledged_ms": 3, "entries": 5, "bytes": 80 });
        assert_eq!(checkpoints["last"], last);
    }

    #[test]
    fn a_failure_says_why() {
        let report =
            report("words", &Ending::Failed("it trapped".to_string()), &progress(), NOW, &OperatorMetrics::new(), &[]);
        assert_eq!((&report["outcome"], &report["error"]), (&json!("failed"), &json!("it trapped")));
    }
}
