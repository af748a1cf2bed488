//! Spans as OTLP messages, named as the semantic conventions for HTTP say (OpenTelemetry, stable since 1.23).

use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, Version};

use super::proto::any_value::Value;
use super::proto::span::SpanKind as OtlpKind;
use super::proto::status::StatusCode;
use super::proto::{
    AnyValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans,
    ScopeSpans, Span, Status,
};
use crate::control::config::Config;
use crate::http::error::CLIENT_GONE;
use crate::telemetry::trace::{FinishedSpan, SpanKind};

/// The conventions that the names follow.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.23.0";
/// Labels that name an app, the more common one first.
const NAME_LABELS: [&str; 2] = ["app.kubernetes.io/name", "app"];
/// Of `Span.flags`: the next bit has a meaning; the parent is of another process.
const HAS_IS_REMOTE: u32 = 1 << 8;
const IS_REMOTE: u32 = 1 << 9;

/// Writes the messages of one proxy.
pub(super) struct SpanWriter {
    resource: Resource,
}

impl SpanWriter {
    /// The spans are those of the workload beside the proxy.
    pub(super) fn new(config: &Config) -> Self {
        let workload = &config.workload;
        let label = NAME_LABELS.iter().find_map(|label| workload.labels.get(*label));
        let name = label.filter(|name| !name.is_empty()).unwrap_or(&workload.service_account);
        let mut attributes = vec![
            text("service.name", name),
            text("service.namespace", &workload.namespace),
            text("k8s.namespace.name", &workload.namespace),
        ];
        if let Some(controller) = &config.controller {
            attributes.push(text("service.instance.id", &controller.pod.uid));
            attributes.push(text("k8s.pod.name", &controller.pod.name));
            attributes.push(text("k8s.pod.uid", &controller.pod.uid));
        }
        Self { resource: Resource { attributes } }
    }

    /// One request of the protocol.
    pub(super) fn request(&self, spans: &[FinishedSpan]) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope {
            name: "postern-proxy".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let spans = spans.iter().map(span).collect();
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource.clone()),
                scope_spans: vec![ScopeSpans { scope: Some(scope), spans }],
                schema_url: SCHEMA.to_owned(),
            }],
        }
    }
}

fn span(span: &FinishedSpan) -> Span {
    let parent = span.parent.map(|parent| parent.bytes().to_vec());
    let remote = if parent.is_some() { HAS_IS_REMOTE | IS_REMOTE } else { HAS_IS_REMOTE };
    Span {
        trace_id: span.context.trace_id.bytes().to_vec(),
        span_id: span.context.span_id.bytes().to_vec(),
        trace_state: span.trace_state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: parent.unwrap_or_default(),
        name: name(span),
        kind: match span.kind {
            SpanKind::Server => OtlpKind::Server,
            SpanKind::Client => OtlpKind::Client,
        }
        .into(),
        start_time_unix_nano: unix_nanoseconds(span.start),
        end_time_unix_nano: unix_nanoseconds(
            span.start.checked_add(span.took).unwrap_or(span.start),
        ),
        attributes: attributes(span),
        status: span
            .is_error()
            .then(|| Status { message: String::new(), code: StatusCode::Error.into() }),
        flags: u32::from(span.context.flags()) | remote,
    }
}

/// `{method}`, or `{method} {route}`: few names, never a path.
fn name(span: &FinishedSpan) -> String {
    let method = known_method(&span.method).unwrap_or("HTTP");
    match &span.route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    }
}

/// The methods that the conventions know; any other is text of a client.
fn known_method(method: &Method) -> Option<&str> {
    const KNOWN: [Method; 9] = [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
        Method::TRACE,
    ];
    KNOWN.contains(method).then(|| method.as_str())
}

fn attributes(span: &FinishedSpan) -> Vec<KeyValue> {
    let method = known_method(&span.method);
    let mut out = vec![text("http.request.method", method.unwrap_or("_OTHER"))];
    let mut optional =
        |key: &str, value: Option<&str>| out.extend(value.map(|value| text(key, value)));
    optional("http.request.method_original", method.is_none().then_some(span.method.as_str()));
    optional("url.scheme", Some("http"));
    optional("url.path", span.path.as_deref());
    optional("server.address", span.host.as_deref());
    optional("network.protocol.version", protocol_version(span.version));
    optional("error.type", error_type(span).as_deref());
    optional("postern.reason", Some(span.reason));
    optional("postern.route", span.route.as_deref());
    optional("postern.grpc_status", span.grpc_status.as_deref());
    optional("postern.source_principal", Some(&*span.source_principal));
    optional("postern.destination_principal", Some(&*span.destination_principal));
    optional("postern.destination_service", Some(&*span.destination_service));
    let upstream = span.upstream.filter(|_| span.kind == SpanKind::Client);
    optional("network.peer.address", upstream.map(|peer| peer.ip().to_string()).as_deref());
    let mut number = |key: &str, value: Option<u32>| {
        out.extend(value.map(|value| attribute(key, Value::IntValue(value.into()))));
    };
    number("network.peer.port", upstream.map(|peer| peer.port().into()));
    number("server.port", span.port.filter(|_| span.host.is_some()).map(u32::from));
    // A client that is gone has received no status.
    number("http.response.status_code", (span.reason != CLIENT_GONE).then(|| span.status.into()));
    number("http.request.resend_count", (span.resends > 0).then_some(span.resends));
    out
}

/// The reason where it is ours, otherwise the status of the answer.
fn error_type(span: &FinishedSpan) -> Option<String> {
    match (span.is_error(), span.reason) {
        (false, _) => None,
        (true, "ok") => Some(span.status.to_string()),
        (true, reason) => Some(reason.to_owned()),
    }
}

fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

/// Until the year 2554.
fn unix_nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
