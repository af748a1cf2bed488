//! One metric as it is declared, and how its type makes it.

use prometheus::core::Collector;
use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// One metric, whole: what the page of metrics and the reference page say of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MetricDeclaration {
    /// The name, which begins with `postern_`; that of a counter ends with `_total`.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`: the word of the text format.
    pub kind: &'static str,
    /// Names of labels, in the order in which values are given. Their values are bounded enums or capped names.
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram's buckets; empty for other kinds.
    pub buckets: &'static [f64],
    /// What it counts or says: the `HELP` line.
    pub help: &'static str,
    /// When its value changes.
    pub changes: &'static str,
}

impl MetricDeclaration {
    fn options(&self) -> Opts {
        Opts::new(self.name, self.help)
    }
}

/// A type of metric.
pub(super) trait MetricKind: Collector + Clone + Sized + 'static {
    /// The word of the text format.
    const KIND: &'static str;

    /// Makes the metric, at zero and in no registry yet.
    fn make(declaration: &MetricDeclaration) -> prometheus::Result<Self>;

    /// Makes the metric and registers it.
    fn registered(
        registry: &Registry,
        declaration: &MetricDeclaration,
    ) -> prometheus::Result<Self> {
        let metric = Self::make(declaration)?;
        registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

impl MetricKind for IntCounter {
    const KIND: &'static str = "counter";

    fn make(declaration: &MetricDeclaration) -> prometheus::Result<Self> {
        Self::with_opts(declaration.options())
    }
}

impl MetricKind for IntCounterVec {
    const KIND: &'static str = "counter";

    fn make(declaration: &MetricDeclaration) -> prometheus::Result<Self> {
        Self::new(declaration.options(), declaration.labels)
    }
}

impl MetricKind for Gauge {
    const KIND: &'static str = "gauge";

    fn make(declaration: &MetricDeclaration) -> prometheus::Result<Self> {
        Self::with_opts(declaration.options())
    }
}

impl MetricKind for IntGauge {
    const KIND: &'static str = "gauge";

    fn make(declaration: &MetricDeclaration) -> prometheus::Result<Self> {
        Self::with_opts(declaration.options())
    }
}

impl MetricKind for IntGaugeVec {
    const KIND: &'static str = "gauge";

    fn make(declaration: &MetricDeclaration) -> prometheus::Result<Self> {
        Self::new(declaration.options(), declaration.labels)
    }
}

impl MetricKind for HistogramVec {
    const KIND: &'static str = "histogram";

    fn make(declaration: &MetricDeclaration) -> prometheus::Result<Self> {
        let options = HistogramOpts::from(declaration.options());
        Self::new(options.buckets(declaration.buckets.to_vec()), declaration.labels)
    }
}
