//! The record of one connection: counted and logged when it is dropped.

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use policy::{Decider, Denial, Permit};
use prometheus::{IntCounter, IntGauge};

use super::Recorder;
use super::judgement::Judgement;
use crate::connection::registry::Connection;
use crate::labels::{CloseReason, Direction};
use crate::telemetry::log_line::LogLine;
use crate::telemetry::metrics::Metrics;
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
        recorder.connections.of(connection.direction, &recorder.metrics).open.inc();
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

    fn write(&self, out: &mut Vec<u8>) {
        let (received, sent) = self.connection.bytes();
        let mut line = LogLine::begin(out, SystemTime::now(), "connection");
        line.word("direction", self.connection.direction.as_str())
            .number("connection", self.connection.id)
            .plain("source_ip", self.connection.source.ip())
            .optional_text(
                "source_principal",
                self.connection.peer().map(|p| p.id.without_scheme()),
            )
            .text("destination_service", &self.service)
            .address("destination", self.connection.destination)
            .optional_text("sni", self.connection.peer().and_then(|p| p.sni.as_deref()))
            .word("protocol", self.connection.protocol().as_str())
            .word("closed", self.reason.as_str())
            .word("reason", self.detail)
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
        let counters = self.recorder.connections.of(connection.direction, metrics);
        counters.ended(connection, self.reason, metrics);
        let good = self.reason == CloseReason::Done;
        if self.logged && self.recorder.access_log.wants(good) {
            self.recorder.log.append(|out| self.write(out));
        }
    }
}

/// The counters of the connections of a worker, each looked up once: a look-up by label costs more than the rest of what
/// is counted for a connection.
#[derive(Default)]
pub(super) struct ConnectionCounters {
    inbound: OnceLock<DirectionCounters>,
    outbound: OnceLock<DirectionCounters>,
}

/// Those of one direction.
struct DirectionCounters {
    open: IntGauge,
    received: IntCounter,
    sent: IntCounter,
    /// How nearly all of them end.
    done: OnceLock<IntCounter>,
}

impl ConnectionCounters {
    fn of(&self, direction: Direction, metrics: &Metrics) -> &DirectionCounters {
        let place = match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        };
        place.get_or_init(|| {
            let [received, sent] = metrics.bytes(direction);
            DirectionCounters {
                open: metrics.open(direction),
                received,
                sent,
                done: OnceLock::new(),
            }
        })
    }
}

impl DirectionCounters {
    fn ended(&self, connection: &Connection, reason: CloseReason, metrics: &Metrics) {
        let (received, sent) = connection.bytes();
        self.open.dec();
        self.received.inc_by(received);
        self.sent.inc_by(sent);
        let ends = || metrics.ends(connection.direction, reason);
        match reason {
            CloseReason::Done => self.done.get_or_init(ends).inc(),
            _ => ends().inc(),
        }
    }
}
