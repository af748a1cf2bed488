//! What a record knows of the trace of its request, and the span that it leaves behind.

use std::time::{Duration, SystemTime};

use http::Version;
use http::header::HeaderMap;
use policy::HostName;

use super::RequestRecord;
use crate::http::trace_headers::{set_trace_context, trace_context, trace_state};
use crate::labels::Direction;
use crate::telemetry::log_line::LogLine;
use crate::telemetry::trace::{FinishedSpan, JoinedTrace, SpanKind, TraceId};

/// Characters of a path that a span keeps.
const MOST_PATH: usize = 1024;
/// Characters of a status of gRPC, which is a number that the app writes.
const MOST_GRPC_STATUS: usize = 8;

/// The trace of a request; empty where it came without one and nobody collects spans.
#[derive(Default)]
pub(super) struct RequestTrace {
    id: Option<TraceId>,
    /// What this proxy does in it, where there is a collector.
    joined: Option<Box<OpenSpan>>,
}

struct OpenSpan {
    trace: JoinedTrace,
    trace_state: Option<Box<str>>,
    version: Version,
    /// The host that was asked for, without its port.
    host: Option<Box<str>>,
    port: Option<u16>,
    resends: u32,
}

impl RequestTrace {
    /// The request is sent once more.
    pub(super) fn resent(&mut self) {
        if let Some(span) = &mut self.joined {
            span.resends = span.resends.saturating_add(1);
        }
    }

    pub(super) fn write(&self, line: &mut LogLine<'_>) {
        if let Some(id) = &self.id {
            line.hexadecimal("trace_id", id.bytes());
        }
        if let Some(span) = self.joined.as_ref().filter(|span| span.trace.context.is_sampled()) {
            line.hexadecimal("span_id", span.trace.context.span_id.bytes());
        }
    }
}

impl RequestRecord {
    /// Finds the trace of a request in its head, and joins it where there is a collector. `version` is what the client
    /// speaks, `host` the one it asked for.
    pub fn join_trace(&mut self, headers: &HeaderMap, version: Version, host: &HostName) {
        let incoming = trace_context(headers);
        self.trace.id = incoming.map(|context| context.trace_id);
        let Some(tracer) = &self.recorder.tracer else { return };
        let Some(trace) = tracer.join(incoming) else { return };
        self.trace.id = Some(trace.context.trace_id);
        let is_recorded = trace.context.is_sampled();
        self.trace.joined = Some(Box::new(OpenSpan {
            trace,
            trace_state: trace.parent.filter(|_| is_recorded).and_then(|_| trace_state(headers)),
            version,
            host: is_recorded.then(|| host.name().into()),
            port: host.effective_port(),
            resends: 0,
        }));
    }

    /// Forwards the trace. One that this proxy has no part in is forwarded as it came.
    pub fn set_trace_headers(&self, headers: &mut HeaderMap) {
        if let Some(OpenSpan { trace, .. }) = self.trace.joined.as_deref() {
            set_trace_context(headers, &trace.context, trace.parent.is_none());
        }
    }

    /// Leaves the span behind, where the trace is recorded.
    pub(super) fn record_span(&mut self, took: Duration) {
        let Some(span) = self.trace.joined.take() else { return };
        if !span.trace.context.is_sampled() {
            return;
        }
        let span = finished(self, *span, took);
        if let Some(tracer) = &self.recorder.tracer {
            tracer.record(span);
        }
    }
}

/// The span of a record that has come to its end. All its texts are bounded, those that the gate has not bounded here: so
/// is what waits in the queue, and the message that a batch becomes.
fn finished(record: &mut RequestRecord, span: OpenSpan, took: Duration) -> FinishedSpan {
    let labels = &record.meter.labels;
    let now = SystemTime::now();
    FinishedSpan {
        kind: match labels.direction {
            Direction::Inbound => SpanKind::Server,
            Direction::Outbound => SpanKind::Client,
        },
        context: span.trace.context,
        parent: span.trace.parent,
        trace_state: span.trace_state,
        start: now.checked_sub(took).unwrap_or(now),
        took,
        method: record.method.clone(),
        route: record.rule.take(),
        host: span.host,
        port: span.port,
        path: record.path.take().map(shortened),
        version: span.version,
        status: record.status,
        reason: record.reason,
        grpc_status: record.grpc_status.take().filter(|status| status.len() <= MOST_GRPC_STATUS),
        resends: span.resends,
        upstream: record.upstream,
        source_principal: labels.source_principal.clone(),
        destination_principal: labels.destination_principal.clone(),
        destination_service: labels.destination_service.clone(),
    }
}

/// The beginning of a path, cut between two characters.
fn shortened(path: Box<str>) -> Box<str> {
    if path.len() <= MOST_PATH {
        return path;
    }
    path.get(..path.floor_char_boundary(MOST_PATH)).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_cut() {
        assert_eq!(&*shortened("/cart/ann".into()), "/cart/ann");
        let long = format!("/{}é{}", "a".repeat(MOST_PATH - 2), "b".repeat(100));
        assert_eq!(shortened(long.into()).len(), MOST_PATH - 1);
    }
}
