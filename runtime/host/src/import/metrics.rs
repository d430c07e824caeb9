//! Keeps the metrics that operators report.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{bindings::wasmill::operator::metrics, guest::Guest};

/// Names an operator may use.
const NAME_LIMIT: usize = 100;

/// Bytes of a name.
const NAME_BYTES: usize = 100;

/// How samples of one name add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Values are added.
    Counter,
    /// The last value counts.
    Gauge,
}

/// The present value of one metric in one subtask.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSample {
    /// The name the operator gave.
    pub name: String,
    /// Which subtask reported it.
    pub subtask: u32,
    /// How samples add up.
    pub kind: MetricKind,
    /// The sum or the last value; finite.
    pub value: f64,
}

/// What the instances of one operator reported. Cheap to clone; clones share the values.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<BTreeMap<String, Metric>>>);

#[derive(Debug)]
struct Metric {
    kind: MetricKind,
    values: BTreeMap<u32, f64>,
}

impl Metrics {
    /// The present values, by name and subtask.
    pub fn samples(&self) -> Vec<MetricSample> {
        let metrics = self.lock();
        let of_metric = |(name, metric): (&String, &Metric)| {
            let (name, kind) = (name.clone(), metric.kind);
            let sample = move |(&subtask, &value)| MetricSample { name: name.clone(), subtask, kind, value };
            metric.values.iter().map(sample).collect::<Vec<_>>()
        };
        metrics.iter().flat_map(of_metric).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Metric>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one sample, or says why not.
    fn report(&self, subtask: u32, name: &str, kind: MetricKind, value: f64) -> Result<(), &'static str> {
        if !is_name(name) {
            return Err("its name is not of 1 to 100 lower-case letters, digits and underscores");
        }
        if !value.is_finite() {
            return Err("its value is not finite");
        }
        let mut metrics = self.lock();
        if !metrics.contains_key(name) {
            if metrics.len() >= NAME_LIMIT {
                return Err("the operator has 100 metrics already");
            }
            metrics.insert(name.to_string(), Metric { kind, values: BTreeMap::new() });
        }
        let Some(metric) = metrics.get_mut(name).filter(|metric| metric.kind == kind) else {
            return Err("it was a counter before and is a gauge now, or the other way round");
        };
        let present = metric.values.entry(subtask).or_default();
        *present = match kind {
            // A sum that is no longer finite stays where it was.
            MetricKind::Counter => Some(*present + value).filter(|sum| sum.is_finite()).unwrap_or(*present),
            MetricKind::Gauge => value,
        };
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(letter)
}

/// One instance's way to the metrics of its operator.
pub(crate) struct Reporter {
    metrics: Metrics,
    subtask: u32,
    warned: bool,
}

impl Reporter {
    pub(crate) fn new(metrics: Metrics, subtask: u32) -> Reporter {
        Reporter { metrics, subtask, warned: false }
    }
}

impl metrics::Host for Guest {
    fn report(&mut self, samples: Vec<metrics::Sample>) -> wasmtime::Result<()> {
        let Some(reporter) = &mut self.metrics else { return Ok(()) };
        for sample in samples {
            let kind = match sample.kind {
                metrics::Kind::Counter => MetricKind::Counter,
                metrics::Kind::Gauge => MetricKind::Gauge,
            };
            let reported = reporter.metrics.report(reporter.subtask, &sample.name, kind, sample.value);
            if let Err(why) = reported
                && !std::mem::replace(&mut reporter.warned, true)
            {
                let name: String = sample.name.chars().take(NAME_BYTES).collect();
                self.log.warn(&format!("the metric {name:?} is refused: {why}; further refusals are not reported"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_and_gauges_replace_by_subtask() {
        let metrics = Metrics::default();
        for (subtask, value) in [(0, 2.0), (0, 3.0), (1, 10.0)] {
            metrics.report(subtask, "rows", MetricKind::Counter, value).unwrap();
            metrics.report(subtask, "depth", MetricKind::Gauge, value).unwrap();
        }
        let sample = |name: &str, subtask, kind, value| MetricSample { name: name.to_string(), subtask, kind, value };
        let expected = [
            sample("depth", 0, MetricKind::Gauge, 3.0),
            sample("depth", 1, MetricKind::Gauge, 10.0),
            sample("rows", 0, MetricKind::Counter, 5.0),
            sample("rows", 1, MetricKind::Counter, 10.0),
        ];
        assert_eq!(metrics.samples(), expected);
    }

    #[test]
    fn names_and_values_are_bounded() {
        let metrics = Metrics::default();
        for name in ["", "Rows", "a-b", "naïve", &"a".repeat(101)] {
            assert!(metrics.report(0, name, MetricKind::Gauge, 1.0).is_err(), "{name}");
        }
        assert!(metrics.report(0, "a", MetricKind::Gauge, f64::NAN).is_err());
        for i in 0..100 {
            metrics.report(0, &format!("m{i}"), MetricKind::Gauge, 1.0).unwrap();
        }
        assert!(metrics.report(0, "one_more", MetricKind::Gauge, 1.0).is_err());
        assert!(metrics.report(0, "m7", MetricKind::Counter, 1.0).is_err());
        assert_eq!(metrics.samples().len(), 100);
    }
}
