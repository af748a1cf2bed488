//! The stable words that say why: in `x-postern-reason`, in the field `reason` of logs and metrics, and in `closed`. What each
//! means, and what to look at next.
//!
//! The reference page is printed from here; a test finds every word of the sources here, and every word here in the sources.

/// Who hears a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasonAudience {
    /// The caller of a request, with this status, in `x-postern-reason`; and the log and the metrics.
    Caller(u16),
    /// The log and the metrics of requests.
    Request,
    /// The log of operations at brokers, in `reason`; the client is told in the words of its protocol.
    Message,
    /// The log of connections, in `reason`, where it says more than `closed`.
    Connection,
    /// The log and the metrics of connections, in `closed` (log) and `reason` (metric).
    Closed,
}

/// One reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason {
    /// The stable word.
    pub code: &'static str,
    /// Who hears it.
    pub heard: ReasonAudience,
    /// What happened.
    pub meaning: &'static str,
    /// What to look at next.
    pub next: &'static str,
}

const fn caller(
    code: &'static str,
    status: u16,
    meaning: &'static str,
    next: &'static str,
) -> Reason {
    Reason { code, heard: ReasonAudience::Caller(status), meaning, next }
}

const fn request(code: &'static str, meaning: &'static str, next: &'static str) -> Reason {
    Reason { code, heard: ReasonAudience::Request, meaning, next }
}

const fn message(code: &'static str, meaning: &'static str, next: &'static str) -> Reason {
    Reason { code, heard: ReasonAudience::Message, meaning, next }
}

const fn connection(code: &'static str, meaning: &'static str, next: &'static str) -> Reason {
    Reason { code, heard: ReasonAudience::Connection, meaning, next }
}

const fn closed(code: &'static str, meaning: &'static str, next: &'static str) -> Reason {
    Reason { code, heard: ReasonAudience::Closed, meaning, next }
}

const MALFORMED: &str = "Correct the client: an app could read such a request in two ways.";
const PATH: &str = "Correct the client: no strict reader takes the path. `pathNormalization` does not change this.";
const TOKEN: &str = "The log line of the refusing proxy has the words; see docs/tokens.md.";
const API_KEY: &str =
    "The keys of the ApiKeyPolicies that are about the workload or listener; docs/api-keys.md.";
const API: &str =
    "The log line of the refusing proxy has operation, place and keyword; docs/api-schemas.md.";
const SIGN_IN: &str = "The log line of the gateway has the words; docs/sign-in.md.";
const EXPLAIN: &str =
    "The log line names the rule, or the nearest miss; `postern-proxy explain` answers it offline.";
const EVENTS: &str = "The log line of the connection has the words; docs/events.md.";
const NOTHING: &str = "Nothing.";
const CERTIFICATE: &str = "`GET /certificates` of both proxies; docs/certificates.md.";

/// Every reason, in the order of the page.
pub const REASONS: &[Reason] = &[
    // Policy.
    caller("policy_denied", 403, "A rule of a DENY policy matched.", EXPLAIN),
    caller(
        "no_matching_allow",
        403,
        "ALLOW policies are about the workload, and no rule of theirs matched.",
        EXPLAIN,
    ),
    caller(
        "default_deny",
        403,
        "No ALLOW policy is about the workload, and `defaults.authorization` is `deny`.",
        "Write an ALLOW policy; `policy suggest` makes one from recorded traffic.",
    ),
    caller(
        "policy_changed",
        403,
        "Policy changed while the request was under way, and refuses it now.",
        EXPLAIN,
    ),
    caller(
        "peer_not_authenticated",
        403,
        "Plaintext on a port that demands mutual TLS.",
        "Is the caller in the mesh? `defaults.mtls`, PeerAuthentication.",
    ),
    caller(
        "protocol_undecided",
        400,
        "Bytes that are no HTTP, on a port that is declared HTTP or whose rules speak of HTTP.",
        "Declare what the port speaks: `inbound.ports`, or `appProtocol` of the Service.",
    ),
    caller(
        "grpc_needs_http2",
        501,
        "A gRPC call over HTTP/2 to a port that is declared `http`, whose app is spoken HTTP/1.1.",
        "Declare the port `grpc` or `http2`: `inbound.ports`, the port's name, or `appProtocol` of the Service.",
    ),
    // The caller's side of routing.
    caller(
        "egress_denied",
        403,
        "No service has this name or address, and `defaults.egress` is `deny`.",
        "`GET /services`; write a ServiceEntry in the caller's namespace.",
    ),
    caller(
        "destination_unresolved",
        503,
        "The controller did not say in time what the destination is, or nothing that can be used.",
        "`postern_config_stale` and the log of the proxy; is the controller running?",
    ),
    caller(
        "upstream_not_in_mesh",
        503,
        "The service names no identity, so none of its endpoints could be believed.",
        "Give the ServiceEntry `subjectAltNames`, or restart pods that have no proxy.",
    ),
    caller(
        "no_endpoints",
        503,
        "The service has no endpoint.",
        "Are its pods ready? `GET /services`.",
    ),
    caller(
        "route_not_found",
        404,
        "Routes are attached to the service's port or the gateway's listener, and no rule of theirs takes the request; or \
         no listener of the gateway's port is for its host.",
        "`postern-proxy explain` says which rule takes a request; docs/routing.md, docs/gateway.md.",
    ),
    caller(
        "body_too_large",
        413,
        "At a gateway: the request's body is larger than the ClientTrafficPolicy of its listener allows.",
        "`limits.requestBytes` of the policy; docs/gateway-clients.md.",
    ),
    caller(
        "misdirected_request",
        421,
        "At a gateway: the request's host has a listener of its own, another one than the server name of the connection \
         that it came on.",
        "Nothing: browsers ask again on a connection of its own. Other clients: one connection a host.",
    ),
    caller(
        "backend_invalid",
        500,
        "The route sends this share of its requests to a backend that does not exist, is no Service, or lies in another \
         namespace without a ReferenceGrant.",
        "The log line names the route and its backend; so does the route's condition `ResolvedRefs`.",
    ),
    caller(
        "request_timeout",
        504,
        "The request, with all its attempts, was not answered within the time that its route or its caller's \
         `grpc-timeout` gives it. In the log also of an answer that was cut off then.",
        "The log line names the endpoint; `timeouts` of the route.",
    ),
    caller(
        "retry_budget",
        503,
        "The request failed and could have been sent again, but too many of the latest requests were.",
        "The service is in trouble: look at its errors. `postern_retry_budget_ratio`.",
    ),
    caller(
        "overloaded",
        503,
        "The service has as many requests under way as its DestinationRule allows.",
        "Raise `connectionPool`, or look at why the service is slow.",
    ),
    caller(
        "rate_limited",
        429,
        "The caller has made as many requests as a RateLimitPolicy allows. `RateLimit` says what is left, `Retry-After` when.",
        "Wait as long; the log line names the limit. docs/rate-limits.md.",
    ),
    caller(
        "concurrency_limited",
        429,
        "The caller has as many requests under way as a RateLimitPolicy allows.",
        "Wait for an answer; the log line names the limit. docs/rate-limits.md.",
    ),
    caller(
        "rate_limit_store_unavailable",
        503,
        "The store that counts for a RateLimitPolicy did not answer, and its `onStoreFailure` is deny.",
        "Look at Redis: `postern_rate_limit_store_up`. docs/rate-limits.md.",
    ),
    caller(
        "operation_unknown",
        404,
        "The path is not among those that the description of the API has.",
        API,
    ),
    caller(
        "method_not_allowed",
        405,
        "The path is described, but not with this method. `Allow` has those that it is described with.",
        API,
    ),
    caller(
        "content_type_unexpected",
        415,
        "The content type of the body is none that the operation is described with.",
        API,
    ),
    caller(
        "body_not_inspectable",
        415,
        "An ApiSchema or a ThreatPolicy looks into the body, and its content coding is neither gzip nor deflate, or its bytes are \
         not of it.",
        "Send the body as it is, or coded once, by gzip or deflate (`Accept-Encoding`). docs/api-schemas.md, docs/threats.md.",
    ),
    caller(
        "body_too_large_to_inspect",
        413,
        "The body has more bytes than are looked at, as it came or when its content coding is undone: `json.maxBytes` of an \
         ApiSchema, `body.inspectBytes` of a ThreatPolicy.",
        "Send less, or raise the limit of the policy that the log line names; of a ThreatPolicy also `body.onExceed: inspectPrefix`.",
    ),
    caller(
        "json_limits",
        400,
        "The body is no JSON, has a key twice, or is deeper or larger than `json` of the ApiSchema allows.",
        API,
    ),
    caller(
        "schema_mismatch",
        422,
        "The request is not as the description of the API says; the answer names the place and what failed there.",
        API,
    ),
    caller(
        "answer_mismatch",
        502,
        "The app's answer is not as the description of the API says. The caller is told no more.",
        "Correct the app or its description; the log line has the place. docs/api-schemas.md.",
    ),
    caller(
        "inspection_unavailable",
        503,
        "The file with the description of an ApiSchema, or with the rules of a ThreatPolicy in mode block, could never be read.",
        "The log says what is wrong in which line of the file, and so does `postern-proxy check`. `postern_api_documents_stale`.",
    ),
    caller(
        "caller_blocked",
        429,
        "The caller is blocked for a while by an AbusePolicy (403 where that says so): it was refused too often, or looked for \
         too much that is not there.",
        "Wait as long as `Retry-After` says; `GET /blocks` on the admin port says why. docs/abuse.md.",
    ),
    request("redirected", "The rule of a route led the caller elsewhere.", NOTHING),
    request("cors_preflight", "The rule of a route answered a browser's preflight.", NOTHING),
    request(
        "listed_status",
        "In `retried`: the answer's status is one that the route repeats a request for.",
        "The answers of the service; `retry.codes` of the route.",
    ),
    caller(
        "fault_injected",
        503,
        "A FaultInjection answered in the service's place. The status is the one it names.",
        "Remove the FaultInjection when the test is over.",
    ),
    caller(
        "no_certificate",
        503,
        "We hold no valid certificate. In the log of a gateway also: the listener has none to show.",
        "The log of the cert agent; `GET /certificates`. Of a listener: the log names certificates that are refused.",
    ),
    caller(
        "upstream_unreachable",
        503,
        "The service cannot be reached.",
        "The address in the log line; is the pod running, and its proxy?",
    ),
    caller(
        "upstream_tls_failed",
        503,
        "No mutual TLS with the service, or it is not who it must be.",
        "The words in the log line: an expired certificate, another identity, another root.",
    ),
    caller(
        "upstream_reset",
        502,
        "The service broke the connection before it answered.",
        "The log of the service's own proxy.",
    ),
    caller(
        "upstream_timeout",
        504,
        "The service did not answer within `limits.responseTimeout`.",
        "The log of the service's own proxy.",
    ),
    caller(
        "app_unreachable",
        503,
        "The app beside the proxy takes no connection.",
        "Is the app listening on that port, and on the pod's address?",
    ),
    caller(
        "upstream_overflow",
        503,
        "As many streams are under way to that endpoint as `limits.meshConnections` connections take.",
        "Is the endpoint slow, or are there too few? `postern_overflows_total`; else raise the limit.",
    ),
    caller(
        "app_overflow",
        503,
        "As many HTTP/2 streams are under way to the app as `limits.meshConnections` connections take.",
        "Is the app slow? `postern_overflows_total`; else raise the limit.",
    ),
    caller(
        "connection_limit",
        503,
        "As many connections and streams are open as `limits.connections` takes.",
        "`GET /connections`; who holds them? Else raise the limit.",
    ),
    caller("app_reset", 502, "The app broke the connection before it answered.", "The app's log."),
    caller(
        "app_timeout",
        504,
        "The app did not answer within `limits.responseTimeout`.",
        "The app's log.",
    ),
    caller(
        "bad_response",
        502,
        "The answer of the app (or of a server that is none of ours) can be read in two ways or in none: its framing, its status, its syntax. The request is not sent again.",
        "Correct the app: the log line of the refusing proxy says what is wrong.",
    ),
    caller(
        "response_headers_too_large",
        502,
        "The answer has more fields or bytes of them than `limits.headerFields`, `limits.headerBytes`. The request is not sent again.",
        "Correct the app, or raise the limits on both sides.",
    ),
    caller(
        "bad_request_body",
        400,
        "The client's body is none: broken chunks, trailers that are too large, or another length than announced.",
        MALFORMED,
    ),
    caller(
        "request_body_stalled",
        408,
        "The client's body made no progress for `limits.bodyStallTimeout`.",
        "A slow or hung client.",
    ),
    caller("client_gone", 400, "The client broke off; in logs with status 499.", NOTHING),
    caller(
        "bad_mesh_stream",
        400,
        "A mesh stream that is not served here: the words in the log say why.",
        "Proxies of different versions? Else somebody tries.",
    ),
    caller(
        "unknown_mesh_stream",
        501,
        "A mesh stream of a protocol that this version does not know.",
        "Upgrade this proxy; the other one falls back.",
    ),
    // The gate.
    caller(
        "invalid_transfer_encoding",
        400,
        "`Transfer-Encoding` is other than one plain `chunked`, or stands beside `Content-Length`.",
        MALFORMED,
    ),
    caller(
        "invalid_content_length",
        400,
        "`Content-Length` is repeated or is no number.",
        MALFORMED,
    ),
    caller(
        "malformed_request",
        400,
        "The head of the request is none: its first line, a field's name or a control byte in a value. Its connection ends.",
        MALFORMED,
    ),
    caller(
        "ambiguous_framing",
        400,
        "`Content-Length` beside `Transfer-Encoding`, either of them twice, or a length that is no number. The connection ends.",
        MALFORMED,
    ),
    caller(
        "bare_line_feed",
        400,
        "A line of the head, or of trailers, that ends in LF without CR. The connection ends.",
        MALFORMED,
    ),
    caller("target_too_long", 414, "A target longer than 64 KiB. The connection ends.", MALFORMED),
    caller("connect_refused", 400, "CONNECT.", "Tunnels are opened between proxies only."),
    caller("unknown_method", 501, "The method has a name longer than any.", MALFORMED),
    caller(
        "headers_too_large",
        431,
        "More fields or bytes than `limits.headerFields`, `limits.headerBytes`.",
        "Send smaller cookies, or raise the limits on both sides.",
    ),
    caller("unknown_expectation", 417, "An expectation other than `100-continue`.", MALFORMED),
    caller("host_missing", 400, "Neither `Host` nor `:authority`.", MALFORMED),
    caller("host_repeated", 400, "More than one `Host`.", MALFORMED),
    caller(
        "invalid_host",
        400,
        "The host is not one: user information, an escape, a bad port, no ASCII.",
        MALFORMED,
    ),
    caller("host_mismatch", 400, "`Host` names another host than the target does.", MALFORMED),
    caller("invalid_target", 400, "The target is neither a path nor a URI with one.", MALFORMED),
    caller("unknown_scheme", 400, "The scheme is neither `http` nor `https`.", MALFORMED),
    caller(
        "underscore_in_header_name",
        400,
        "A header's name has `_`, or another sign, where a header of a rule, of a token or of the mesh has `-` (or the other way round); or it has `_`, and `headersWithUnderscores` is `refuse`.",
        "Correct the client: apps may take one for the other. The refusing proxy's rules and docs/configuration.md say which names are taken.",
    ),
    caller(
        "invalid_header",
        400,
        "A field name or value that HTTP does not know (`explain` only; the library answers for live traffic).",
        MALFORMED,
    ),
    caller("path_no_leading_slash", 400, "The path does not begin with `/`.", PATH),
    caller("path_too_long", 400, "The path is longer than 64 KiB.", PATH),
    caller("path_nul", 400, "The path holds NUL.", PATH),
    caller("path_control_character", 400, "The path holds a control character or a blank.", PATH),
    caller("path_bad_escape", 400, "A `%` that two hex digits do not follow.", PATH),
    caller("path_overlong_utf8", 400, "A second spelling of a character.", PATH),
    caller("path_above_root", 400, "`..` leads above the root.", PATH),
    caller(
        "path_hidden_dots",
        400,
        "Escapes, parameters or doubled slashes hide a `.` or `..` segment.",
        PATH,
    ),
    // Tokens.
    caller("two_tokens", 401, "More than one token in the request.", TOKEN),
    caller("token_too_large", 401, "Longer than 16 KiB.", TOKEN),
    caller("token_malformed", 401, "No compact JWS of strict JSON.", TOKEN),
    caller("token_algorithm", 401, "`alg` is none that the issuer's key is for.", TOKEN),
    caller(
        "token_issuer_unknown",
        401,
        "No RequestAuthentication believes this issuer in this place of a request.",
        TOKEN,
    ),
    caller(
        "token_keys_unavailable",
        401,
        "The issuer's keys were never fetched, or are too old.",
        "The log: `token keys not taken`; `postern_token_key_updates_total`.",
    ),
    caller(
        "client_credentials_unavailable",
        503,
        "A ClientCredentials is about the host, and there is no token: the provider does not answer or refuses, the Secret is of no use, or the request would leave in the clear.",
        "The log line names the cause; `postern_client_credentials_total`; docs/tokens.md.",
    ),
    caller(
        "token_exchange_refused",
        401,
        "The user's token cannot be exchanged for one of the mesh: it has ended, is for another workload, or names no user.",
        TOKEN,
    ),
    caller(
        "token_exchange_unavailable",
        503,
        "Nobody exchanges users' tokens for tokens of the mesh: no agent, no authority, or one that does not let this workload.",
        "The log line has the agent's words; is the workload among `tokenVouchers` of the authority's registry?",
    ),
    caller("token_key_unknown", 401, "No usable key of the issuer has this `kid`.", TOKEN),
    caller("token_signature", 401, "The signature is wrong.", TOKEN),
    caller("token_claims", 401, "A claim is missing or of a wrong type.", TOKEN),
    caller("token_audience", 401, "The token is for somebody else.", TOKEN),
    caller("token_expired", 401, "`exp` has passed.", TOKEN),
    caller(
        "token_not_yet_valid",
        401,
        "`nbf` has not come yet.",
        "The clocks of issuer and proxy.",
    ),
    caller(
        "token_presenter",
        401,
        "A TokenPolicy names who may present it, and the peer is none of them; or it is a token of the mesh, and the peer is no workload of it.",
        TOKEN,
    ),
    caller("token_unbound", 401, "A TokenPolicy wants bound tokens, and this one is not.", TOKEN),
    caller("token_certificate", 401, "The token is bound to another client certificate.", TOKEN),
    caller(
        "token_proof",
        401,
        "The token is bound to a key, and the proof is missing or wrong.",
        TOKEN,
    ),
    caller("token_proof_repeated", 401, "The proof of possession was used before.", TOKEN),
    caller(
        "token_revoked",
        401,
        "A TokenRevocation lists the token, or its subject.",
        "The TokenRevocations about the workload; docs/tokens.md.",
    ),
    caller(
        "token_inactive",
        401,
        "The issuer says that the token is not active: expired, revoked, or never issued.",
        "The client gets a new one; an answer of the issuer counts for `cache.negative` at most.",
    ),
    caller(
        "introspection_unavailable",
        503,
        "The issuer does not say in time whether the token is active.",
        "The log: `an issuer does not say whether a token is active`; the issuer, and the Secret of the TokenIntrospection.",
    ),
    // Threats.
    caller(
        "threat_detected",
        403,
        "The rules of a ThreatPolicy in mode block found an attack in the request.",
        "The log line names rules and variables; where it is none, exclude them. docs/threats.md.",
    ),
    caller(
        "inspection_overloaded",
        503,
        "An ApiSchema or a ThreatPolicy looks through as many requests as may be at once.",
        "`limits.inspectionThreads`, `limits.inspectionQueue`, `limits.inspectionMemory`; `postern_threat_inspection_seconds`.",
    ),
    caller(
        "inspection_timeout",
        503,
        "The rules of a ThreatPolicy took longer than its `timeout`.",
        "`postern_threat_inspection_seconds`; the policy's `timeout`, fewer rules, or more `limits.inspectionThreads`.",
    ),
    // API keys.
    caller("api_key_missing", 401, "An ApiKeyPolicy requires a key, and there is none.", API_KEY),
    caller(
        "api_key_invalid",
        401,
        "Nobody has such a key, it is not valid yet, or there are two.",
        API_KEY,
    ),
    caller("api_key_expired", 401, "The key's `notAfter` has passed.", API_KEY),
    // People who sign in.
    caller(
        "sign_in_required",
        401,
        "A SignIn is in force, nobody is signed in, and the request is no navigation of a browser.",
        "The page that sent it is loaded anew, which signs in; a program shows a token.",
    ),
    caller(
        "step_up_required",
        401,
        "Whoever is signed in was not authenticated in the way, or not as lately, as `stepUp` asks for the path.",
        "The page is loaded anew, which asks the provider; `stepUp` of the SignIn.",
    ),
    caller(
        "step_up_impossible",
        403,
        "Two `stepUp` items about the path ask for `acrValues` that no sign-in can meet at once.",
        "`stepUp` of the SignIn: a value of both lists, or paths that do not meet.",
    ),
    caller(
        "sign_in_ambiguous",
        400,
        "One reading of the path is guarded by one SignIn, and another by another one.",
        "A client that does not escape the slashes of a path; `paths` of the SignIns.",
    ),
    caller(
        "sign_in_unavailable",
        503,
        "The provider cannot be asked, or the SignIn's Secret is missing or unusable.",
        "The log: what keeps the provider's document or keys from being fetched; the Secret.",
    ),
    caller(
        "session_store_unavailable",
        503,
        "The store of sessions did not answer in time.",
        "Is Redis up? `sessions.redis` of the configuration.",
    ),
    caller("sign_in_needs_tls", 403, "The SignIn is about a listener without TLS.", SIGN_IN),
    caller("sign_in_method", 405, "A path of the sign-in was asked with another method.", SIGN_IN),
    caller(
        "sign_in_failed",
        400,
        "The sign-in was not completed: an old or repeated callback, cookies that do not come back, an answer of the \
         provider that proves nothing.",
        SIGN_IN,
    ),
    caller(
        "sign_in_limited",
        429,
        "More than ten people a second complete a sign-in from one address, after a hundred at once.",
        "Whose address it is; behind a load balancer, whose word of the client is taken.",
    ),
    caller(
        "sign_in_refused",
        403,
        "The provider says that this person may not sign in.",
        "The provider's own log.",
    ),
    caller(
        "session_too_large",
        500,
        "A session does not fit into `session.maxCookies` cookies.",
        "Name fewer `session.claims`, or keep sessions in `store: redis`.",
    ),
    caller(
        "logout_cross_origin",
        403,
        "A logout that does not come from a page of the host itself.",
        "A form of the app's own pages that posts to `logoutPath`.",
    ),
    caller("logout_token_refused", 400, "A logout token of the provider was refused.", SIGN_IN),
    request("sign_in_started", "Somebody was sent to the provider to sign in.", NOTHING),
    request("signed_in", "Somebody came back from the provider and is signed in.", NOTHING),
    request("signed_out", "Somebody has signed out.", NOTHING),
    request("back_channel_logout", "The provider has ended sessions.", NOTHING),
    // Requests, beside what the caller is told.
    request("ok", "The app or the service answered.", NOTHING),
    request(
        "refused_by_peer",
        "The service's own proxy refused; `error` is its reason.",
        "That reason on this page; the log of that proxy.",
    ),
    request(
        "body_stalled",
        "An answer's body made no progress for `limits.bodyStallTimeout`.",
        "A slow reader, or a hung app.",
    ),
    // Connections.
    closed("done", "Either side finished.", NOTHING),
    closed("policy", "Policy refused it, at once or after a change.", EXPLAIN),
    closed(
        "certificate_expiry",
        "Drained, because a certificate of either side is about to end.",
        "Nothing; clients connect anew.",
    ),
    closed(
        "certificate_ended",
        "Cut, because a certificate of either side has ended.",
        CERTIFICATE,
    ),
    closed(
        "reader_stalled",
        "The client of an HTTP/1.1 connection took none of an answer for `limits.bodyStallTimeout`.",
        "A slow reader, or one that holds connections for nothing.",
    ),
    closed("peer_revoked", "The peer's certificate is on a revocation list.", CERTIFICATE),
    closed(
        "peer_distrusted",
        "The peer's certificate leads to no root that is trusted any more.",
        CERTIFICATE,
    ),
    closed(
        "descriptors",
        "File descriptors were running out: a new client was turned away, or one that had been silent for longest made room.",
        "Raise the process's limit of open files (`LimitNOFILE`, `ulimit -Hn`), or lower `limits.connections`; look for clients that \
         connect and say nothing.",
    ),
    closed("idle", "Nothing was under way for `limits.idleTimeout`.", NOTHING),
    closed(
        "header_timeout",
        "A request's head was not finished within `limits.headerTimeout`, or nothing was said at all.",
        "A slow client, or an attack.",
    ),
    closed("drain", "The proxy is ending.", NOTHING),
    closed(
        "handed_over",
        "Another process of the proxy has taken over (`run --upgrade`): what was under way has finished.",
        NOTHING,
    ),
    closed(
        "drain_deadline",
        "Still under way `limits.drainTimeout` after the end, or an in-place upgrade, began.",
        "The pod's grace period, if it was cut too early.",
    ),
    closed(
        "handshake",
        "The TLS handshake failed or took too long; `reason` says which.",
        "The line's `error`.",
    ),
    closed(
        "refused",
        "Plaintext, an undecided protocol, or a destination that is not served.",
        "The line's `reason`.",
    ),
    closed(
        "upstream",
        "The other end, app or service, could not be reached.",
        "The line's `reason`.",
    ),
    closed("error", "A reset or a broken connection.", "The line's `error`."),
    closed(
        "limit",
        "A limit was reached: `limits.connections`, or too many handshakes.",
        "`postern_connections_open`; raise the limit, or find who floods.",
    ),
    connection("closed_by_client", "Closed before a byte was sent.", "Often a TCP health check."),
    connection(
        "reset_by_client",
        "The client reset the connection before it was known what it carries.",
        NOTHING,
    ),
    connection(
        "handshake_timeout",
        "No byte of a handshake within `limits.handshakeTimeout`.",
        "A plaintext client that waits for the server? Declare the port `tcp` and PERMISSIVE.",
    ),
    connection(
        "bad_proxy_header",
        "At a gateway: a peer that `proxyProtocol.from` lists sent no header of the PROXY protocol, or a damaged one.",
        "The load balancer's setting, or the list in the ClientTrafficPolicy.",
    ),
    connection(
        "client_connections",
        "At a gateway: the client's address has as many connections open as its ClientTrafficPolicy allows, or the proxy.",
        "`limits.connectionsPerAddress` of the policy; without one `limits.clientConnections` of the proxy.",
    ),
    connection(
        "too_many_handshakes",
        "`limits.handshakes` were running for as long as one may take.",
        "A flood of connections, or too few workers.",
    ),
    connection(
        "timeout",
        "The TLS handshake was begun and took too long.",
        "The network, or a peer without CPU.",
    ),
    connection(
        "bad_certificate",
        "The peer showed no certificate, or one that is not believed.",
        CERTIFICATE,
    ),
    connection(
        "alert_received",
        "The peer ended the handshake.",
        "The log of the peer's proxy: it refused us.",
    ),
    connection(
        "protocol_error",
        "The peer speaks no TLS 1.3 (at a gateway also no 1.2), or breaks its rules.",
        "A client that is not in the mesh? At a gateway: an old one, or one that verifies no key of the listener's kind.",
    ),
    connection(
        "unrecognized_name",
        "At a gateway: no listener of the port is for the server name that the client asked for.",
        "The listeners' `hostname`s; clients that send no server name need a listener without one.",
    ),
    connection("io_error", "The connection broke during the handshake.", "The network."),
    connection(
        "not_redirected",
        "A direct dial of the redirection port; nothing is served there.",
        "Dial the app's own port.",
    ),
    connection(
        "loop",
        "The destination is one of the proxy's own ports.",
        "`postern-proxy redirect verify`; the app must not use these ports.",
    ),
    // Messages.
    message(
        "topic_denied",
        "No TopicPolicy allows the operation on the topic (the subject, the stream, the transactional id), or one denies it.",
        EXPLAIN,
    ),
    message(
        "group_denied",
        "No TopicPolicy allows the operation in the consumer group, or one denies it.",
        EXPLAIN,
    ),
    message(
        "client_id_denied",
        "The client id of the MQTT session is not the caller's own, and no TopicPolicy gives it to the caller.",
        "A client id that is `NAMESPACE.ACCOUNT` of the caller, alone or before a dot, needs no policy; docs/events.md.",
    ),
    message(
        "cluster_denied",
        "The operation is what brokers do among themselves, and no TopicPolicy allows it.",
        EXPLAIN,
    ),
    connection(
        "event_version",
        "A client or broker speaks a version of the broker's protocol, or asks for a part of it, that is not supported.",
        EVENTS,
    ),
    connection("event_malformed", "A client or broker broke the broker's protocol.", EVENTS),
    connection(
        "event_limit",
        "A client or broker exceeded a limit (`limits.eventMemory` and those beside it), or the client did not introduce \
         itself within `limits.eventGreetingTimeout`.",
        EVENTS,
    ),
];
