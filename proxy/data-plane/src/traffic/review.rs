//! An open request, authorized again whenever policy changes: a stream that lives for hours must not outlive the rule
//! that allowed it (SECURITY-CASES F-12, P-03).

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::{HeaderMap, Method};
use policy::{
    ApiKey, ApiKeyRefusal, CanonicalPath, GatewayListener, HostName, PathNormalization, Snapshot,
    TokenClaims,
};

use crate::clock::unix_now;
use crate::connection::registry::{Connection, ReviewableStream};
use crate::traffic::authorize::{self, RequestFacts};
use crate::traffic::caller::AuthenticatedCaller;

/// The facts a request was authorized with, and the signal that withdraws it.
struct JudgedRequest {
    method: Method,
    host: HostName,
    target: Box<str>,
    normalization: PathNormalization,
    /// Only the fields that rules name.
    headers: HeaderMap,
    /// The fields that were kept. A policy that needs others later cannot be evaluated.
    kept: Arc<HashSet<Box<str>>>,
    remote_ip: Option<IpAddr>,
    caller: AuthenticatedCaller,
    listener: Option<Arc<GatewayListener>>,
    refused: AtomicBool,
    waker: AtomicWaker,
}

/// Judges by the snapshot that a request was begun with, and again, as a whole, where another has come into force by
/// the time the request was registered: `judge` registers the request on its connection ([`RequestReview::begin`]), so
/// that a change of policy either finds it there or is seen here. Stores the snapshot that decides.
pub(crate) fn by_one_snapshot<G: Deref<Target = Arc<Snapshot>>, T, E>(
    snapshot: &mut G,
    in_force: impl Fn() -> G,
    mut judge: impl FnMut(&Snapshot) -> Result<T, E>,
) -> Result<T, E> {
    loop {
        let judged = judge(snapshot)?;
        let now = in_force();
        if Arc::ptr_eq(&now, snapshot) {
            return Ok(judged);
        }
        *snapshot = now;
    }
}

/// What a request is judged by again, beside its [`RequestFacts`].
pub(crate) struct ReviewedFacts<'a> {
    /// How paths are normalised.
    pub(crate) normalization: PathNormalization,
    /// The client's address, where it differs from the peer's.
    pub(crate) remote_ip: Option<IpAddr>,
    /// Whose token and API key it carries.
    pub(crate) caller: &'a AuthenticatedCaller,
    /// The listener of a gateway that it came to.
    pub(crate) listener: Option<&'a Arc<GatewayListener>>,
}

/// An open request, for as long as this value lives.
pub struct RequestReview {
    judged: Arc<JudgedRequest>,
    connection: Arc<Connection>,
}

impl RequestReview {
    /// Registers a request on its connection, before it is authorized for the first time.
    pub(crate) fn begin(
        connection: &Arc<Connection>,
        snapshot: &Snapshot,
        request_facts: &RequestFacts<'_>,
        reviewed: &ReviewedFacts<'_>,
    ) -> Self {
        let kept = snapshot.judged_headers();
        let named = request_facts.headers.iter().filter(|(name, _)| kept.contains(name.as_str()));
        let mut headers = HeaderMap::new();
        for (name, value) in named {
            headers.append(name, value.clone());
        }
        let judged = Arc::new(JudgedRequest {
            method: request_facts.method.clone(),
            host: request_facts.host.clone(),
            target: request_facts.path.forward().into(),
            normalization: reviewed.normalization,
            headers,
            kept: kept.clone(),
            remote_ip: reviewed.remote_ip,
            caller: reviewed.caller.clone(),
            listener: reviewed.listener.cloned(),
            refused: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        connection.add(judged.clone());
        Self { judged, connection: connection.clone() }
    }

    /// Whether policy refuses the request by now.
    pub fn is_refused(&self) -> bool {
        self.judged.is_refused()
    }

    /// Ready once policy refuses the request.
    pub fn poll_refused(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.judged.poll_refused(cx)
    }

    /// Waits until policy refuses the request.
    pub async fn refused(&self) {
        std::future::poll_fn(|cx| self.poll_refused(cx)).await;
    }

    /// The same, apart from this value. Only the one who waited last is woken.
    pub fn signal(&self) -> impl Future<Output = ()> + Send + use<> {
        let judged = self.judged.clone();
        std::future::poll_fn(move |cx| judged.poll_refused(cx))
    }
}

impl Drop for RequestReview {
    fn drop(&mut self) {
        let judged: Arc<dyn ReviewableStream> = self.judged.clone();
        self.connection.remove(&judged);
    }
}

impl ReviewableStream for JudgedRequest {
    fn review(&self, connection: &Connection, snapshot: &Snapshot) {
        if !self.is_allowed(connection, snapshot) {
            self.refused.store(true, Release);
            self.waker.wake();
        }
    }
}

impl JudgedRequest {
    fn is_refused(&self) -> bool {
        self.refused.load(Acquire)
    }

    fn poll_refused(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is_refused() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// In doubt it is refused: a rule may need a field that was not kept, and the token may no longer be accepted.
    fn is_allowed(&self, connection: &Connection, snapshot: &Snapshot) -> bool {
        let Ok(path) = CanonicalPath::parse(&self.target, self.normalization) else { return false };
        let Some(token) = self.token(connection, snapshot) else { return false };
        let Ok(api_key) = self.api_key(snapshot) else { return false };
        if !snapshot.judged_headers().is_subset(&self.kept) {
            return false;
        }
        let request_facts = RequestFacts {
            method: &self.method,
            host: &self.host,
            path: &path,
            headers: &self.headers,
            token,
            api_key: api_key.map(|key| &key.facts),
        };
        let facts =
            policy::ConnectionFacts { remote_ip: self.remote_ip, ..authorize::facts(connection) };
        authorize::request(snapshot, &facts, &request_facts).decision.is_ok()
    }

    /// The claims as they are valid now; `None` when the token would be refused.
    fn token(&self, connection: &Connection, snapshot: &Snapshot) -> Option<Option<&TokenClaims>> {
        let rules = snapshot.tokens();
        let Some(claims) = self.caller.claims() else { return Some(None) };
        if snapshot.revoked_tokens().is_revoked(claims) {
            return None;
        }
        if let Some(known) = self.caller.token.known() {
            let accepted = known.is_accepted(snapshot, self.listener.as_ref());
            return accepted.then_some(Some(claims));
        }
        if rules.is_empty() {
            // Tokens are no longer checked, but left to the app.
            return Some(None);
        }
        rules.accepts(claims, connection.peer().map(|peer| &peer.id)).then_some(Some(claims))
    }

    /// The key as it is described now; an error where it would be refused, or one is required by now and there is none.
    fn api_key<'s>(
        &'s self,
        snapshot: &'s Snapshot,
    ) -> Result<Option<&'s Arc<ApiKey>>, ApiKeyRefusal> {
        let rules =
            snapshot.api_keys().rules(self.listener.as_ref().map(|listener| listener.place()));
        rules.judge_again(self.caller.api_key.key().map(|key| &**key), unix_now())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::cell::Cell;

    use parking_lot::Mutex;
    use policy::{MtlsMode, PolicyDefaults, Resources, SourceFile, Workload};

    use super::*;
    use crate::connection::registry::Registry;
    use crate::labels::Direction;

    fn snapshot(specs: &[&str]) -> Snapshot {
        let documents = specs.iter().enumerate().map(|(index, spec)| {
            format!("---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p{index}, namespace: shop}}\nspec: {spec}\n")
        });
        let bytes = format!("# none\n{}", documents.collect::<String>()).into_bytes();
        let files = [SourceFile { name: "r".into(), bytes }];
        let resources =
            Resources::parse(&files, "postern-system").unwrap_or_else(|m| panic!("{m}"));
        let (namespace, service_account) = ("shop".to_owned(), "cart".to_owned());
        let workload = Workload { namespace, service_account, labels: [].into() };
        let defaults = PolicyDefaults { mtls: MtlsMode::Permissive, ..PolicyDefaults::default() };
        Snapshot::build(&resources, &workload, &defaults)
    }

    /// A request is authorized by a policy that allows it, and one that does not comes into force at each possible
    /// moment: before the first load of the snapshot, between the token and the registration, between the registration
    /// and the second load, after it.
    #[test]
    fn f12_policy_tightened_or_removed_at_any_moment_of_a_request_that_begins() {
        let before = Arc::new(snapshot(&["{rules: [{}]}"]));
        let after = Arc::new(snapshot(&["{action: DENY, rules: [{}]}"]));
        for moment in 0..4 {
            let registry = Arc::new(Registry::new(1));
            let address = "10.0.0.7:1".parse().unwrap();
            let connection = registry.register(0, Direction::Inbound, address, address, 0);
            let in_force = Mutex::new(before.clone());
            // What `ProxyState::install_snapshot` does: it stores, then walks the open requests.
            let reached = |here: usize| {
                if here == moment {
                    *in_force.lock() = after.clone();
                    connection.review_all(&after);
                }
            };
            let (method, host) = (Method::GET, HostName::parse("cart", Some(80)).unwrap());
            let (headers, level) = (HeaderMap::new(), PathNormalization::default());
            let path = CanonicalPath::parse("/", level).unwrap();
            let (method, host, path) = (&method, &host, &path);
            let request_facts =
                RequestFacts { method, host, path, headers: &headers, token: None, api_key: None };
            let nobody = AuthenticatedCaller::default();
            reached(0);
            let looks = Cell::new(0);
            let look = || {
                if looks.replace(looks.get() + 1) == 1 {
                    reached(2);
                }
                Box::new(in_force.lock().clone())
            };
            let mut by = look();
            let judged = by_one_snapshot(&mut by, look, |snapshot| {
                reached(1);
                Ok::<_, ()>(RequestReview::begin(
                    &connection,
                    snapshot,
                    &request_facts,
                    &ReviewedFacts {
                        normalization: level,
                        remote_ip: None,
                        caller: &nobody,
                        listener: None,
                    },
                ))
            });
            let review = judged.unwrap();
            reached(3);
            let facts = authorize::facts(&connection);
            let let_in = authorize::request(&by, &facts, &request_facts).decision.is_ok();
            assert!(!let_in || review.is_refused(), "moment {moment}");
        }
    }

    /// A request with `x-role: admin` is allowed by the first policies; whether it may go on under the second.
    #[test]
    fn f12_policy_tightened_or_removed_fields_that_nobody_kept() {
        const ALL: &str = "{rules: [{}]}";
        let deny = |key: &str, value: &str| {
            format!(
                "{{action: DENY, rules: [{{when: [{{key: 'request.headers[{key}]', values: [{value}]}}]}}]}}"
            )
        };
        let (admin, guest, other) =
            (deny("x-role", "admin"), deny("x-role", "guest"), deny("x-other", "a"));
        let watched = admin.replace("DENY", "AUDIT");
        for (name, before, after, goes_on) in [
            ("nothing changes", vec![ALL], vec![ALL], true),
            ("a rule about a field that was not kept", vec![ALL], vec![ALL, &admin], false),
            ("in doubt, whatever the field was", vec![ALL], vec![ALL, &guest], false),
            ("a kept field that does not match", vec![ALL, &guest], vec![ALL, &guest], true),
            ("a kept field that matches", vec![ALL, &guest], vec![ALL, &admin], false),
            ("one more field", vec![ALL, &guest], vec![ALL, &guest, &other], false),
            ("a rule that is only watched", vec![ALL], vec![ALL, &watched], true),
            ("fewer rules", vec![ALL, &guest], vec![ALL], true),
        ] {
            let registry = Arc::new(Registry::new(1));
            let address = "10.0.0.7:1".parse().unwrap();
            let connection = registry.register(0, Direction::Inbound, address, address, 0);
            let mut headers = HeaderMap::new();
            headers.insert("x-role", "admin".parse().unwrap());
            let host = HostName::parse("cart", Some(80)).unwrap();
            let level = PathNormalization::default();
            let path = CanonicalPath::parse("/", level).unwrap();
            let request_facts = RequestFacts {
                method: &Method::GET,
                host: &host,
                path: &path,
                headers: &headers,
                token: None,
                api_key: None,
            };
            let nobody = AuthenticatedCaller::default();
            let review = RequestReview::begin(
                &connection,
                &snapshot(&before),
                &request_facts,
                &ReviewedFacts {
                    normalization: level,
                    remote_ip: None,
                    caller: &nobody,
                    listener: None,
                },
            );
            connection.review_all(&snapshot(&after));
            assert_eq!(!review.is_refused(), goes_on, "{name}");
        }
    }
}
