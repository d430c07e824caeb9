//! Buffers an operator's own metrics during a call.

use crate::backend::{Backend, MetricKind, Sample};

/// A sum that only grows, declared by [`Setup::counter`](crate::Setup::counter).
#[derive(Debug, Clone, Copy)]
pub struct Counter(usize);

/// A value that changes, declared by [`Setup::gauge`](crate::Setup::gauge).
#[derive(Debug, Clone, Copy)]
pub struct Gauge(usize);

/// The declared metrics and what changed of them in this call.
#[derive(Debug, Default)]
pub struct Metrics {
    metrics: Vec<Metric>,
    changed: bool,
}

#[derive(Debug)]
struct Metric {
    name: String,
    kind: MetricKind,
    value: Option<f64>,
}

impl Metrics {
    fn declare(&mut self, name: &str, kind: MetricKind) -> usize {
        self.metrics.push(Metric { name: name.to_string(), kind, value: None });
        self.metrics.len() - 1
    }

    pub(crate) fn counter(&mut self, name: &str) -> Counter {
        Counter(self.declare(name, MetricKind::Counter))
    }

    pub(crate) fn gauge(&mut self, name: &str) -> Gauge {
        Gauge(self.declare(name, MetricKind::Gauge))
    }

    /// Adds to a counter.
    #[inline]
    pub fn add(&mut self, counter: Counter, amount: f64) {
        if let Some(metric) = self.metrics.get_mut(counter.0) {
            metric.value = Some(metric.value.unwrap_or(0.0) + amount);
            self.changed = true;
        }
    }

    /// Sets a gauge.
    #[inline]
    pub fn set(&mut self, gauge: Gauge, value: f64) {
        if let Some(metric) = self.metrics.get_mut(gauge.0) {
            metric.value = Some(value);
            self.changed = true;
        }
    }

    pub(crate) fn flush(&mut self, backend: &mut dyn Backend) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let sample = |metric: &mut Metric| {
            Some(Sample { name: metric.name.clone(), kind: metric.kind, value: metric.value.take()? })
        };
        let samples: Vec<Sample> = self.metrics.iter_mut().filter_map(sample).collect();
        backend.report(&samples);
    }
}
