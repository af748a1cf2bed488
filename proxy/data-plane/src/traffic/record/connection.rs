//! The record of one connection: counted and logged when it is dropped.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use policy::{Decider, Denial, Permit};

use super::Recorder;
use super::judgement::Judgement;
use crate::connection::registry::Connection;
use crate::labels::CloseReason;
use crate::telemetry::log_line::LogLine;
use crate::traffic::authorize::AuthorizationVerdict;

/// One connection. Dropping it counts its end and, for opaque and refused ones, logs it.
pub struct ConnectionRecord {
    recorder: Arc<Recorder>,
    connection: Arc<Connection>,
    started: Instant,
    service: Arc<str>,
    reason: CloseReason,
    detail: &'static str,
    error: Option<String>,
    judgement: Judgement,
    logged: bool,
}

impl ConnectionRecord {
    /// Begins a connection. Until another outcome is recorded, it ended in an error.
    #[must_use]
    pub fn begin(
        recorder: &Arc<Recorder>,
        connection: &Arc<Connection>,
        service: Arc<str>,
    ) -> Self {
        recorder.metrics.open(connection.direction).inc();
        Self {
            recorder: recorder.clone(),
            connection: connection.clone(),
            started: Instant::now(),
            service,
            reason: CloseReason::Error,
            detail: "error",
            error: None,
            judgement: Judgement::default(),
            logged: true,
        }
    }

    /// The service of the connection.
    pub fn service(&mut self, service: &Arc<str>) {
        self.service = service.clone();
    }

    /// It carried HTTP, whose requests have records of their own: a good end is not logged.
    pub fn carries_http(&mut self) {
        self.logged = false;
    }

    /// The verdict of policy on the connection as a whole; counted at once. Returns the decision.
    ///
    /// # Errors
    /// The refusal, when it was one.
    pub fn decided(&mut self, verdict: AuthorizationVerdict) -> Result<Permit, Denial> {
        let metrics = &self.recorder.metrics;
        let decider = verdict.decider();
        let policy = decider.map(|d| d.policy().as_ref());
        metrics.decision(verdict.decision_label(), policy, decider.map(Decider::rule)).inc();
        self.judgement.take(verdict, metrics)
    }

    /// Why it ended, as a stable reason beside the class.
    pub fn ended(&mut self, reason: CloseReason, detail: &'static str) {
        self.reason = reason;
        self.detail = detail;
        self.logged |= !matches!(
            reason,
            CloseReason::Done
                | CloseReason::Drain
                | CloseReason::Idle
                | CloseReason::CertificateExpiry
        );
    }

    /// The same with the error's text, for the person on call.
    pub fn failed(
        &mut self,
        reason: CloseReason,
        detail: &'static str,
        error: impl std::fmt::Display,
    ) {
        self.ended(reason, detail);
        self.error = Some(error.to_string());
    }

    fn write(&self, out: &mut String) {
        let (received, sent) = self.connection.bytes();
        let mut line = LogLine::begin(out, SystemTime::now(), "connection");
        line.plain("direction", self.connection.direction.as_str())
            .number("connection", self.connection.id)
            .plain("source_ip", self.connection.source.ip())
            .optional_text(
                "source_principal",
                self.connection.peer().map(|p| p.id.without_scheme()),
            )
            .text("destination_service", &self.service)
            .plain("destination", self.connection.destination)
            .optional_text("sni", self.connection.peer().and_then(|p| p.sni.as_deref()))
            .plain("protocol", self.connection.protocol().as_str())
            .plain("closed", self.reason.as_str())
            .plain("reason", self.detail)
            .optional_text("error", self.error.as_deref());
        self.judgement.write(&mut line);
        line.number("bytes_received", received)
            .number("bytes_sent", sent)
            .milliseconds("duration_ms", self.started.elapsed())
            .end();
    }
}

impl Drop for ConnectionRecord {
    fn drop(&mut self) {
        let (metrics, connection) = (&self.recorder.metrics, &self.connection);
        metrics.open(connection.direction).dec();
        metrics.closed(connection.direction, self.reason, connection.bytes());
        let good = self.reason == CloseReason::Done;
        if self.logged && self.recorder.access_log.wants(good) {
            self.recorder.log.append(|out| self.write(out));
        }
    }
}
