//! Decisions, as tables: a policy file, who asks for what, and the verdict.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api_keys;
mod headers;
mod matching;
mod nearest;
mod reference;
mod scope;
mod tokens;

use super::*;
use crate::{ApiKeyFacts, CanonicalPath, HostName, PathNormalization, SourceFile, TokenClaims};

/// A resource set from YAML.
fn resources(text: &str) -> Resources {
    let file = SourceFile { name: "r.yaml".into(), bytes: text.as_bytes().to_vec() };
    Resources::parse(&[file], "postern-system")
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}\n{text}"))
}

/// The workload all tests are about: `cart` of namespace `shop`.
fn cart() -> Workload {
    let labels = [("app".to_owned(), "cart".to_owned())].into();
    Workload { namespace: "shop".into(), service_account: "cart".into(), labels }
}

/// PERMISSIVE, so that plaintext reaches the policies; the default verdict is deny.
fn permissive() -> PolicyDefaults {
    PolicyDefaults { mtls: MtlsMode::Permissive, ..PolicyDefaults::default() }
}

fn snapshot_with(text: &str, defaults: &PolicyDefaults) -> Snapshot {
    Snapshot::build(&resources(text), &cart(), defaults)
}

fn snapshot(text: &str) -> Snapshot {
    snapshot_with(text, &permissive())
}

/// One AuthorizationPolicy of namespace `shop`, with this spec.
fn policy(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
    )
}

/// Who asks for what; every test changes what it is about.
#[derive(Debug, Clone)]
struct TestRequest {
    peer: Option<&'static str>,
    source: &'static str,
    remote: Option<&'static str>,
    destination: &'static str,
    sni: Option<&'static str>,
    method: &'static str,
    host: &'static str,
    path: &'static str,
    level: PathNormalization,
    headers: Vec<(String, String)>,
    token: Option<TokenClaims>,
    api_key: Option<ApiKeyFacts>,
}

impl Default for TestRequest {
    fn default() -> Self {
        Self {
            peer: Some("td/ns/shop/sa/frontend"),
            source: "10.0.0.7",
            remote: None,
            destination: "10.0.0.9:8080",
            sni: None,
            method: "GET",
            host: "cart",
            path: "/",
            level: PathNormalization::default(),
            headers: Vec::new(),
            token: None,
            api_key: None,
        }
    }
}

impl TestRequest {
    fn peer(peer: &'static str) -> Self {
        let peer = if peer.is_empty() { None } else { Some(peer) };
        Self { peer, ..Self::default() }
    }

    /// Hands the facts to a test.
    fn with<T>(&self, test: impl FnOnce(&ConnectionFacts<'_>, &HttpFacts<'_>) -> T) -> T {
        let peer = self.peer.map(|id| SpiffeId::parse(&format!("spiffe://{id}")).unwrap());
        let connection = ConnectionFacts {
            peer: peer.as_ref(),
            source_ip: self.source.parse().unwrap(),
            remote_ip: self.remote.map(|ip| ip.parse().unwrap()),
            destination: self.destination.parse().unwrap(),
            sni: self.sni,
        };
        let host = HostName::parse(self.host, Some(80)).unwrap();
        let path = CanonicalPath::parse(self.path, self.level).unwrap();
        let request = HttpFacts {
            method: self.method,
            host: &host,
            path: &path,
            headers: &self.headers,
            token: self.token.as_ref(),
            api_key: self.api_key.as_ref(),
        };
        test(&connection, &request)
    }

    /// "allow shop/p 0 policy_allowed", "deny - - default_deny".
    fn verdict(&self, snapshot: &Snapshot) -> String {
        self.with(|connection, request| shown(snapshot.authorize_request(connection, request)))
    }

    fn opaque_verdict(&self, snapshot: &Snapshot) -> String {
        self.with(|connection, _| shown(snapshot.authorize_opaque(connection)))
    }

    /// "allow …", "deny …" or "undecided".
    fn connection_verdict(&self, snapshot: &Snapshot) -> String {
        self.with(|connection, _| match snapshot.connection_verdict(connection) {
            ConnectionVerdict::Allow(permit) => shown(Ok(permit)),
            ConnectionVerdict::Deny(denial) => shown(Err(denial)),
            ConnectionVerdict::Undecided => "undecided".into(),
        })
    }
}

fn shown(verdict: Result<Permit, Denial>) -> String {
    let by = |policy: Option<&Arc<str>>, rule: Option<u32>| match policy.zip(rule) {
        Some((policy, rule)) => format!("{policy} {rule}"),
        None => "- -".into(),
    };
    match verdict {
        Ok(permit) => {
            format!("allow {} {}", by(permit.policy(), permit.rule()), permit.reason().as_str())
        }
        Err(denial) => {
            format!("deny {} {}", by(denial.policy(), denial.rule()), denial.reason().as_str())
        }
    }
}
