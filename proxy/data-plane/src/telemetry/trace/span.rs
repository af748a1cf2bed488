//! A span that has ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, Version};

use super::context::{SpanId, TraceContext};

/// Which side of a request a span is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that our app is to answer (inbound).
    Server,
    /// A request that our app has made (outbound).
    Client,
}

/// What one proxy did for one request. It holds what the log line of the request holds, and no more: never a query, a
/// header or a body.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedSpan {
    /// Towards our app, or from it.
    pub kind: SpanKind,
    /// The trace, and the span's own id.
    pub context: TraceContext,
    /// The span that caused it; `None` where it began the trace.
    pub parent: Option<SpanId>,
    /// `tracestate`, as it came, where it is short enough to be kept.
    pub trace_state: Option<Box<str>>,
    /// When the head of the request was there.
    pub start: SystemTime,
    /// From then to the end of the answer.
    pub took: Duration,
    /// The method.
    pub method: Method,
    /// The name of the route that was matched, of those that an operator wrote: few, and never text of a caller.
    pub route: Option<Arc<str>>,
    /// The host that was asked for, without its port; `None` where the request was refused before it was known.
    pub host: Option<Box<str>>,
    /// The port that was asked for.
    pub port: Option<u16>,
    /// The path, canonical and without the query, cut where it is long.
    pub path: Option<Box<str>>,
    /// The HTTP version that the client spoke.
    pub version: Version,
    /// The status of the answer; 499 for a client that left before there was one.
    pub status: u16,
    /// The stable reason, `ok` where nothing went wrong.
    pub reason: &'static str,
    /// Status of gRPC, out of the trailers.
    pub grpc_status: Option<Box<str>>,
    /// How many times it was sent again.
    pub resends: u32,
    /// Where it was sent, where that was a choice.
    pub upstream: Option<SocketAddr>,
    /// Who called, `none` when nobody proved it.
    pub source_principal: Arc<str>,
    /// Who was called.
    pub destination_principal: Arc<str>,
    /// The service that was called.
    pub destination_service: Arc<str>,
}

impl FinishedSpan {
    /// Whether it ended in an error, by the rules of the HTTP conventions: 5xx on both sides, 4xx for the caller, and
    /// whatever else went wrong, such as an answer that was cut off.
    #[must_use]
    pub fn is_error(&self) -> bool {
        let status = match self.kind {
            SpanKind::Server => self.status >= 500,
            SpanKind::Client => self.status >= 400,
        };
        // The refusals of our own are answers like those of an app. The 499 of a client that is gone is none.
        let is_refusal = (400..499).contains(&self.status);
        status || (self.reason != "ok" && !is_refusal)
    }
}
