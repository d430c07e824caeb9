//! Holds the object that `wasmill run --json` prints.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use wasmill_core::{graph::Role, status::StatusSnapshot, time::NO_WATERMARK};
use wasmill_engine::{CheckpointProgress, CheckpointStats, NodeProgress, Progress};
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
/// the first.
pub fn report(
    job: &str,
    ending: &Ending,
    progress: &Progress,
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
        "checkpoints": checkpoints(&progress.checkpoints),
        "nodes": progress.nodes.iter().map(node).collect::<Vec<_>>(),
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

fn node(node: &NodeProgress) -> Value {
    let total = total(node);
    let role = match node.role {
        Role::Source => "source",
        Role::Operator => "operator",
        Role::Sink => "sink",
    };
    json!({
        "id": node.id,
        "role": role,
        "parallelism": node.subtasks.len(),
        "records_in": total.records_in,
        "records_out": total.records_out,
        "subtasks": node.subtasks.iter().map(subtask).collect::<Vec<_>>(),
    })
}

fn subtask(status: &StatusSnapshot) -> Value {
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
        "watermark": (status.watermark != NO_WATERMARK).then_some(status.watermark),
        "finished": status.finished != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tests::progress, *};

    #[test]
    fn the_report_adds_up() {
        let targets = [("out".to_string(), "counts.csv".to_string())];
        let report = report("words", &Ending::Finished, &progress(), &OperatorMetrics::new(), &targets);
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
    fn checkpoints_are_in_the_report() {
        let mut progress = progress();
        let fresh = report("words", &Ending::AlreadyFinished, &progress, &OperatorMetrics::new(), &[]);
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
        let stopped = report("words", &Ending::Stopped, &progress, &OperatorMetrics::new(), &[]);
        assert_eq!((&stopped["outcome"], &stopped["already_finished"]), (&json!("stopped"), &json!(false)));
        let checkpoints = &stopped["checkpoints"];
        assert_eq!(checkpoints["pauses_us"], json!({ "count": 200, "p50": 100, "p99": 198, "max": 200 }));
        let last = json!({ "epoch": 7, "duration_ms": 12, "acknowledged_ms": 3, "entries": 5, "bytes": 80 });
        assert_eq!(checkpoints["last"], last);
    }

    #[test]
    fn a_failure_says_why() {
        let report =
            report("words", &Ending::Failed("it trapped".to_string()), &progress(), &OperatorMetrics::new(), &[]);
        assert_eq!((&report["outcome"], &report["error"]), (&json!("failed"), &json!("it trapped")));
    }
}
