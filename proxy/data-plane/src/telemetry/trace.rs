//! Traces: which one a request belongs to, what this proxy adds to it, and the spans that wait for the collector.
//!
//! `context` reads and writes `traceparent`, `sampling` decides for new traces, [`Tracer`] does so for each request
//! of a worker, and `queue` holds finished spans until `control` has sent them. Without a collector there is no tracer:
//! the context of a request is then read for the log line alone, and forwarded as it came
//! (`docs/decisions/0851-a-proxy-without-a-collector-changes-no-trace.md`).

mod context;
mod ids;
mod queue;
mod sampling;
mod span;
mod tracer;

pub use context::{SpanId, TraceContext, TraceId};
pub use ids::IdSource;
pub use queue::{SpanBatch, SpanQueue, SpanSink};
pub use sampling::SamplingRate;
pub use span::{FinishedSpan, SpanKind};
pub use tracer::{JoinedTrace, Tracer};
