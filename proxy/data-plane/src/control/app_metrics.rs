//! The app's own metrics, added to the proxy's on one port that Prometheus reaches without a certificate.
//!
//! They are fetched for each scrape, within a time and a size limit. An answer that is late, too long or in another
//! format is left out as a whole and counted: half of it would make the scrape fail. Lines that use the proxy's metric
//! names are left out too, so that an app cannot fake metrics of the proxy.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty, Limited};

use crate::control::config::{AppMetrics, Config};
use crate::control::probes;

/// The prefix of the proxy's own metric names.
const OURS: &[u8] = b"postern_";
/// The text format (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const TEXT: &str = "text/plain;version=0.0.4";

/// Why the app's metrics are missing from the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingAppMetrics {
    /// For the counter: `unreachable`, `status`, `format`, `too_large` or `timeout`.
    pub(crate) result: &'static str,
    /// For the log.
    pub(crate) error: String,
}

fn missing(result: &'static str, error: impl ToString) -> MissingAppMetrics {
    MissingAppMetrics { result, error: error.to_string() }
}

/// Fetches the app's metrics. `local` is the address at which the scrape reached us.
///
/// # Errors
/// [`MissingAppMetrics`].
pub(crate) async fn fetch(
    config: &Config,
    app: &AppMetrics,
    local: SocketAddr,
) -> Result<Vec<u8>, MissingAppMetrics> {
    let limit = config.limits.app_metrics_timeout;
    tokio::time::timeout(limit, get(config, app, local))
        .await
        .unwrap_or_else(|_| Err(missing("timeout", format!("no answer within {limit:?}"))))
        .map(|text| cleaned(&text))
}

async fn get(
    config: &Config,
    app: &AppMetrics,
    local: SocketAddr,
) -> Result<Bytes, MissingAppMetrics> {
    let stream = probes::connect(config, local, app.port).await;
    let stream = stream.map_err(|error| missing("unreachable", error))?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from(app.path.clone());
    let host = SocketAddr::new(local.ip().to_canonical(), app.port).to_string();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&host).map_err(|e| missing("unreachable", e))?);
    headers.insert(ACCEPT, HeaderValue::from_static(TEXT));
    let answer = probes::send(Box::new(stream), request).await;
    let answer = answer.map_err(|error| missing("unreachable", error))?;
    if answer.status() != http::StatusCode::OK {
        return Err(missing("status", format!("the app answered {}", answer.status())));
    }
    if !is_text(answer.headers()) {
        return Err(missing("format", "the app answered in another format than text"));
    }
    let most = config.limits.app_metrics_bytes.bytes();
    let body = Limited::new(answer.into_body(), most).collect().await;
    body.map(http_body_util::Collected::to_bytes).map_err(|error| missing("too_large", error))
}

/// Text, or no content type at all. OpenMetrics and the binary format cannot be mixed with the text format.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or("").split(';').next().unwrap_or("").trim();
    kind.is_empty() || kind.eq_ignore_ascii_case("text/plain")
}

/// The lines without those of the proxy's names, ending in a newline. Names in quotes, which newer scrapers read, are
/// not part of the requested format, and could be the proxy's names under another spelling: they are left out, too.
fn cleaned(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1);
    for line in text.split(|b| *b == b'\n').filter(|line| !line.is_empty() && !is_about_us(line)) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out
}

fn is_about_us(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    let is_ours =
        |name: &[u8]| name.starts_with(OURS) || name.starts_with(b"{") || name.starts_with(b"\"");
    let Some(comment) = line.strip_prefix(b"#") else { return is_ours(line) };
    let comment = comment.trim_ascii_start();
    let name = [&b"HELP"[..], b"TYPE"].iter().find_map(|keyword| comment.strip_prefix(*keyword));
    name.is_some_and(|name| is_ours(name.trim_ascii_start())) || comment == b"EOF"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_us_are_left_out() {
        let check = |text: &str, expect: &str| {
            assert_eq!(String::from_utf8_lossy(&cleaned(text.as_bytes())), expect, "{text:?}");
        };
        check("a 1\nb 2", "a 1\nb 2\n");
        check("", "");
        check("postern_panics_total 0\na 1\n", "a 1\n");
        check("  postern_x{a=\"b\"} 1\n", "");
        check(
            "# TYPE postern_x counter\n#HELP  postern_x y\n# HELP a postern_\n",
            "# HELP a postern_\n",
        );
        check("{\"postern_panics_total\"} 9\n{a=\"b\",\"postern_x\"} 1\na 1\n", "a 1\n");
        check("# HELP \"postern_x\" y\n", "");
        check("a 1\n# EOF\n", "a 1\n");
        check("a{b=\"postern_\"} 1\n", "a{b=\"postern_\"} 1\n");
        check("a 1\r\n\r\n", "a 1\r\n\r\n");
    }

    #[test]
    fn only_text_can_be_mixed_with_ours() {
        let check = |kind: &str, expect: bool| {
            let mut headers = HeaderMap::new();
            headers.extend(kind.parse().ok().map(|kind| (CONTENT_TYPE, kind)));
            assert_eq!(is_text(&headers), expect, "{kind:?}");
        };
        check("text/plain; version=0.0.4; charset=utf-8", true);
        check("", true);
        check("application/openmetrics-text; version=1.0.0", false);
        check("application/vnd.google.protobuf; encoding=delimited", false);
        check("text/html", false);
    }
}
