//! What can be learned of a pod: its certificate, and what its proxy says of itself.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use super::Pod;
use crate::binaries::binary;
use crate::certificate_shown::Certificate;
use crate::logs::LogLine;
use crate::metrics::Metrics;
use crate::process::{Finished, Process};
use crate::raw::{self, HttpAnswer};
use crate::wait::{self, PATIENCE};

impl Pod {
    /// The certificate its agent holds, as the agent shows it.
    #[must_use]
    #[track_caller]
    pub fn certificate(&self) -> Certificate {
        let shown = self.agent_command("show").ok();
        Certificate::read(&shown)
            .unwrap_or_else(|| panic!("{} holds no certificate: {shown}", self.name()))
    }

    /// The same, or nothing when the agent does not answer or holds none.
    #[must_use]
    pub fn try_certificate(&self) -> Option<Certificate> {
        let shown = self.agent_command("show");
        if shown.code == 0 { Certificate::read(&shown.stdout) } else { None }
    }

    /// Certificates its agent got since its start.
    #[must_use]
    #[track_caller]
    pub fn agent_renewals(&self) -> u64 {
        self.agent_shown()["renewals"].as_u64().expect("show counts renewals")
    }

    /// Roots of its own trust domain that its agent believes.
    #[must_use]
    #[track_caller]
    pub fn agent_roots(&self) -> usize {
        self.agent_shown()["roots"].as_array().expect("show lists roots").len()
    }

    #[track_caller]
    fn agent_shown(&self) -> serde_json::Value {
        let shown = self.agent_command("show").ok();
        serde_json::from_str(&shown).expect("show prints JSON")
    }

    /// Has its agent renew at once; returns when the agent has the new certificate.
    #[track_caller]
    pub fn renew_certificate(&self) {
        self.try_renew_certificate().ok();
    }

    /// The same, whatever becomes of it.
    #[must_use]
    pub fn try_renew_certificate(&self) -> Finished {
        self.agent_command("renew")
    }

    /// Runs an action of `postern-cert-agent` against this pod's agent: show, renew, health.
    #[must_use]
    pub fn agent_command(&self, action: &str) -> Finished {
        let socket = self.parts.place.path(&self.parts.directory, "agent.sock");
        self.postern("postern-cert-agent", &[action, "--socket", &socket.to_string_lossy()])
    }

    /// Waits until the proxy says it is ready; panics with its output when it ends instead, or never is.
    #[track_caller]
    pub fn ready(&self) {
        wait::until(&format!("the proxy of {} to be ready", self.name()), PATIENCE, || {
            if let Some(status) = self.with_proxy(Process::ended) {
                let said = self.with_proxy(|proxy| proxy.stderr());
                panic!(
                    "the proxy of {} ended with {status} before it was ready:\n{said}",
                    self.name()
                );
            }
            match self.own_http(self.parts.own.readiness, "/ready") {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!("{}: {}", answer.status, answer.body.trim())),
                Err(error) => Err(error),
            }
        });
    }

    /// Whether the proxy says it is ready now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.own_http(self.parts.own.readiness, "/ready").is_ok_and(|answer| answer.status == 200)
    }

    /// A scrape of the proxy's metrics.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let answer =
            self.own_http(self.parts.own.metrics, "/metrics").expect("the proxy serves metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        Metrics::parse(&answer.body)
    }

    /// Waits until a metric with these labels counts above zero: records are written when a connection ends, which
    /// may be a moment after the caller has its answer.
    #[track_caller]
    pub fn expect_metric(&self, name: &str, labels: &[(&str, &str)]) {
        wait::until(
            &format!("{name}{labels:?} of {} above zero", self.name()),
            Duration::from_secs(5),
            || {
                let metrics = self.metrics();
                if metrics.sum(name, labels) > 0.0 { Ok(()) } else { Err(metrics.lines(name)) }
            },
        );
    }

    /// An answer of the proxy's admin port.
    #[must_use]
    #[track_caller]
    pub fn admin(&self, path: &str) -> HttpAnswer {
        self.own_http(self.parts.own.admin, path).expect("the proxy serves its admin port")
    }

    /// The proxy's log so far.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        LogLine::read(&self.with_proxy(|proxy| proxy.stdout()))
    }

    /// Waits until the proxy has logged a line with these fields.
    #[track_caller]
    pub fn expect_log(&self, fields: &[(&str, &str)]) -> LogLine {
        wait::until(
            &format!("a log line of {} with {fields:?}", self.name()),
            Duration::from_secs(5),
            || {
                let found = self.log().into_iter().find(|line| line.has(fields));
                found.ok_or_else(|| format!("{} other lines", self.log().len()))
            },
        )
    }

    /// Asks `postern-proxy explain` about one request, with this pod's configuration.
    #[must_use]
    #[track_caller]
    pub fn explain(&self, request: &serde_json::Value) -> serde_json::Value {
        let question = self.parts.directory.join("explain.json");
        std::fs::write(&question, format!("{request}\n")).expect("a question can be written");
        let config = self.parts.place.path(&self.parts.directory, "proxy.yaml");
        let script = "exec \"$1\" explain --config \"$2\" < \"$3\"";
        let question = self.parts.place.path(&self.parts.directory, "explain.json");
        let program = binary("postern-proxy");
        let text = |path: &Path| path.to_str().expect("our paths are text").to_owned();
        let arguments = ["-c", script, "sh", &text(&program), &text(&config), &text(&question)];
        let answer = self.command("sh", &arguments).ok();
        serde_json::from_str(answer.trim()).unwrap_or_else(|_| panic!("explain answered {answer}"))
    }

    fn own_http(&self, port: u16, path: &str) -> Result<HttpAnswer, String> {
        let path = path.to_owned();
        self.run(async move { raw::http_get((Ipv4Addr::LOCALHOST, port).into(), &path).await })
    }
}
