//! What a proxy with a collector does for each request.

use std::sync::Arc;

use super::context::{SpanId, TraceContext};
use super::ids::IdSource;
use super::queue::{SpanQueue, SpanSink};
use super::sampling::SamplingRate;
use super::span::FinishedSpan;

/// The tracing of one worker.
pub struct Tracer {
    sampling: SamplingRate,
    ids: IdSource,
    sink: SpanSink,
}

/// The place of a request in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JoinedTrace {
    /// What the request carries from here on, which is not what it came with.
    pub context: TraceContext,
    /// The span of the caller; `None` where the trace begins here.
    pub parent: Option<SpanId>,
}

impl Tracer {
    /// Records this share of new traces, into this queue.
    #[must_use]
    pub fn new(sampling: SamplingRate, queue: Arc<SpanQueue>) -> Self {
        Self { sampling, ids: IdSource::default(), sink: SpanSink::new(queue) }
    }

    /// Continues the trace that a request came with, or begins one. `None`: the trace is not recorded, by the decision
    /// of whoever began it, and its context is forwarded as it came.
    pub fn join(&self, incoming: Option<TraceContext>) -> Option<JoinedTrace> {
        match incoming {
            Some(caller) if !caller.is_sampled() => None,
            Some(caller) => Some(JoinedTrace {
                context: caller.child(self.ids.span()),
                parent: Some(caller.span_id),
            }),
            None => {
                let trace = self.ids.trace();
                let context =
                    TraceContext::root(trace, self.ids.span(), self.sampling.takes(trace));
                Some(JoinedTrace { context, parent: None })
            }
        }
    }

    /// Records a span that has ended.
    pub fn record(&self, span: FinishedSpan) {
        self.sink.add(span);
    }

    /// Hands on what has been recorded.
    pub fn flush(&self) {
        self.sink.flush();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use prometheus::IntCounter;

    use super::super::context::TraceId;
    use super::*;

    fn tracer(rate: &str) -> Tracer {
        let dropped = IntCounter::new("dropped", "dropped").unwrap();
        let queue = SpanQueue::new(10, 10, dropped);
        Tracer::new(SamplingRate::parse(rate).unwrap(), Arc::new(queue))
    }

    #[test]
    fn whoever_began_a_trace_decided_for_all() {
        let caller = |sampled| {
            TraceContext::root(TraceId::from_random(1, 2), SpanId::from_random(3), sampled)
        };
        for rate in ["0%", "100%"] {
            let tracer = tracer(rate);
            assert_eq!(tracer.join(Some(caller(false))), None, "{rate}");
            let joined = tracer.join(Some(caller(true))).unwrap();
            assert_eq!(joined.parent, Some(caller(true).span_id), "{rate}");
            assert_eq!(joined.context.trace_id, caller(true).trace_id, "{rate}");
            assert_ne!(joined.context.span_id, caller(true).span_id, "{rate}");
            assert!(joined.context.is_sampled(), "{rate}");
        }
    }

    #[test]
    fn a_request_without_a_trace_begins_one_by_the_rate() {
        for (rate, sampled) in [("0%", false), ("100%", true)] {
            let joined = tracer(rate).join(None).unwrap();
            assert_eq!((joined.context.is_sampled(), joined.parent), (sampled, None), "{rate}");
        }
    }
}
