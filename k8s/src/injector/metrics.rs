//! What the injector counts, and the small pages beside the webhook: `/ready`, `/live`, `/metrics`.

use std::sync::Arc;

use process_metrics::ProcessMetrics;
use prometheus::{IntCounterVec, Opts, Registry, TextEncoder};
use tokio::sync::watch;

use super::certificate::ServingCertificate;
use crate::status_pages;

/// The counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reviews: IntCounterVec,
}

impl Metrics {
    /// A fresh set.
    ///
    /// # Errors
    /// When two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let options = Opts::new(
            "postern_injector_reviews_total",
            "Admission reviews: injected, unchanged, refused, or why there was no answer",
        );
        let reviews = IntCounterVec::new(options, &["result"])?;
        registry.register(Box::new(reviews.clone()))?;
        registry.register(Box::new(ProcessMetrics::new()?))?;
        Ok(Self { registry, reviews })
    }

    /// Counts a review.
    pub(super) fn review(&self, result: &str) {
        self.reviews.with_label_values(&[result]).inc();
    }

    fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// What the pages show.
#[derive(Debug, Clone)]
pub struct InjectorPages {
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The certificate.
    pub serving: watch::Receiver<Option<Arc<ServingCertificate>>>,
    /// Whether the API server knows how to verify it.
    pub bundle_written: watch::Receiver<bool>,
}

impl status_pages::StatusPages for InjectorPages {
    fn unready(&self) -> Option<String> {
        if self.serving.borrow().is_none() {
            return Some("no certificate yet".to_owned());
        }
        let written = *self.bundle_written.borrow();
        (!written).then(|| "the CA bundle is not written yet".to_owned())
    }

    fn metrics(&self) -> String {
        self.metrics.render()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_injector_tells_what_it_costs() {
        let text = Metrics::new().unwrap().render();
        for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "threads"] {
            assert!(text.contains(&format!("\nprocess_{name} ")), "{name}: {text}");
        }
    }
}
