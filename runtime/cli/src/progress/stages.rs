//! Decides how a breakdown by stage is shown: nanoseconds a record, a row a node.

use std::iter::once;

use wasmill_core::{graph::Role, status::StatusSnapshot};
use wasmill_engine::{NodeProgress, Progress};

use super::{Align, aligned, total};
use crate::format;

/// Nanoseconds a record that each node spent in each stage: per record that a source sent, per record that any other received. Empty
/// where a node has no such stage. Over all subtasks: at parallelism 2 a record that takes 10 ns of one of them counts 10.
pub fn stages(progress: &Progress) -> String {
    let aligns: Vec<Align> = once(Align::Left).chain([Align::Right; 11]).collect();
    let titles = ["node", "records"].into_iter().chain(StatusSnapshot::STAGES).map(str::to_string).collect();
    let rows: Vec<Vec<String>> = once(titles).chain(progress.nodes.iter().map(row)).collect();
    format!("nanoseconds per record:\n{}", aligned(&rows, &aligns))
}

fn row(node: &NodeProgress) -> Vec<String> {
    let total = total(node);
    let records = if node.role == Role::Source { total.records_out } else { total.records_in };
    let cell = |nanoseconds: u64| match nanoseconds {
        0 => String::new(),
        _ if records == 0 => "-".to_string(),
        _ => format::per_record(nanoseconds as f64 / records as f64),
    };
    [node.id.clone(), format::count(records)].into_iter().chain(total.stages().map(cell)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::progress, *};

    #[test]
    fn time_is_told_by_record() {
        let mut progress = progress();
        (progress.nodes[0].subtasks[0].source_ns, progress.nodes[0].subtasks[1].source_ns) = (50_000, 30_000);
        progress.nodes[0].subtasks[1].partition_ns = 700;
        progress.nodes[0].subtasks[1].queue_ns = 2_469_134_000;
        let count = &mut progress.nodes[1].subtasks[0];
        (count.lower_ns, count.guest_ns, count.lift_ns, count.state_ns) = (18_000, 246_000, 6_000, 9_990);
        (count.wait_ns, count.checkpoint_ns) = (1, 4);
        progress.nodes[2].subtasks[0].sink_ns = 7_000;
        let expected = "\
nanoseconds per record:
node   records  source  lower  guest  lift  state  partition   sink  checkpoint      queue  wait
lines    2,000    40.0                                  0.35                     1,234,567
count    2,000           9.00    123  3.00   5.00                          0.00             0.00
out          7                                                1,000
";
        assert_eq!(stages(&progress), expected);
        progress.nodes[2].subtasks[0].records_in = 0;
        let out = stages(&progress).lines().last().unwrap().split_whitespace().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(out, ["out", "0", "-"], "time without a record has no price");
    }
}
