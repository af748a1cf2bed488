//! `/ready`, `/live`, `/metrics`, and on loopback `/status`, what the controller knows and what is wrong, and `/dashboard`.

use std::fmt::Write as _;
use std::sync::Arc;

use dashboard::DashboardData;
use process_metrics::ProcessMetrics;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::credentials::OwnCredentials;
use super::dashboard_data;
use super::shared::{KindState, Shared};
use crate::status_pages::StatusPages;

/// The most endpoints without a proxy that are named.
const MOST_OUTSIDERS: usize = 1000;

/// What the pages show.
#[derive(Debug, Clone)]
pub struct ControllerPages {
    /// The index and the watches.
    pub shared: Arc<Shared>,
    /// Our certificate.
    pub credentials: watch::Receiver<Option<Arc<OwnCredentials>>>,
    /// Whether we lead.
    pub leads: watch::Receiver<bool>,
    /// Whether `/status` and `/dashboard`, which name objects, are served here.
    pub with_status: bool,
}

impl StatusPages for ControllerPages {
    fn unready(&self) -> Option<String> {
        if self.credentials.borrow().is_none() {
            return Some("no certificate yet".into());
        }
        let kind = self.shared.unknown_kind()?;
        Some(format!("{} are not listed yet", kind.as_str()))
    }

    fn metrics(&self) -> String {
        let mut out = String::new();
        let mut gauge = |name: &str, help: &str, values: Vec<(String, u64)>| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
            for (labels, value) in values {
                let _ = writeln!(out, "{name}{labels} {value}");
            }
        };
        let connected = self.shared.connected() as u64;
        let none = String::new;
        gauge(
            "postern_controller_connected_proxies",
            "Proxies with an open stream",
            vec![(none(), connected)],
        );
        gauge(
            "postern_controller_leader",
            "1 while this replica writes conditions and trust bundles",
            vec![(none(), u64::from(*self.leads.borrow()))],
        );
        let kinds = self.shared.kinds();
        let watched = kinds.iter().map(|(kind, state)| {
            let fine =
                matches!(state, KindState::Watched | KindState::Absent | KindState::Unwatched);
            (format!("{{kind=\"{}\"}}", kind.as_str()), u64::from(fine))
        });
        gauge(
            "postern_controller_watch_up",
            "1 while the kind is watched, or known to be absent",
            watched.collect(),
        );
        let index = self.shared.index();
        let objects =
            index.counts().map(|(kind, count)| (format!("{{kind=\"{kind}\"}}"), count as u64));
        gauge("postern_controller_objects", "Objects known", objects.into());
        gauge(
            "postern_controller_refused_policies",
            "Policies with mistakes",
            vec![(none(), index.refused().len() as u64)],
        );
        gauge(
            "postern_controller_endpoints_without_proxy",
            "Endpoints of services in the mesh that no proxy protects, at most 1000",
            vec![(none(), index.outsiders(MOST_OUTSIDERS).len() as u64)],
        );
        // A fresh set gives the same: its numbers are the kernel's.
        out + &ProcessMetrics::new().map(|process| process.text()).unwrap_or_default()
    }

    fn status(&self) -> Option<String> {
        self.with_status.then(|| format!("{:#}\n", self.status_value()))
    }

    fn dashboard(&self) -> Option<DashboardData> {
        self.with_status.then(|| dashboard_data::collect(&self.shared, self.unready().is_some()))
    }

    fn only_for_loopback(&self) -> bool {
        self.with_status
    }
}

impl ControllerPages {
    fn status_value(&self) -> Value {
        let kinds = self.shared.kinds();
        let watches: serde_json::Map<String, Value> = kinds
            .iter()
            .map(|(kind, state)| (kind.as_str().to_owned(), watch_value(state)))
            .collect();
        let index = self.shared.index();
        let outsiders = index.outsiders(MOST_OUTSIDERS).into_iter().map(|outsider| {
            json!({
                "service": outsider.service.to_string(),
                "address": outsider.ip.to_string(),
                "pod": outsider.pod.as_deref(),
            })
        });
        let refused = index.refused().into_iter();
        let reports = self.shared.reports().counts();
        json!({
            "leader": *self.leads.borrow(),
            "proxies": self.shared.connected(),
            "reports": {
                "proxies": reports.proxies, "bytes": reports.bytes,
                "refused": reports.refused, "dropped": reports.dropped,
            },
            "watches": watches,
            "objects": index.counts().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "endpoints_without_proxy": outsiders.collect::<Vec<_>>(),
            "refused_policies": refused
                .map(|(name, mistakes)| json!({"policy": name.to_string(), "mistakes": mistakes}))
                .collect::<Vec<_>>(),
        })
    }
}

fn watch_value(state: &KindState) -> Value {
    match state {
        KindState::Starting => "not listed yet".into(),
        KindState::Watched => "watched".into(),
        KindState::Unwatched => "not watched: there are no gateways here (--gateways)".into(),
        KindState::Absent => {
            "absent: the API server knows no such kind; asked again every 20 s".into()
        }
        KindState::Stale(error) => format!("stale, what was known holds: {error}").into(),
        KindState::Failing(error) => format!("never listed: {error}").into(),
    }
}
