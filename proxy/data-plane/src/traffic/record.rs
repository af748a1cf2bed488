//! The record of one request and of one connection: counted and logged when it is dropped.

mod api_note;
mod connection;
mod judgement;
mod meter;
mod trace;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use balancer::InFlight;
use bytes::Bytes;
use http::Method;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use http_body::Frame;
use policy::{Denial, Permit};
use rate_limit::UnderwayGuard;

use crate::clock::Clock;
use crate::connection::registry::Connection;
use crate::http::ApiRefusal;
use crate::http::body::{BodyFailure, BodyGuard};
use crate::http::error::{BAD_RESPONSE, CLIENT_GONE, RequestError};
use crate::http::gate::GateRefusal;
use crate::http::headers::REASON_HEADER;
use crate::labels::{CloseReason, Direction};
use crate::telemetry::log_line::LogLine;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::trace::Tracer;
use crate::telemetry::{AccessLog, LogSink};
use crate::traffic::abuse::{AnswerHead, MetAbuse};
use crate::traffic::answer_fields::AnswerFields;
use crate::traffic::authorize::AuthorizationVerdict;
use crate::traffic::balancing::Underway;
use crate::traffic::review::RequestReview;
use crate::traffic::threats::finding::ThreatFinding;
pub use api_note::ApiNote;
use connection::ConnectionCounters;
pub use connection::ConnectionRecord;
use judgement::Judgement;
pub use meter::TrafficMeter;
use trace::RequestTrace;

/// Writes the records of one worker: counters, log, and clock.
pub struct Recorder {
    clock: Arc<Clock>,
    metrics: Arc<Metrics>,
    log: LogSink,
    access_log: AccessLog,
    connections: ConnectionCounters,
    /// Where there is a collector.
    tracer: Option<Tracer>,
}

impl Recorder {
    /// The recorder of a worker whose lines go to `log`, as far as `access_log` includes them, and whose spans go to
    /// `tracer`.
    #[must_use]
    pub fn new(
        clock: Arc<Clock>,
        metrics: Arc<Metrics>,
        log: LogSink,
        access_log: AccessLog,
        tracer: Option<Tracer>,
    ) -> Self {
        let connections = ConnectionCounters::default();
        Self { clock, metrics, log, access_log, connections, tracer }
    }

    /// Writes one line about something that was refused or that somebody asked to be told of, unless nothing is logged.
    pub(crate) fn note(&self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.access_log.wants(false) {
            self.log.append(write);
        }
    }

    /// Flushes the pending lines and spans.
    pub fn flush(&self) {
        self.log.flush();
        if let Some(tracer) = &self.tracer {
            tracer.flush();
        }
    }
}

/// Makes fields of an answer.
type LateFields = Box<dyn FnOnce() -> Vec<(HeaderName, HeaderValue)> + Send + Sync>;

/// One request. Dropping it counts it, logs it, and ends it on its connection.
pub struct RequestRecord {
    recorder: Arc<Recorder>,
    connection: Arc<Connection>,
    review: Option<RequestReview>,
    meter: Arc<TrafficMeter>,
    started: Instant,
    method: Method,
    host: Option<Box<str>>,
    path: Option<Box<str>>,
    status: u16,
    reason: &'static str,
    error: Option<String>,
    judgement: Judgement,
    upstream: Option<std::net::SocketAddr>,
    retried: Option<&'static str>,
    /// The rule that took it.
    rule: Option<Arc<str>>,
    /// What a listener of the edge adds to its answers, and whether this one goes over TLS.
    listener_fields: Option<(Arc<AnswerFields>, bool)>,
    /// What a ThreatPolicy found in it.
    threat: Option<Box<ThreatFinding>>,
    /// It counts as under way at its endpoint.
    in_flight: Option<InFlight>,
    /// It counts as under way at a service whose DestinationRule limits that.
    underway: Option<Underway>,
    /// What phases add to the answer, whoever gives it.
    answer_fields: Vec<(HeaderName, HeaderValue)>,
    /// What a phase makes for the answer only when that comes.
    late_fields: Option<LateFields>,
    /// It counts as under way at the limits of its caller.
    concurrency: Vec<UnderwayGuard>,
    /// What the description of its API says of it, where there is one.
    api: Option<Box<ApiNote>>,
    /// The AbusePolicies that it meets, until they know its answer.
    abuse: Option<Box<MetAbuse>>,
    dropped: u32,
    sent: u64,
    grpc_status: Option<Box<str>>,
    trace: RequestTrace,
}

impl RequestRecord {
    /// Begins a request on its connection. Until another outcome is recorded, it is that the client went away.
    #[must_use]
    pub fn begin(
        recorder: &Arc<Recorder>,
        connection: &Arc<Connection>,
        meter: &Arc<TrafficMeter>,
        method: &Method,
    ) -> Box<Self> {
        connection.begin(recorder.clock.coarse());
        Box::new(Self {
            recorder: recorder.clone(),
            connection: connection.clone(),
            review: None,
            meter: meter.clone(),
            started: Instant::now(),
            method: method.clone(),
            host: None,
            path: None,
            status: 499,
            reason: CLIENT_GONE,
            error: None,
            judgement: Judgement::default(),
            upstream: None,
            retried: None,
            rule: None,
            listener_fields: None,
            threat: None,
            in_flight: None,
            underway: None,
            answer_fields: Vec::new(),
            late_fields: None,
            concurrency: Vec::new(),
            api: None,
            abuse: None,
            dropped: 0,
            sent: 0,
            grpc_status: None,
            trace: RequestTrace::default(),
        })
    }

    /// Writes the record of a request that the HTTP library refused before the handler saw it.
    pub fn malformed(
        recorder: &Arc<Recorder>,
        connection: &Arc<Connection>,
        meter: &Arc<TrafficMeter>,
        refusal: GateRefusal,
    ) {
        // It has no reliable method.
        let method = Method::from_bytes(b"-").unwrap_or_default();
        Self::begin(recorder, connection, meter, &method).refused(&RequestError::Gate(refusal));
    }

    /// The request is judged again at each change of policy, for as long as this record lives.
    pub fn hold_review(&mut self, review: RequestReview) {
        self.review = Some(review);
    }

    /// Whether policy refuses the request by now.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.review.as_ref().is_some_and(RequestReview::is_refused)
    }

    /// Waits until policy refuses the request that was let in; for ever where none is held.
    pub async fn withdrawn(&self) {
        match &self.review {
            Some(review) => review.refused().await,
            None => std::future::pending().await,
        }
    }

    /// As [`Self::withdrawn`], while the record is used.
    pub fn withdrawal(&self) -> impl Future<Output = ()> + Send + use<> {
        let signal = self.review.as_ref().map(RequestReview::signal);
        async move {
            match signal {
                Some(signal) => signal.await,
                None => std::future::pending().await,
            }
        }
    }

    /// What was requested; the path without its query, which may hold secrets.
    pub fn target(&mut self, host: &str, path: &str) {
        self.host = Some(host.into());
        self.path = Some(path.into());
    }

    /// When it began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The service of the request, and its counters.
    pub fn route(&mut self, meter: &Arc<TrafficMeter>) {
        self.meter = meter.clone();
    }

    /// Where it was sent.
    pub fn upstream(&mut self, address: std::net::SocketAddr) {
        self.upstream = Some(address);
    }

    /// How many of its fields were dropped for an underscore in their name; counted at once.
    pub fn dropped(&mut self, fields: u32) {
        if fields > 0 {
            self.dropped = fields;
            self.recorder.metrics.dropped(self.meter.labels.direction, fields);
        }
    }

    /// It is sent again, for this reason; counted with its result.
    pub fn retried(&mut self, reason: &'static str) {
        self.retried = Some(reason);
        self.trace.resent();
    }

    /// The rule of a route that took it.
    pub fn routed(&mut self, route: &Arc<str>) {
        self.rule = Some(route.clone());
    }

    /// What a ThreatPolicy found in it.
    pub(crate) fn threat(&mut self, finding: ThreatFinding) {
        self.threat = Some(Box::new(finding));
    }

    /// Where its connection comes from.
    #[must_use]
    pub fn source(&self) -> std::net::SocketAddr {
        self.connection.source
    }

    /// Who its connection comes from, without `spiffe://`; `None` without a certificate.
    #[must_use]
    pub fn source_principal(&self) -> Option<&str> {
        self.connection.peer().map(|peer| peer.id.without_scheme())
    }

    /// The fields that its answer gets, whoever gives it.
    pub fn answer_with(&mut self, fields: &Arc<AnswerFields>, tls: bool) {
        self.listener_fields = Some((fields.clone(), tls));
    }

    /// It is under way at an endpoint, until its answer has ended; no longer at the endpoint of an attempt before.
    pub fn in_flight(&mut self, at: Option<InFlight>) {
        self.in_flight = at;
    }

    /// It is under way at a service that counts its requests.
    pub fn underway(&mut self, at: Underway) {
        self.underway = Some(at);
    }

    /// What the limits of its caller say of it: fields for the answer, and its places among those under way.
    pub fn limited(
        &mut self,
        fields: Vec<(HeaderName, HeaderValue)>,
        concurrency: Vec<UnderwayGuard>,
    ) {
        self.answer_fields.extend(fields);
        self.concurrency = concurrency;
    }

    /// What the description of its API says of it.
    pub fn described(&mut self, note: ApiNote) {
        self.api = Some(Box::new(note));
    }

    /// Its answer is not as described.
    pub fn answer_differs(&mut self, refusal: &ApiRefusal, blocked: bool) {
        if let Some(note) = &mut self.api {
            note.found(refusal, blocked);
        }
    }

    /// Its answer counts for its caller.
    pub(crate) fn meet_abuse(&mut self, met: Box<MetAbuse>) {
        self.abuse = Some(met);
    }

    /// The AbusePolicies that it meets.
    pub(crate) fn abuse(&mut self) -> Option<&mut MetAbuse> {
        self.abuse.as_deref_mut()
    }

    /// Fields that a phase adds to the answer, whoever gives it.
    pub fn answer_also(&mut self, fields: impl IntoIterator<Item = (HeaderName, HeaderValue)>) {
        self.answer_fields.extend(fields);
    }

    /// Fields that are made when the head of the answer comes.
    pub fn answer_late(
        &mut self,
        fields: impl FnOnce() -> Vec<(HeaderName, HeaderValue)> + Send + Sync + 'static,
    ) {
        self.late_fields = Some(Box::new(fields));
    }

    /// Puts into the head of the answer what phases add to it, beside what is there, and what its listener says of it.
    pub fn complete_head(&mut self, headers: &mut HeaderMap) {
        self.tell_abuse(headers);
        if let Some((fields, tls)) = &self.listener_fields {
            fields.change(headers, *tls);
        }
        let late = self.late_fields.take().map(|fields| fields()).unwrap_or_default();
        for (name, value) in self.answer_fields.drain(..).chain(late) {
            if name == SET_COOKIE {
                keep_from_caches(headers);
            }
            headers.append(name, value);
        }
    }

    fn tell_abuse(&mut self, headers: &HeaderMap) {
        let Some(met) = self.abuse.take() else { return };
        met.answered(AnswerHead {
            status: self.status,
            reason: self.reason,
            headers,
            host: self.host.as_deref().unwrap_or_default(),
            path: self.path.as_deref().unwrap_or_default(),
        });
    }

    /// The verdict of policy; counted at once. Returns the decision.
    ///
    /// # Errors
    /// The refusal, when it was one.
    pub fn decided(&mut self, verdict: AuthorizationVerdict) -> Result<Permit, Denial> {
        self.meter.decision(verdict.decision_label(), verdict.decider());
        self.judgement.take(verdict, &self.recorder.metrics)
    }

    /// The answer's status. A peer's proxy that refused the request gives the reason in a header, which the log keeps;
    /// the metric says only that it was a peer's refusal.
    pub fn answered<B>(&mut self, response: &http::Response<B>) {
        self.status = response.status().as_u16();
        self.reason = "ok";
        if let Some(reason) = response.headers().get(REASON_HEADER) {
            self.reason = "refused_by_peer";
            self.error = Some(String::from_utf8_lossy(reason.as_bytes()).into_owned());
        }
    }

    /// The answer that a phase gave in the app's place, and its stable reason.
    pub fn answered_here<B>(&mut self, response: &http::Response<B>, reason: &'static str) {
        self.review = None;
        self.status = response.status().as_u16();
        self.reason = reason;
    }

    /// The refusing error, of ours.
    pub fn refused(&mut self, error: &RequestError) {
        // Our own answer is no part of what policy judges: a refusal must reach the caller.
        self.review = None;
        self.reason = error.reason();
        // A client that is gone receives no status: 499 stands for that in the log.
        self.status = if self.reason == CLIENT_GONE { 499 } else { error.status().as_u16() };
        self.error = Some(error.to_string());
    }

    /// The answering side broke off after the head of its answer.
    pub fn aborted(&mut self) {
        self.failed(match self.connection.direction {
            Direction::Inbound => "app_reset",
            Direction::Outbound => "upstream_reset",
        });
    }

    /// The answer did not come to its end.
    pub fn failed(&mut self, reason: &'static str) {
        if self.reason == "ok" {
            self.reason = reason;
        }
    }

    fn write(&self, out: &mut Vec<u8>, took: Duration) {
        let mut line = LogLine::begin(out, SystemTime::now(), "request");
        line.fragment(&self.meter.fragment)
            .fragment(self.connection.fragment())
            .text("method", self.method.as_str())
            .optional_text("host", self.host.as_deref())
            .optional_text("path", self.path.as_deref())
            .number("status", self.status)
            .word("reason", self.reason)
            .optional_text("grpc_status", self.grpc_status.as_deref())
            .optional_text("error", self.error.as_deref());
        self.judgement.write(&mut line);
        self.trace.write(&mut line);
        if let Some(upstream) = self.upstream {
            line.address("upstream", upstream);
        }
        if let Some(rule) = &self.rule {
            line.text("route", rule);
        }
        if let Some(note) = &self.api {
            note.write(&mut line);
        }
        if let Some(threat) = &self.threat {
            threat.write(&mut line);
        }
        if let Some(reason) = self.retried {
            line.word("retried", reason);
        }
        if self.dropped > 0 {
            line.number("headers_dropped", self.dropped);
        }
        line.number("bytes_sent", self.sent).milliseconds("duration_ms", took).end();
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.connection.end(self.recorder.clock.coarse());
        self.meter.outcome(self.status, self.reason, took.as_secs_f64());
        if let Some(reason) = self.retried {
            let good = self.reason == "ok" && self.status < 500;
            let result = if good { "success" } else { "failure" };
            self.recorder.metrics.retry(reason, result);
        }
        let noted = self.api.as_ref().is_some_and(|note| note.has_found());
        let is_attack = self.threat.as_ref().is_some_and(|threat| threat.is_attack());
        let noted = noted || is_attack;
        if self.recorder.access_log.wants(self.status < 400 && self.reason == "ok" && !noted) {
            self.recorder.log.append(|out| self.write(out, took));
        }
        self.record_span(took);
    }
}

/// The record of an exchange is written when its answer ends, and the answer is cut when policy refuses the request
/// meanwhile.
impl BodyGuard for RequestRecord {
    fn is_refused(&self) -> bool {
        self.is_withdrawn()
    }

    fn poll_refused(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.review.as_ref().map_or(Poll::Pending, |review| review.poll_refused(cx))
    }

    fn passed(&mut self, frame: &Frame<Bytes>) {
        if let Some(data) = frame.data_ref() {
            self.sent += data.len() as u64;
        }
        if let Some(status) = frame.trailers_ref().and_then(|trailers| trailers.get("grpc-status"))
        {
            self.grpc_status = status.to_str().ok().map(Into::into);
        }
    }

    fn failed(&mut self, failure: BodyFailure, request: Option<BodyFailure>) {
        match (failure, request) {
            (BodyFailure::Withdrawn, _) => self.failed("policy_changed"),
            (BodyFailure::DeadlineExceeded, _) => self.failed("request_timeout"),
            (_, Some(broken)) => self.failed(RequestError::ClientBody(broken).reason()),
            (BodyFailure::Stalled, None) => self.failed("body_stalled"),
            (BodyFailure::TooLarge | BodyFailure::Malformed, None) => self.failed(BAD_RESPONSE),
            (BodyFailure::Off, None) => self.aborted(),
        }
    }

    fn unread(&mut self) {
        self.failed("body_stalled");
    }

    fn abandoned(&mut self) {
        self.failed(match self.connection.closing() {
            Some(CloseReason::ReaderStalled) => "body_stalled",
            _ => CLIENT_GONE,
        });
    }
}

/// An answer with somebody's cookie is theirs alone, whatever the app says of it: a cache in front stores answers with
/// cookies as well (RFC 9111 §7.3).
fn keep_from_caches(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // RFC 9213 §2 and Edge Architecture 1.0 §2.2: what these say goes before it.
    headers.remove("cdn-cache-control");
    headers.remove("surrogate-control");
}
