//! Holds the object that `wasmill run --json` prints.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wasmill_core::{graph::Role, status::StatusSnapshot, time::NO_WATERMARK};
use wasmill_engine::{NodeProgress, Progress};
use wasmill_host::{MetricKind, MetricSample, Metrics};

use super::total;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Its bounded input is through and its result committed.
    Finished,
    /// It was interrupted; nothing was committed.
    Cancelled,
    /// It failed with this message.
    Failed(String),
}

/// What the operators of a job report of themselves, by their id.
pub type OperatorMetrics = BTreeMap<String, Metrics>;

/// The report on a job: counters a node and a subtask, the operators' own metrics, and where the results are (sink's id,
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
        Ending::Finished => ("finished", Value::Null),
        Ending::Cancelled => ("cancelled", Value::Null),
        Ending::Failed(message) => ("failed", json!(message)),
    };
    json!({
        "job": job,
        "outcome": outcome,
        "error": error,
        "duration_ms": u64::try_from(progress.elapsed.as_millis()).unwrap_or(u64::MAX),
        "nodes": progress.nodes.iter().map(node).collect::<Vec<_>>(),
        "metrics": metrics.iter().flat_map(|(operator, metrics)| samples(operator, metrics)).collect::<Vec<_>>(),
        "targets": targets.iter().map(|(sink, target)| json!({ "sink": sink, "target": target })).collect::<Vec<_>>(),
    })
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
    fn a_failure_says_why() {
        let report =
            report("words", &Ending::Failed("it trapped".to_string()), &progress(), &OperatorMetrics::new(), &[]);
        assert_eq!((&report["outcome"], &report["error"]), (&json!("failed"), &json!("it trapped")));
    }
}
