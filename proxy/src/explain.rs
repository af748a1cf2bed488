//! `postern-proxy explain`: what would be decided, offline.
//!
//! JSON lines in, one a request; JSON lines out, in the same order. A request goes the way live
//! traffic goes, by the same functions: the port's mTLS mode, the HTTP gate, the authorizer
//! ([`data_plane::traffic::authorize`]); only sockets are missing.
//!
//! What a line leaves out, or says with null, is taken as follows. No `principal` is plaintext. No
//! `request` is an opaque connection, as on a port declared `tcp`; on a port declared HTTP it is
//! refused, and on an undeclared port whose rules speak of HTTP a note says that live traffic is. A
//! `source` or `destination` without `ip` has the unspecified address, which no block of policy
//! means. What a line says wrongly, an unknown key included, makes it bad input.
//!
//! A line whose `destination` names a `service` is about a call of this workload: which route and rule take it, and where
//! they send it (`outbound`). One whose `destination` names a `gateway` is about a client of it: which listener takes it, and
//! which rule (`gateway`). One with a `message` is about an operation at this workload's broker (`message`).

mod gateway;
mod input;
mod message;
mod outbound;

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use http::StatusCode;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use policy::{
    ApiKeyRefusal, CanonicalPath, ConnectionFacts, GatewaySelection, GatewayTable, NearestMiss,
    RouteTable, Snapshot, TokenClaims,
};
use serde::Serialize;

use crate::check::BAD_CONFIGURATION;
use crate::policy_tools::recorded::{self, RecordedTraffic};
use data_plane::control::config::load;
use data_plane::control::config::{Config, GatewayConfig};
use data_plane::http::gate::{self, GateRefusal, GateSettings, HeadLimits};
use data_plane::http::headers;
use data_plane::traffic::authorize::{
    self, AuthorizationVerdict, OpaqueKind, RequestFacts, ShadowDecision,
};
use data_plane::traffic::client;
use data_plane::traffic::jwt::TokenRefusal;
use input::RequestInput;
pub(crate) use input::{InputLine, LineRead, read_line};
pub(crate) use message::{parse_operation, parse_protocol};
pub use outbound::{BackendAnswer, CalledServices, MirrorAnswer, RedirectAnswer, RouteAnswer};

/// Decide requests offline: JSON lines on stdin, one JSON line each on stdout, in order
///
/// In:  {"source":{"principal":"cluster.local/ns/shop/sa/frontend","ip":"10.0.0.7"},
///       "destination":{"ip":"10.0.0.9","port":8080},"connection":{"sni":""},
///       "request":{"method":"GET","host":"cart","path":"/a?b","headers":{"x":["y"]},
///       "jwt":{"iss":"…","sub":"…","aud":["…"],"claims":{}},
///       "apiKey":{"id":"…","client":"…","scopes":["…"]}}}
/// Out: {"decision":"allow","policy":"shop/cart-allow","rule":0,"reason":"policy_allowed","path":"/a"}
///
/// No `principal` = plaintext, no `request` = TCP; `port` is the app's. `policy` and `rule` are null
/// when the default decided; `nearest` says by what the nearest rule failed, `would` what audited and
/// dry-run policies would have decided otherwise. Exit code 0 whatever the verdicts, 2 after a line
/// that is no request (it is answered with reason bad_input) or with a bad configuration.
///
/// With "destination":{"service":"cart.shop","port":8080} the line is a call of this workload, and the
/// answer says which route takes it, the path that is sent, and where it goes:
/// "route":{"kind":"HTTPRoute","name":"shop/cart-split","rule":0,"backends":[{"service":"cart-v2.shop.svc.cluster.local","port":8080,"weight":9}]}
/// `route` is null where none acts. Who calls is this workload: `source` is not asked.
///
/// With "destination":{"gateway":"shop/edge","port":443} the line is a client's request to a Gateway,
/// and the answer says which listener it belongs to ("listener":"shop/edge:https") and, as above,
/// which route takes it. Without an "sni" the client names the request's host in its handshake.
///
/// With "message":{"protocol":"kafka","operation":"publish","topic":"orders"} in the place of a request the
/// line is about an operation at this workload's broker; it may name "group", "queue", "stream", "clientId",
/// "transactionalId" and "reply":true. The connection is judged first, as opaque bytes.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ExplainArgs {
    /// The configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Resources to judge by instead of those of `resources.directory`.
    #[arg(long, value_name = "DIR")]
    pub resources: Option<PathBuf>,
    /// Judge recorded traffic instead of lines on stdin: an access log of the proxy, or what
    /// `GET /decisions` answered; `-` reads it from stdin. Each answer then repeats under `recorded`
    /// what it is about. Header fields, tokens and API keys are not in a log, so they count as absent; whether a
    /// key is required is not asked.
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// Runs the command on stdin and stdout.
///
/// # Errors
/// Stdin cannot be read or stdout not be written.
pub fn command(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let checked = match load::load(&args.config, args.resources.as_deref()) {
        Ok(checked) => checked,
        Err(mistakes) => {
            writeln!(io::stderr(), "{mistakes}")?;
            return Ok(ExitCode::from(BAD_CONFIGURATION));
        }
    };
    let snapshot = checked.snapshot();
    if let Some(log) = &args.log {
        replay(&checked.config, &snapshot, log, io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    // A sidecar's configuration says nothing of Gateways: then all of our class are asked about.
    let served = checked.config.gateway.as_ref();
    let served = served.map_or_else(GatewaySelection::default, GatewayConfig::selection);
    let called = CalledServices {
        routes: RouteTable::build(&checked.resources, &checked.config.workload),
        gateways: GatewayTable::build(&checked.resources, &served),
        resources: &checked.resources,
    };
    let outcome =
        run(&checked.config, &snapshot, &called, io::stdin().lock(), io::stdout().lock())?;
    Ok(match outcome {
        ExplainOutcome::AllUnderstood => ExitCode::SUCCESS,
        ExplainOutcome::BadInput => ExitCode::from(BAD_CONFIGURATION),
    })
}

/// Answers every request and connection of a log on `writer`.
fn replay(
    config: &Config,
    snapshot: &Snapshot,
    log: &Path,
    mut writer: impl Write,
) -> anyhow::Result<()> {
    for recorded in recorded::read_file(log)?.seen {
        let answer = explain(config, snapshot, &InputLine::recorded(&recorded));
        serde_json::to_writer(&mut writer, &ReplayedRequest { recorded: &recorded, answer })?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}

/// An answer with what it is about.
#[derive(Serialize)]
struct ReplayedRequest<'a> {
    recorded: &'a RecordedTraffic,
    #[serde(flatten)]
    answer: ExplainAnswer,
}

/// Whether every line was a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainOutcome {
    /// Every line was understood, whatever its verdict.
    AllUnderstood,
    /// At least one line was not, and was answered with `bad_input`.
    BadInput,
}

/// Answers every line of `reader` on `writer`. Lines longer than `limits.explainLine` are skipped
/// and answered as bad input; blank lines are no requests and get no answer.
///
/// # Errors
/// Reading or writing fails.
pub fn run(
    config: &Config,
    snapshot: &Snapshot,
    called: &CalledServices<'_>,
    mut reader: impl BufRead,
    mut writer: impl Write,
) -> io::Result<ExplainOutcome> {
    let most = config.limits.explain_line.bytes();
    let mut outcome = ExplainOutcome::AllUnderstood;
    let mut line = Vec::new();
    loop {
        line.clear();
        let answer = match input::read_line(&mut reader, &mut line, most)? {
            input::LineRead::End => break,
            input::LineRead::Line if line.trim_ascii().is_empty() => continue,
            input::LineRead::Line => {
                InputLine::parse(&line).map(|line| match (line.called(), line.at_gateway()) {
                    (Some(service), _) => called.explain(config, snapshot, service, &line),
                    (None, Some(at)) => called.explain_gateway(config, snapshot, at, &line),
                    (None, None) => explain(config, snapshot, &line),
                })
            }
            input::LineRead::TooLong => Err(format!("the line is longer than {most} bytes")),
        };
        let answer = answer.unwrap_or_else(|error| {
            outcome = ExplainOutcome::BadInput;
            ExplainAnswer { error: Some(error), ..ExplainAnswer::deny("bad_input") }
        });
        serde_json::to_writer(&mut writer, &answer)?;
        writer.write_all(b"\n")?;
        // Whoever asks line by line waits for each answer.
        writer.flush()?;
    }
    Ok(outcome)
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainAnswer {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The deciding policy, `namespace/name`; null when no rule decided.
    pub policy: Option<Arc<str>>,
    /// The deciding rule's index; null when no rule decided.
    pub rule: Option<u32>,
    /// The stable reason.
    pub reason: &'static str,
    /// The canonical path; null on TCP and where the gate refused the request.
    pub path: Option<String>,
    /// After a refusal for want of a matching rule: the rule that came nearest; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestMiss>,
    /// What dry runs and `AUDIT` policies would have decided otherwise; absent when nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would: Vec<ShadowDecision>,
    /// Where live traffic depends on what the line cannot say, or the app will not see all of the
    /// request; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    /// What is wrong with a line that is no request; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of a client of a gateway: the listener that its request belongs to, `namespace/name:section`; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Arc<str>>,
    /// Of a call of this workload or of a client of a gateway: the rule that takes it, null where no route acts; absent
    /// otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Option<RouteAnswer>>,
}

impl ExplainAnswer {
    fn allow(reason: &'static str) -> Self {
        Self { decision: "allow", ..Self::deny(reason) }
    }

    fn deny(reason: &'static str) -> Self {
        Self {
            decision: "deny",
            policy: None,
            rule: None,
            reason,
            path: None,
            nearest: None,
            would: Vec::new(),
            note: None,
            error: None,
            listener: None,
            route: None,
        }
    }

    fn of(verdict: AuthorizationVerdict, path: Option<&str>) -> Self {
        Self {
            decision: verdict.decision_label(),
            policy: verdict.decider().map(|decider| Arc::clone(decider.policy())),
            rule: verdict.decider().map(policy::Decider::rule),
            reason: verdict.reason(),
            path: path.map(str::to_owned),
            nearest: verdict.nearest,
            would: verdict.shadow,
            note: None,
            error: None,
            listener: None,
            route: None,
        }
    }
}

/// Said of bytes without a request on an undeclared port whose rules speak of HTTP.
const UNDECLARED: &str = "the port is not declared: live bytes that are not HTTP are refused here \
                          (protocol_undecided), because rules speak of HTTP; declare it tcp";

/// Said of a request that reaches the app without some of its fields.
const DROPPED: &str =
    "the fields with an underscore in their name are dropped: headersWithUnderscores is drop";

/// Decides one line: the connection first, because a connection that is refused carries no request.
pub(crate) fn explain(config: &Config, snapshot: &Snapshot, line: &InputLine) -> ExplainAnswer {
    let connection = line.connection();
    if let Some(refused) = authorize::plaintext(snapshot, &connection) {
        return ExplainAnswer::of(refused, None);
    }
    match (&line.request, &line.message) {
        (None, Some(message)) => message::explain(config, snapshot, &connection, message),
        (None, None) => explain_opaque(config, snapshot, &connection),
        (Some(request), _) => match explain_request(config, snapshot, &connection, request) {
            Ok(answer) => answer,
            Err(refusal) => ExplainAnswer::deny(refusal.reason),
        },
    }
}

/// Decides the operation of a line about a message, whatever is said of its connection; `None` for another line.
pub(crate) fn explain_operation(snapshot: &Snapshot, line: &InputLine) -> Option<ExplainAnswer> {
    let message = line.message.as_ref()?;
    Some(message::explain_operation(snapshot, &line.connection(), message))
}

fn explain_opaque(
    config: &Config,
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
) -> ExplainAnswer {
    let port = connection.destination.port();
    let declared = config.inbound.declared_protocol(port);
    let carries = if declared.is_http() { OpaqueKind::Undecided } else { OpaqueKind::Tcp };
    let verdict = authorize::opaque(snapshot, connection, carries);
    let unsure = carries == OpaqueKind::Tcp && authorize::must_be_http(snapshot, declared, port);
    ExplainAnswer { note: unsure.then_some(UNDECLARED), ..ExplainAnswer::of(verdict, None) }
}

/// Takes the request through the HTTP gate, as an HTTP/1.1 request on a mesh connection, and judges it.
fn explain_request(
    config: &Config,
    snapshot: &Snapshot,
    connection: &ConnectionFacts<'_>,
    request: &RequestInput,
) -> Result<ExplainAnswer, GateRefusal> {
    let token = request.jwt.as_ref().map(input::TokenInput::claims);
    let api_key = request.api_key.as_ref().map(input::ApiKeyInput::facts);
    let mut parts = request_parts(config, request)?;
    let admitted = gate::admit(&mut parts, &gate_settings(config, snapshot))?;
    let believed = &config.inbound.forwarded_for;
    let sender = client::sender(believed, connection.peer);
    headers::strip_forwarded_identity(&mut parts.headers, sender);
    let path = admitted.path()?;
    let remote_ip = client::remote_ip(believed, sender, &parts.headers);
    let connection = &ConnectionFacts { remote_ip, ..*connection };
    let asked = RequestFacts {
        method: &parts.method,
        host: admitted.host(),
        path: &path,
        headers: &parts.headers,
        token: token.as_ref(),
        api_key: api_key.as_ref(),
    };
    if let Some(token) = &token
        && !may_present(snapshot, connection, token)
    {
        let path = Some(path.as_str().to_owned());
        return Ok(ExplainAnswer { path, ..ExplainAnswer::deny(TokenRefusal::Presenter.as_str()) });
    }
    let lacks_key = api_key.is_none() && !request.recorded && !headers::is_preflight(&parts);
    if lacks_key && snapshot.api_keys().rules(None).are_required() {
        let path = Some(path.as_str().to_owned());
        return Ok(ExplainAnswer { path, ..ExplainAnswer::deny(ApiKeyRefusal::Missing.as_str()) });
    }
    let verdict = authorize::request(snapshot, connection, &asked);
    let note = (admitted.dropped > 0).then_some(DROPPED);
    Ok(ExplainAnswer { note, ..ExplainAnswer::of(verdict, Some(path.as_str())) })
}

/// The gate of the proxy, for a request over HTTP/1.1 on a plain connection.
fn gate_settings<'a>(config: &Config, snapshot: &'a Snapshot) -> GateSettings<'a> {
    GateSettings {
        default_port: Some(80),
        dialled: None,
        normalization: config.path_normalization,
        head: HeadLimits::of(&config.limits),
        named: Some(snapshot.header_names()),
        underscores: config.headers_with_underscores,
    }
}

/// Whether a TokenPolicy lets this peer present the issuer's tokens; what else is asked of a token
/// was asked when it was verified.
fn may_present(snapshot: &Snapshot, connection: &ConnectionFacts<'_>, token: &TokenClaims) -> bool {
    let mut rules = snapshot
        .tokens()
        .rules()
        .iter()
        .filter(|rule| *rule.jwt.issuer == *token.issuer)
        .peekable();
    rules.peek().is_none() || rules.any(|rule| rule.may_present(connection.peer))
}

/// A header name or value that the HTTP library refuses before the gate sees it (RFC 9110 §5.5).
const INVALID_HEADER: GateRefusal =
    GateRefusal { status: StatusCode::BAD_REQUEST, reason: "invalid_header", close: true };

/// The request as the HTTP library would hand it over. What the library itself refuses is refused here.
fn request_parts(config: &Config, request: &RequestInput) -> Result<Parts, GateRefusal> {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = request.method.parse().map_err(|_| GateRefusal::UNKNOWN_METHOD)?;
    parts.uri = request.path.parse().map_err(|_| path_refusal(config, &request.path))?;
    parts.headers = headers(request).ok_or(INVALID_HEADER)?;
    Ok(parts)
}

/// Why a target is refused: the path's own reason, where the path is what is wrong.
fn path_refusal(config: &Config, path: &str) -> GateRefusal {
    CanonicalPath::parse(path, config.path_normalization)
        .map_or_else(GateRefusal::path, |_| GateRefusal::TARGET)
}

fn headers(request: &RequestInput) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    if let Some(host) = &request.host {
        headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).ok()?);
    }
    for (name, values) in request.headers.iter().flat_map(|headers| &headers.0) {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        for value in values {
            headers.try_append(&name, HeaderValue::from_bytes(value.as_bytes()).ok()?).ok()?;
        }
    }
    Some(headers)
}

#[cfg(test)]
mod tests;
