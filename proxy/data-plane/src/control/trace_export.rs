//! Sends finished spans to the collector, in a thread of its own, so that neither traffic nor certificates and policy
//! wait for it.
//!
//! While the collector is away nothing changes for requests: spans wait in the queue, the oldest are dropped and
//! counted, and the collector is tried again ever more seldom. `collector` connects, `otlp` writes the messages.

mod collector;
mod otlp;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use back_off::{BackOff, spread};
use tokio::sync::watch;

use crate::control::config::Config;
use crate::telemetry::trace::SpanQueue;
use crate::traffic::state::ProxyState;
use collector::{Collector, ExportError};
use otlp::SpanWriter;

/// The messages of OTLP, compiled from `proto/otlp-trace.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub(crate) mod proto {
    tonic::include_proto!("opentelemetry.proto.collector.trace.v1");
}

/// The first wait after a batch that could not be sent, doubled each time.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest wait.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How long the end of the process waits for the collector to take what is left.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The thread that sends spans, and the way to end it.
pub(super) struct TraceExport {
    ended: watch::Sender<bool>,
    done: Receiver<()>,
}

impl TraceExport {
    /// Starts the thread, where a collector is configured.
    ///
    /// # Errors
    /// The system's, when no thread can be had.
    pub(super) fn start(
        state: &Arc<ProxyState>,
        config: &Arc<Config>,
    ) -> std::io::Result<Option<Self>> {
        let Some((tracing, queue)) = config.tracing.clone().zip(state.spans.clone()) else {
            return Ok(None);
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (ended, end) = watch::channel(false);
        let (alive, done) = sync_channel(1);
        let sender = Sender {
            writer: SpanWriter::new(config),
            collector: Collector::new(state.clone(), tracing),
            queue,
            state: state.clone(),
            back_off: BackOff::new(RETRY_MIN, RETRY_MAX),
            logged: String::new(),
        };
        std::thread::Builder::new().name("traces".into()).spawn(move || {
            runtime.block_on(sender.run(end));
            drop(alive);
        })?;
        Ok(Some(Self { ended, done }))
    }

    /// Ends the thread when the collector has taken what is left, or after a second. What is lost then is counted, and
    /// nobody reads the count any more.
    pub(super) fn finish(self) {
        self.ended.send_replace(true);
        // Never sent to: it disconnects when the thread is done.
        let _ = self.done.recv_timeout(LAST_WORDS);
    }
}

/// Sends one batch after the other.
struct Sender {
    writer: SpanWriter,
    collector: Collector,
    queue: Arc<SpanQueue>,
    state: Arc<ProxyState>,
    back_off: BackOff,
    /// The failure that was logged last: each is logged once.
    logged: String,
}

impl Sender {
    async fn run(mut self, mut end: watch::Receiver<bool>) {
        let delay = self.state.settings.limits.trace_delay;
        let work = async {
            loop {
                // Less than a batch waits until the delay has passed.
                let _ = tokio::time::timeout(delay, self.queue.filled()).await;
                self.send_waiting().await;
            }
        };
        tokio::select! {
            () = work => {}
            _ = end.wait_for(|ended| *ended) => {}
        }
        self.send_rest().await;
    }

    /// Sends what waits, until less than a batch is left, which has come meanwhile.
    async fn send_waiting(&mut self) {
        loop {
            if !self.send_batch().await {
                let wait = spread(self.back_off.next_wait(), 0.5..=1.0, chance());
                tokio::time::sleep(wait).await;
            } else if !self.queue.has_batch() {
                return;
            }
        }
    }

    /// At the end of the process there is no further chance.
    async fn send_rest(&mut self) {
        while !self.queue.is_empty() && self.send_batch().await {}
    }

    /// Sends the oldest batch; `false` where it could not be sent, and waits again.
    async fn send_batch(&mut self) -> bool {
        let batch = self.queue.take_batch();
        if batch.is_empty() {
            return true;
        }
        match self.collector.export(self.writer.request(&batch)).await {
            Ok(rejected) => {
                self.is_up();
                self.state.metrics.trace_spans_exported.inc_by(batch.taken(rejected));
            }
            Err(ExportError::Refused(error)) => {
                self.is_up();
                self.log(&error, "the collector refuses spans, which are dropped");
                batch.refused();
            }
            Err(ExportError::Away(error)) => {
                self.state.metrics.trace_collector_up.set(0);
                self.log(
                    &error,
                    "the collector takes no spans; when the queue is full, the oldest are dropped",
                );
                return false;
            }
        }
        true
    }

    fn is_up(&mut self) {
        self.back_off.reset();
        if self.state.metrics.trace_collector_up.get() == 0 {
            self.state.metrics.trace_collector_up.set(1);
            self.logged.clear();
            tracing::info!("the collector takes spans");
        }
    }

    fn log(&mut self, error: &anyhow::Error, what: &'static str) {
        let reason = format!("{error:#}");
        if self.logged != reason {
            tracing::warn!(reason, "{what}");
            self.logged = reason;
        }
    }
}

/// A fraction from 0 to 1, without a random number generator in the proxy.
fn chance() -> f64 {
    let random = RandomState::new().hash_one(0u8) % 1000;
    f64::from(u32::try_from(random).unwrap_or(0)) / 1000.0
}
