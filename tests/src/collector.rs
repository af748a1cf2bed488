//! A collector of spans: OTLP over gRPC, in the network of a pod.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use data_encoding::HEXLOWER;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tokio::sync::oneshot;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, async_trait};

use crate::inside::Task;
use crate::pod::Pod;
use crate::wait;

/// The messages of OTLP, compiled from the file of the proxy.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
mod proto {
    tonic::include_proto!("opentelemetry.proto.collector.trace.v1");
}

use proto::any_value::Value;
use proto::trace_service_server::{TraceService, TraceServiceServer};
use proto::{ExportTraceServiceRequest, ExportTraceServiceResponse, KeyValue, Span};

/// The port that collectors have.
const PORT: u16 = 4317;

/// What a collector does with what it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectorMood {
    /// It takes the spans.
    Taking,
    /// It never answers.
    Silent,
    /// It refuses them for good.
    Refusing,
}

/// A span, as the collector got it.
#[derive(Clone, Debug)]
pub struct CollectedSpan {
    /// The trace's id, in hexadecimal digits.
    pub trace_id: String,
    /// Its own id, in hexadecimal digits.
    pub span_id: String,
    /// The id of the span that caused it; empty where there is none.
    pub parent_id: String,
    /// Its name.
    pub name: String,
    /// `server` or `client`.
    pub kind: &'static str,
    /// `tracestate`, as the request came with it.
    pub trace_state: String,
    /// What is said of it; numbers as they print.
    pub attributes: BTreeMap<String, String>,
    /// Whose it is: the attributes of the resource.
    pub resource: BTreeMap<String, String>,
    /// Whether it is an error.
    pub is_error: bool,
}

impl CollectedSpan {
    /// An attribute; empty where there is none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

#[derive(Clone)]
struct Inbox {
    spans: Arc<Mutex<Vec<CollectedSpan>>>,
    mood: Arc<Mutex<CollectorMood>>,
}

/// A collector that listens in a pod. Stopped, it refuses connections; what it got before is kept.
pub struct Collector<'a> {
    pod: &'a Pod,
    inbox: Inbox,
    tls: Option<ServerTlsConfig>,
    running: Option<(oneshot::Sender<()>, Task<()>)>,
}

impl<'a> Collector<'a> {
    /// Starts one in this pod, at port 4317.
    #[must_use]
    pub fn start(pod: &'a Pod) -> Self {
        Self::started(pod, None)
    }

    /// The same, with a web certificate for its address; also the certificate of who signed it.
    #[must_use]
    pub fn start_with_tls(pod: &'a Pod) -> (Self, String) {
        let (identity, authority) = web_certificate(&pod.ipv4().to_string());
        (Self::started(pod, Some(ServerTlsConfig::new().identity(identity))), authority)
    }

    fn started(pod: &'a Pod, tls: Option<ServerTlsConfig>) -> Self {
        let mood = Arc::new(Mutex::new(CollectorMood::Taking));
        let inbox = Inbox { spans: Arc::default(), mood };
        let mut collector = Self { pod, inbox, tls, running: None };
        collector.restart();
        collector
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        let service = TraceServiceServer::new(self.inbox.clone());
        let (stop, stopped) = oneshot::channel();
        let mut server = Server::builder();
        if let Some(tls) = &self.tls {
            server = server.tls_config(tls.clone()).expect("a certificate of ours");
        }
        let task = self.pod.spawn(async move {
            let server = server.add_service(service);
            let address = ([0; 8], PORT).into();
            // An error of the channel is the sender dropped: the same wish.
            let stopped = async { drop(stopped.await) };
            server.serve_with_shutdown(address, stopped).await.expect("the collector listens");
        });
        self.running = Some((stop, task));
        self.pod.wait_for_app(PORT);
    }

    /// Stops it: connections end, and new ones are refused.
    pub fn stop(&mut self) {
        if let Some((stop, task)) = self.running.take() {
            let _ = stop.send(());
            task.join_within(Duration::from_secs(10));
        }
    }

    /// Changes what it does from now on.
    pub fn turn(&self, mood: CollectorMood) {
        *self.inbox.mood.lock().expect("no test thread died holding this") = mood;
    }

    /// Everything it got so far.
    #[must_use]
    pub fn spans(&self) -> Vec<CollectedSpan> {
        self.inbox.lock().clone()
    }

    /// Waits until it has this many spans of a trace.
    #[track_caller]
    pub fn expect_trace(&self, trace_id: &str, spans: usize) -> Vec<CollectedSpan> {
        let what = format!("{spans} spans of the trace {trace_id}");
        wait::until(&what, Duration::from_secs(10), || {
            let mut found = self.spans();
            found.retain(|span| span.trace_id == trace_id);
            if found.len() >= spans { Ok(found) } else { Err(format!("{:?}", self.spans())) }
        })
    }
}

/// A certificate for a host, and that of the authority that signed it.
fn web_certificate(host: &str) -> (Identity, String) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let issuer = CertifiedIssuer::self_signed(authority, key()).expect("a certificate can be made");
    let key = key();
    let leaf = CertificateParams::new(vec![host.to_owned()]).expect("a host");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate can be made");
    (Identity::from_pem(leaf.pem(), key.serialize_pem()), issuer.pem())
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, Vec<CollectedSpan>> {
        self.spans.lock().expect("no test thread died holding this")
    }
}

#[async_trait]
impl TraceService for Inbox {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mood = *self.mood.lock().expect("no test thread died holding this");
        match mood {
            CollectorMood::Taking => {}
            CollectorMood::Silent => std::future::pending().await,
            CollectorMood::Refusing => return Err(Status::invalid_argument("not like this")),
        }
        for of_resource in request.into_inner().resource_spans {
            let resource = values(of_resource.resource.unwrap_or_default().attributes);
            let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.lock().extend(spans.map(|span| collected(span, &resource)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn collected(span: Span, resource: &BTreeMap<String, String>) -> CollectedSpan {
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    CollectedSpan {
        kind: match span.kind() {
            proto::span::SpanKind::Server => "server",
            proto::span::SpanKind::Client => "client",
            _ => "another",
        },
        is_error: span
            .status
            .as_ref()
            .is_some_and(|status| status.code() == proto::status::StatusCode::Error),
        trace_id: HEXLOWER.encode(&span.trace_id),
        span_id: HEXLOWER.encode(&span.span_id),
        parent_id: HEXLOWER.encode(&span.parent_span_id),
        name: span.name,
        trace_state: span.trace_state,
        attributes: values(span.attributes),
        resource: resource.clone(),
    }
}

fn values(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
    };
    let value = |attribute: KeyValue| Some((attribute.key, text(attribute.value?.value?)));
    attributes.into_iter().filter_map(value).collect()
}
