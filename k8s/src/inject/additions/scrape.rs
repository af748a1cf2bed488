//! The app's own metrics: the `prometheus.io/…` annotations are pointed at the proxy, which adds the
//! app's answer to its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Where the proxy serves metrics.
pub(crate) const METRICS_PORT: u16 = 15020;

const SCRAPE: &str = "prometheus.io/scrape";
const PORT: &str = "prometheus.io/port";
const PATH: &str = "prometheus.io/path";
const SCHEME: &str = "prometheus.io/scheme";

/// Where the app serves its metrics, in the proxy's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppMetrics {
    port: u16,
    path: String,
}

/// Points the annotations at the proxy; what they named before is the answer.
///
/// An app that says `scrape: "false"`, or that serves metrics in a way the proxy does not fetch
/// them (HTTPS, a port that is no number), is left as it is.
pub(crate) fn redirect_scrapes(
    annotations: &mut Map<String, Value>,
    before: &BTreeMap<String, String>,
    known: Option<AppMetrics>,
) -> Option<AppMetrics> {
    let get = |key: &str| before.get(key).map(String::as_str);
    let wants = get(SCRAPE);
    if wants.is_some_and(|wants| wants != "true") {
        return None;
    }
    if get(PORT) == Some("15020") {
        return known;
    }
    let app = match (wants, get(PORT)) {
        (Some(_), Some(port)) => {
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let path = get(PATH).unwrap_or("/metrics");
            if get(SCHEME).unwrap_or("http") != "http" || !path.starts_with('/') {
                return None;
            }
            Some(AppMetrics { port, path: path.to_owned() })
        }
        // Scraped without a port: every declared one, which only Prometheus can do.
        (Some(_), None) => return None,
        (None, _) => None,
    };
    for (key, value) in [(SCRAPE, "true"), (PORT, "15020"), (PATH, "/metrics"), (SCHEME, "http")] {
        annotations.insert(key.to_owned(), value.into());
    }
    app
}
