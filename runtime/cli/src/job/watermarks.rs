//! Reads how a source's watermarks are made from its `event-time` table, and tells what in it does not fit together.

use std::{sync::Arc, time::Duration};

use wasmill_core::{SourceFactory, time::WatermarkStrategy};
use wasmill_engine::{SourceSpec, WatermarkAlignment};

use super::{problem::Findings, section::Section, suggest::quote};

/// How a source's watermarks are made.
pub(super) struct Watermarks {
    strategy: WatermarkStrategy,
    rows: usize,
    idle_after: Option<Duration>,
    alignment: Option<WatermarkAlignment>,
}

impl Watermarks {
    /// Those of an `event-time` table; `has` tells whether the source has one. Rows are known to be out of order by `disorder`, if
    /// the table does not say by how much.
    pub(super) fn read(time: &Section, has: bool, disorder: Duration, findings: &mut Findings) -> Watermarks {
        let written = time.choice("watermarks").unwrap_or("bounded");
        let bound = time.duration("max-out-of-orderness").unwrap_or(disorder);
        let strategy = match written {
            "monotonic" => WatermarkStrategy::Monotonic,
            "from-record" => WatermarkStrategy::FromRecord,
            "none" => WatermarkStrategy::None,
            _ => WatermarkStrategy::Bounded { bound: i64::try_from(bound.as_millis()).unwrap_or(i64::MAX) },
        };
        if has {
            check(time, written, findings);
        }
        let max_drift = time.duration("max-drift");
        let group = || time.text("alignment-group").unwrap_or_default();
        Watermarks {
            strategy,
            rows: time.integer("watermark-rows").and_then(|rows| usize::try_from(rows).ok()).unwrap_or(1),
            idle_after: time.duration("idle-after"),
            alignment: max_drift.map(|max_drift| WatermarkAlignment { group: group(), max_drift }),
        }
    }

    /// Whether there are any before the end of the input.
    pub(super) fn are_any(&self) -> bool {
        self.strategy != WatermarkStrategy::None
    }

    /// A source with these watermarks.
    pub(super) fn of(self, factory: Arc<dyn SourceFactory>) -> SourceSpec {
        let Watermarks { strategy, rows, idle_after, alignment } = self;
        SourceSpec { factory, strategy, watermark_rows: rows, idle_after, alignment }
    }
}

/// Keys that mean nothing beside the others, and those that are missing.
fn check(time: &Section, watermarks: &str, findings: &mut Findings) {
    let meaningless = [
        ("max-out-of-orderness", &["bounded"][..]),
        ("watermark-field", &["from-record"]),
        ("watermark-rows", &["bounded", "monotonic"]),
    ];
    for (key, of) in meaningless {
        if let Some(setting) = time.get(key).filter(|_| !of.contains(&watermarks)) {
            let message = format!("{} means nothing with watermarks {}", quote(key), quote(watermarks));
            let hint = format!("remove it, or set `watermarks = \"{}\"`", of[0]);
            findings.error(&setting.key, message, hint);
        }
    }
    if watermarks == "from-record" && !time.has("watermark-field") {
        let message = "watermarks are taken from rows, but it is not said where they stand in a row";
        findings.error(time.at("watermarks"), message, "add `watermark-field = \"/watermark\"`");
    }
    if let Some(setting) = time.get("max-drift").filter(|_| watermarks == "none") {
        let message = "`max-drift` needs watermarks: the other sources of the group would wait for the end of this one";
        findings.error(&setting.key, message, "remove it, or let the source have `watermarks`");
    }
    if let Some(setting) = time.get("alignment-group").filter(|_| !time.has("max-drift")) {
        let hint = "add `max-drift = \"10m\"`, or remove it";
        findings.error(&setting.key, "`alignment-group` means nothing without `max-drift`", hint);
    }
}
