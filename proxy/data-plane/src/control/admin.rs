//! The small HTTP servers beside the data path: admin on loopback, metrics, readiness.
//!
//! They run on the control thread, so that a busy worker never delays a scrape. The admin endpoint answers only a
//! `Host` that names the loopback (SECURITY-CASES S-43: DNS rebinding), has no CORS, and accepts a change only by
//! `POST` with the token.

mod answers;
pub(super) mod dashboard_data;

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};
use page_server::response::{JSON, page, text};
use page_server::{Page, PageLimits, PageRequest, PageServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::control::app_metrics;
use crate::control::config::Config;
use crate::control::probes::{self, ProbeOutcome};
use crate::telemetry::LogLevels;
use crate::traffic::state::ProxyState;

/// The largest body a `POST` may have, bytes.
const MAX_BODY: usize = 1024;
/// The largest head of a request, bytes: a kubelet sends whatever fields a probe names.
const MAX_HEAD: usize = 408 * 1024;
/// What a scrape is answered with.
const PROMETHEUS: &str = "text/plain; version=0.0.4";

/// Which of the servers a listener belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// `/dashboard /blocks /config /connections /certificates /decisions /services`, `POST /drain …`.
    Admin,
    /// `/metrics`.
    Metrics,
    /// `/ready` and `/live`.
    Readiness,
}

/// The state that the servers answer from.
pub struct AdminContext {
    /// The proxy.
    pub state: Arc<ProxyState>,
    /// The configuration.
    pub config: Arc<Config>,
    /// The configuration file as it was read.
    pub config_text: String,
    /// Changes the log level, where the process writes a log.
    pub levels: Option<LogLevels>,
}

/// Serves a listener until it is told to stop.
pub async fn serve(
    listener: TcpListener,
    server: ServerKind,
    context: Arc<AdminContext>,
    stop: CancellationToken,
) {
    let limits = &context.config.limits;
    let limits = PageLimits {
        connections: usize::try_from(limits.admin_connections).unwrap_or(1),
        head_bytes: MAX_HEAD,
        head_deadline: limits.admin_timeout,
        // Each request has a deadline; a scraper may keep its connection.
        connection_deadline: None,
        unread_deadline: Some(limits.admin_timeout),
    };
    let state = context.state.clone();
    let report = move |error: &std::io::Error| {
        if state.accept_trouble.is_due(state.clock.coarse()) {
            tracing::warn!(%error, "cannot accept; retrying");
        }
    };
    let answered = move |request| answer(server, context.clone(), request);
    PageServer::new(limits).until(stop).on_accept_error(report).serve(listener, answered).await;
}

async fn answer(server: ServerKind, context: Arc<AdminContext>, request: PageRequest) -> Page {
    if server == ServerKind::Readiness
        && let Some(answer) = probe(&context, &request).await
    {
        // Bounded by the probe's own timeout, which may be longer than ours.
        return answer;
    }
    let limit = context.config.limits.admin_timeout;
    let answered = tokio::time::timeout(limit, async {
        match server {
            ServerKind::Metrics => metrics(&context, &request).await,
            ServerKind::Readiness => readiness(&context, &request),
            ServerKind::Admin => admin(&context, request).await,
        }
    });
    answered.await.unwrap_or_else(|_| text(StatusCode::REQUEST_TIMEOUT, "too slow\n"))
}

async fn metrics(context: &AdminContext, request: &PageRequest) -> Page {
    if request.method() != Method::GET || request.path() != "/metrics" {
        return text(StatusCode::NOT_FOUND, "GET /metrics\n");
    }
    let config = &context.config;
    let mut apps = Vec::new();
    if let Some(app) = &config.app_metrics {
        let fetched = app_metrics::fetch(config, app, request.local_address()).await;
        let result = fetched.as_ref().err().map_or("success", |missing| missing.result);
        context.state.metrics.app_metrics(result);
        match fetched {
            Ok(text) => apps = text,
            Err(missing) => tracing::debug!(missing.error, "the app's metrics are left out"),
        }
    }
    page(StatusCode::OK, PROMETHEUS, context.state.metrics.render(&apps))
}

/// Runs the probe that the path names against the app; `None` when the path names no probe.
async fn probe(context: &AdminContext, request: &PageRequest) -> Option<Page> {
    let config = &context.config;
    let probe = probes::find(config, request.path())?;
    if request.method() != Method::GET {
        return Some(text(StatusCode::METHOD_NOT_ALLOWED, "GET it\n"));
    }
    Some(match probes::ask(config, probe, request.local_address(), request.headers()).await {
        ProbeOutcome::Good => text(StatusCode::OK, "the app is fine\n"),
        ProbeOutcome::Status(status) => {
            let said = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            // A status below 200 is invalid as an answer, and one from 200 to 399 was a success.
            let said = if said.as_u16() < 400 { StatusCode::SERVICE_UNAVAILABLE } else { said };
            text(said, format!("the app answered {status}\n"))
        }
        ProbeOutcome::Failed(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    })
}

fn readiness(context: &AdminContext, request: &PageRequest) -> Page {
    match (request.method(), request.path()) {
        (&Method::GET, "/live") => text(StatusCode::OK, "live\n"),
        (&Method::GET, "/ready") => match context.state.unready_reason() {
            None => {
                let certificate = context.state.certificate_state().map_or("none", |s| s.as_str());
                text(StatusCode::OK, format!("ready\ncertificate: {certificate}\n"))
            }
            Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "GET /ready or /live\n"),
    }
}

async fn admin(context: &AdminContext, request: PageRequest) -> Page {
    if !request.names_loopback() {
        return text(StatusCode::FORBIDDEN, "the Host must be localhost, 127.0.0.1 or [::1]\n");
    }
    let path = request.path().to_owned();
    if let Some(page) = dashboard::answer(request.method(), &path) {
        return page;
    }
    match (request.method(), path.as_str()) {
        (&Method::GET, "/config") => {
            let rule_sets = answers::rule_sets(&context.state);
            text(StatusCode::OK, format!("{}{rule_sets}", context.config_text))
        }
        (&Method::GET, "/connections") => json(&answers::connections(&context.state)),
        (&Method::GET, "/certificates") => json(&answers::certificates(&context.state)),
        (&Method::GET, "/decisions") => json(&context.state.decisions.recent()),
        (&Method::GET, "/detections") => json(&context.state.detections.recent()),
        (&Method::GET, "/blocks") => json(&context.state.abuse.blocks()),
        (&Method::GET, "/services") => json(&answers::services(&context.state)),
        (&Method::GET, path) if dashboard::is_data(path) => {
            dashboard::data_page(&dashboard_data::collect(&context.state))
        }
        (&Method::POST, "/drain" | "/quitquitquit" | "/log-level") => {
            change(context, &path, request).await
        }
        (_, "/drain" | "/quitquitquit" | "/log-level") => {
            text(StatusCode::METHOD_NOT_ALLOWED, "POST it, with the token\n")
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "GET /dashboard /blocks /config /connections /certificates /decisions /detections /services, POST /drain /quitquitquit /log-level\n",
        ),
    }
}

async fn change(context: &AdminContext, path: &str, request: PageRequest) -> Page {
    let open = path == "/quitquitquit" && context.config.admin.drain_from_pod;
    if !open && !has_token(context, request.headers()) {
        return text(
            StatusCode::FORBIDDEN,
            "needs `Authorization: Bearer` with the token of `admin.tokenFile`\n",
        );
    }
    match path {
        "/drain" => crate::control::drain::announce(&context.state),
        "/quitquitquit" => crate::control::drain::end(&context.state),
        _ => {
            let body = request.body(MAX_BODY).await.unwrap_or_default();
            let level = String::from_utf8_lossy(&body).trim().to_owned();
            if !context.levels.as_ref().is_some_and(|levels| levels.set(&level)) {
                return text(
                    StatusCode::BAD_REQUEST,
                    "the body is one of: error warn info debug trace\n",
                );
            }
        }
    }
    text(StatusCode::OK, "done\n")
}

/// The token is read at each use, so that it can be replaced; the comparison takes constant time.
fn has_token(context: &AdminContext, headers: &HeaderMap) -> bool {
    let Some(file) = &context.config.admin.token_file else { return false };
    let Ok(token) = std::fs::read_to_string(file) else { return false };
    let token = token.trim();
    let given = headers.get(AUTHORIZATION).and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
    let same = given.is_some_and(|given| {
        aws_lc_rs::constant_time::verify_slices_are_equal(given, token.as_bytes()).is_ok()
    });
    same && !token.is_empty()
}

fn json(value: &impl serde::Serialize) -> Page {
    // These answers have string keys only, so serialization cannot fail.
    page(StatusCode::OK, JSON, serde_json::to_vec_pretty(value).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn s43_admin_and_debug_silent_connections_keep_nobody_out() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let text = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\nlimits: {adminConnections: 2}\n";
        let config = Config::parse("p", text.as_bytes()).unwrap();
        let state = ProxyState::new(config.traffic_settings(), 1).unwrap();
        let config = Arc::new(config);
        let context = AdminContext { state, config, config_text: String::new(), levels: None };
        let context = Arc::new(context);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, ServerKind::Readiness, context, CancellationToken::new()));
        let mut silent = Vec::new();
        for _ in 0..5 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut kubelet = TcpStream::connect(address).await.unwrap();
        kubelet.write_all(b"GET /live HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        let read = kubelet.read_exact(&mut answer);
        tokio::time::timeout(Duration::from_secs(5), read).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        // The oldest decisions are dropped first, never the newest.
        assert_eq!(silent[0].read(&mut answer).await.unwrap_or(0), 0);
    }
}
