//! What can go wrong with a request or a connection, in one place: whose fault it is, what the caller receives, what
//! the metrics and the log record, and whether the request may be sent again.

use std::fmt;

use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue,
    RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use policy::{ApiKeyRefusal, Denial};

use crate::http::body::{Body, BodyFailure};
use crate::http::gate::GateRefusal;
use crate::http::gate::answer::BadAnswer;
use crate::http::headers::REASON_HEADER;
use crate::http::{
    ApiRefusal, BlockRefusal, LimitRefusal, LimitRefusalKind, SignInRefusal, ThreatRefusal,
    TokenRefusal,
};

/// The reason of an app that no connection could be opened to: it has seen nothing of the request.
pub const APP_UNREACHABLE: &str = "app_unreachable";
/// The reason of an app that broke the connection before it answered: it may have seen the request.
pub const APP_RESET: &str = "app_reset";

/// The reason of a client that broke off.
pub const CLIENT_GONE: &str = "client_gone";
/// The reason of an app, or a server, whose answer cannot be passed on.
pub const BAD_RESPONSE: &str = "bad_response";

/// The other end of the connection on which a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherEnd {
    /// Our own app.
    App,
    /// Another workload, or a server outside of the mesh.
    Upstream,
}

impl fmt::Display for OtherEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "the app",
            Self::Upstream => "the upstream",
        })
    }
}

/// Why a request was not answered by the app.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The HTTP gate refused it.
    #[error("refused by the HTTP gate: {}", .0.reason)]
    Gate(GateRefusal),
    /// Its token is not valid.
    #[error("refused token: {0}")]
    Token(TokenRefusal),
    /// Its token's issuer does not say whether it is active.
    #[error("the token's issuer does not say in time whether it is active")]
    IntrospectionUnavailable,
    /// Its API key is not accepted.
    #[error("refused API key: {0}")]
    ApiKey(ApiKeyRefusal),
    /// Nobody is signed in, or could be.
    #[error("refused by a SignIn: {0}")]
    SignIn(SignInRefusal),
    /// Policy refused it.
    #[error("refused by policy: {0}")]
    Denied(Denial),
    /// Policy changed while the request was under way, and refuses it now.
    #[error("policy no longer allows the request")]
    Withdrawn,
    /// A CONNECT stream that is not served here: wrong protocol or authority.
    #[error("a mesh stream that is not served here: {0}")]
    BadStream(&'static str),
    /// A CONNECT stream of a protocol that this version does not know.
    #[error("a mesh stream of an unknown protocol")]
    UnknownStream,
    /// No service has this name or address, and egress is denied.
    #[error("no service is known for {0}, and egress is denied")]
    UnknownDestination(String),
    /// The controller did not answer in time what the destination is, or its answer cannot be used.
    #[error("the controller did not say in time what {0} is, or not so that it can be used")]
    Unresolved(String),
    /// The service is known, but not the identity that its endpoints must present.
    #[error("the service {0} names no identity, so no endpoint could be believed")]
    NoIdentity(String),
    /// The service has no endpoint.
    #[error("the service {0} has no endpoint")]
    NoEndpoint(String),
    /// This proxy holds no valid certificate.
    #[error("no valid certificate is held")]
    NoCertificate,
    /// The app or the upstream cannot be reached.
    #[error("{who} {address} cannot be reached: {source}")]
    Connect {
        /// The other end.
        who: OtherEnd,
        /// Where.
        address: std::net::SocketAddr,
        /// The system's error.
        source: std::io::Error,
    },
    /// Every connection that may be opened to the app or the upstream is full.
    #[error("{who} {address} has as many streams as `limits.meshConnections` connections take")]
    Overflow {
        /// The other end.
        who: OtherEnd,
        /// Where.
        address: std::net::SocketAddr,
    },
    /// The limit of open connections and streams is reached.
    #[error("as many connections and streams are open as `limits.connections` takes")]
    ConnectionLimit,
    /// The upstream has another identity than expected, or does not speak mesh TLS.
    #[error("no mutual TLS with {address}: {source}")]
    Handshake {
        /// Where.
        address: std::net::SocketAddr,
        /// What happened.
        source: crate::connection::tls::HandshakeError,
    },
    /// The other end broke the connection before it answered.
    #[error("{who} broke the connection before it answered: {cause}")]
    Broken {
        /// The other end.
        who: OtherEnd,
        /// The library's message.
        cause: String,
        /// Whether it is certain that the request was not processed.
        unprocessed: bool,
    },
    /// The other end's answer is ambiguous or unreadable, or broke off in its head.
    #[error("the answer of {who} cannot be passed on: {cause}")]
    BadResponse {
        /// The other end.
        who: OtherEnd,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// The head of the other end's answer is larger than `limits.headerFields`, `limits.headerBytes`.
    #[error(
        "the head of the answer of {who} is larger than limits.headerFields, limits.headerBytes"
    )]
    ResponseTooLarge {
        /// The other end.
        who: OtherEnd,
    },
    /// No answer in time.
    #[error("{who} did not answer in time")]
    Timeout {
        /// The other end.
        who: OtherEnd,
    },
    /// The client's body failed before there was an answer, so that the request was never complete.
    #[error("the client's body {}", match .0 {
        BodyFailure::Malformed => "is none",
        BodyFailure::Off => "broke off",
        BodyFailure::Stalled => "stood still for limits.bodyStallTimeout",
        BodyFailure::Withdrawn => "is not allowed any more",
        BodyFailure::DeadlineExceeded => "did not end within the time of the request",
        BodyFailure::TooLarge => "has more bytes than its listener takes",
    })]
    ClientBody(BodyFailure),
    /// The app's side of the connection broke before the request was known.
    #[error("the client: {0}")]
    Client(String),
    /// The port is declared HTTP, and the client speaks another protocol.
    #[error("the port is declared HTTP, but the client speaks something else")]
    NotHttp,
    /// gRPC for a port that is declared HTTP/1.1.
    #[error("gRPC needs HTTP/2, and the app's port is declared http: declare it grpc or http2")]
    GrpcToHttp1,
    /// The service has routes, and none of them takes the request.
    #[error("no route of {0} takes the request")]
    RouteNotFound(String),
    /// The request's body has more bytes than its listener takes.
    #[error("the request's body has {0} bytes, more than its listener takes")]
    BodyTooLarge(u64),
    /// The connection belongs to another listener of the port than the request's host (RFC 9110 §15.5.20).
    #[error("the connection is not for {0}, which has a listener of its own")]
    Misdirected(String),
    /// The route sends this share of its requests to something that is no backend.
    #[error("{route} sends the request to {backend}, which is no backend: {why}")]
    BackendInvalid {
        /// The route and rule.
        route: String,
        /// What it names; `nothing` where it has none.
        backend: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No answer within the time of the request, all attempts included.
    #[error("no answer within the time of the request ({0:?})")]
    RequestTimeout(std::time::Duration),
    /// Another attempt would have been made, but too many of the latest requests were repeated.
    #[error("no further attempt, too many of the latest requests were repeated: {0}")]
    RetryBudget(String),
    /// The service has as many requests under way as its DestinationRule allows.
    #[error("{0} has as many requests under way as its DestinationRule allows")]
    Overloaded(String),
    /// The user's token cannot be exchanged for one of the mesh.
    #[error("the user's token is not exchanged: {0}")]
    TokenExchangeRefused(std::sync::Arc<str>),
    /// Nobody exchanges the user's token for one of the mesh.
    #[error("nobody exchanges the user's token: {0}")]
    TokenExchangeUnavailable(std::sync::Arc<str>),
    /// A request leaves for a host that gets a token of ours, and there is none.
    #[error("no token for the host: {0}")]
    ClientCredentialsUnavailable(std::sync::Arc<str>),
    /// A ThreatPolicy refuses it.
    #[error("refused by a ThreatPolicy: {0}")]
    Threat(ThreatRefusal),
    /// The caller has made as many requests as it may, or has as many under way.
    #[error("refused by a limit: {0}")]
    Limited(Box<LimitRefusal>),
    /// The request, or the answer to it, is not as the description of its API says.
    #[error("not as the API is described: {0}")]
    Api(Box<ApiRefusal>),
    /// The caller is blocked for a while.
    #[error("the caller is blocked {0}")]
    Blocked(Box<BlockRefusal>),
}

impl RequestError {
    /// The other end broke off, with the library's message. Whether it has processed the request is not known.
    pub(crate) fn broken(who: OtherEnd, error: &(impl std::error::Error + ?Sized)) -> Self {
        let cause = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self::Broken { who, cause, unprocessed: false }
    }

    /// The gate for answers refused the other end's answer.
    pub(crate) fn bad_answer(who: OtherEnd, bad: BadAnswer) -> Self {
        match bad {
            BadAnswer::Malformed(cause) => Self::BadResponse { who, cause },
            BadAnswer::TooLarge => Self::ResponseTooLarge { who },
        }
    }

    /// The status for the caller.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Gate(refusal) => refusal.status,
            Self::Token(_) | Self::ApiKey(_) | Self::TokenExchangeRefused(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::SignIn(refusal) => refusal.status(),
            Self::Threat(refusal) => refusal.status(),
            Self::Denied(_) | Self::Withdrawn | Self::UnknownDestination(_) => {
                StatusCode::FORBIDDEN
            }
            Self::ClientBody(BodyFailure::Withdrawn) => StatusCode::FORBIDDEN,
            Self::ClientBody(BodyFailure::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ClientBody(BodyFailure::Stalled) => StatusCode::REQUEST_TIMEOUT,
            Self::ClientBody(BodyFailure::DeadlineExceeded) => StatusCode::GATEWAY_TIMEOUT,
            Self::BadStream(_) | Self::Client(_) | Self::ClientBody(_) | Self::NotHttp => {
                StatusCode::BAD_REQUEST
            }
            Self::Limited(refusal) => match refusal.kind {
                LimitRefusalKind::NoStore => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::TOO_MANY_REQUESTS,
            },
            Self::Api(refusal) => refusal.kind.status(),
            Self::Blocked(refusal) => refusal.status,
            Self::RouteNotFound(_) => StatusCode::NOT_FOUND,
            Self::Misdirected(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BackendInvalid { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UnknownStream | Self::GrpcToHttp1 => StatusCode::NOT_IMPLEMENTED,
            Self::TokenExchangeUnavailable(_)
            | Self::IntrospectionUnavailable
            | Self::ClientCredentialsUnavailable(_)
            | Self::NoIdentity(_)
            | Self::Unresolved(_)
            | Self::NoEndpoint(_)
            | Self::NoCertificate
            | Self::Connect { .. }
            | Self::Overflow { .. }
            | Self::ConnectionLimit
            | Self::RetryBudget(_)
            | Self::Overloaded(_)
            | Self::Handshake { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken { .. } | Self::BadResponse { .. } | Self::ResponseTooLarge { .. } => {
                StatusCode::BAD_GATEWAY
            }
            Self::Timeout { .. } | Self::RequestTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The stable reason, for the caller, the log and the metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Gate(refusal) => refusal.reason,
            Self::Token(refusal) => refusal.as_str(),
            Self::IntrospectionUnavailable => "introspection_unavailable",
            Self::ApiKey(refusal) => refusal.as_str(),
            Self::SignIn(refusal) => refusal.as_str(),
            Self::Threat(refusal) => refusal.reason(),
            Self::Denied(denial) => denial.reason().as_str(),
            Self::TokenExchangeRefused(_) => "token_exchange_refused",
            Self::ClientCredentialsUnavailable(_) => "client_credentials_unavailable",
            Self::TokenExchangeUnavailable(_) => "token_exchange_unavailable",
            Self::Withdrawn => "policy_changed",
            Self::BadStream(_) => "bad_mesh_stream",
            Self::UnknownStream => "unknown_mesh_stream",
            Self::UnknownDestination(_) => "egress_denied",
            Self::Unresolved(_) => "destination_unresolved",
            Self::NoIdentity(_) => "upstream_not_in_mesh",
            Self::NoEndpoint(_) => "no_endpoints",
            Self::RouteNotFound(_) => "route_not_found",
            Self::Misdirected(_) => "misdirected_request",
            Self::BodyTooLarge(_) | Self::ClientBody(BodyFailure::TooLarge) => "body_too_large",
            Self::BackendInvalid { .. } => "backend_invalid",
            Self::RequestTimeout(_) => "request_timeout",
            Self::RetryBudget(_) => "retry_budget",
            Self::Overloaded(_) => "overloaded",
            Self::Limited(refusal) => refusal.kind.reason(),
            Self::Api(refusal) => refusal.kind.reason(),
            Self::Blocked(_) => BlockRefusal::REASON,
            Self::NoCertificate => "no_certificate",
            Self::Connect { who: OtherEnd::App, .. } => APP_UNREACHABLE,
            Self::Connect { .. } => "upstream_unreachable",
            Self::Overflow { who: OtherEnd::App, .. } => "app_overflow",
            Self::Overflow { .. } => "upstream_overflow",
            Self::ConnectionLimit => "connection_limit",
            Self::Handshake { .. } => "upstream_tls_failed",
            Self::Broken { who: OtherEnd::App, .. } => APP_RESET,
            Self::Broken { .. } => "upstream_reset",
            Self::BadResponse { .. } => BAD_RESPONSE,
            Self::ResponseTooLarge { .. } => "response_headers_too_large",
            Self::Timeout { who: OtherEnd::App } => "app_timeout",
            Self::Timeout { .. } => "upstream_timeout",
            Self::ClientBody(BodyFailure::Malformed) => "bad_request_body",
            Self::ClientBody(BodyFailure::Stalled) => "request_body_stalled",
            Self::ClientBody(BodyFailure::Withdrawn) => "policy_changed",
            Self::ClientBody(BodyFailure::DeadlineExceeded) => "request_timeout",
            Self::Client(_) | Self::ClientBody(BodyFailure::Off) => CLIENT_GONE,
            Self::NotHttp => "protocol_undecided",
            Self::GrpcToHttp1 => "grpc_needs_http2",
        }
    }

    /// Whether the request has certainly not been processed, so that it may be sent again.
    #[must_use]
    pub fn is_unprocessed(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Handshake { .. } | Self::Overflow { .. } => true,
            Self::Broken { unprocessed, .. } => *unprocessed,
            _ => false,
        }
    }

    /// Whether the endpoint is at fault, so that others are preferred for a while. A pool that is full is not the
    /// endpoint's fault.
    #[must_use]
    pub fn is_endpoint_fault(&self) -> bool {
        self.is_unprocessed() && !matches!(self, Self::Overflow { .. })
    }

    /// Whether the client's connection must end with the answer, because its framing is no longer reliable.
    #[must_use]
    pub fn closes(&self) -> bool {
        match self {
            Self::Gate(refusal) => refusal.close,
            // Where the request ends is not known, or it is still to come.
            Self::ClientBody(_) => true,
            _ => false,
        }
    }

    /// The answer for the caller: the status and the reason, and for gRPC its own status ("trailers only", gRPC over
    /// HTTP/2). The deciding policy is not disclosed to the caller.
    #[must_use]
    pub fn response(&self, is_grpc: bool) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(REASON_HEADER, HeaderValue::from_static(self.reason()));
        if let Self::Token(refusal) = self {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(refusal.challenge()));
        }
        if let Self::TokenExchangeRefused(_) = self {
            let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Self::Limited(refusal) = self {
            headers.insert(RETRY_AFTER, HeaderValue::from(refusal.retry_after_seconds()));
        }
        if let Self::Blocked(refusal) = self {
            headers.insert(RETRY_AFTER, HeaderValue::from(refusal.retry_after_seconds()));
        }
        if let Self::Threat(refusal) = self
            && refusal.is_about_coding()
        {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        }
        if let Self::ApiKey(_) = self {
            // RFC 9110 §11.6.1 wants a challenge; no scheme is registered for keys.
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey"));
        }
        if let Self::Api(refusal) = self
            && let Some(allow) =
                refusal.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok())
        {
            headers.insert(ALLOW, allow);
        }
        if let Self::SignIn(refusal) = self {
            set_sign_in(*refusal, headers);
        }
        if is_grpc {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert("grpc-status", HeaderValue::from_static(grpc_status(self.status())));
            headers.insert("grpc-message", HeaderValue::from_static(self.reason()));
            return response;
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.closes() {
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        let text = self.text();
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        *response.status_mut() = self.status();
        *response.body_mut() = Body::from_bytes(text);
        response
    }
}

impl RequestError {
    fn content_type(&self) -> &'static str {
        match self {
            Self::Limited(_) | Self::Blocked(_) | Self::SignIn(_) | Self::Api(_) => {
                "application/problem+json"
            }
            _ => "text/plain",
        }
    }

    /// The body of the answer.
    fn text(&self) -> String {
        match self {
            Self::Limited(refusal) => refusal.problem(self.status().as_u16()),
            Self::Blocked(refusal) => refusal.problem(),
            Self::SignIn(refusal) => refusal.problem(),
            Self::Api(refusal) => refusal.problem(),
            _ => format!("postern: {}\n", self.reason()),
        }
    }
}

/// Another answer is right as soon as somebody has signed in.
fn set_sign_in(refusal: SignInRefusal, headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = refusal.challenge() {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Some(methods) = refusal.allow() {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
}

/// gRPC's number for an HTTP status (gRPC, "HTTP to gRPC Status Code Mapping", except 403 and 503, which are mapped as
/// a gRPC server would answer).
fn grpc_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "16",
        403 => "7",
        429 => "8",
        404 | 501 => "12",
        504 => "4",
        400..=499 => "13",
        _ => "14",
    }
}
