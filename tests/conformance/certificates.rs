//! Who signs what at the edge and outside the mesh, and the documents that tell it to the gateway.

use postern_tests::certificates::{Leaf, Svid, TestAuthority};
use serde_json::{Value, json};

/// The certificates of a world.
pub(crate) struct Certificates {
    /// Signs what gateways show to clients.
    pub(crate) edge_authority: TestAuthority,
    edge: Svid,
    /// Signs for the app with TLS of its own, and for whoever calls it.
    pub(crate) app_authority: TestAuthority,
    pub(crate) app: Svid,
    /// What a gateway shows to that app.
    pub(crate) gateway_client: Svid,
    /// Two authorities of partners, and a partner of each.
    partner_authorities: [TestAuthority; 2],
    pub(crate) partners: [Svid; 2],
}

/// The hosts that rows have TLS for.
const EDGE_HOSTS: [&str; 10] = [
    "example.org",
    "first.example",
    "second.example",
    "third.example",
    "*.wild.example",
    "own.example",
    "granted.example",
    "not-granted.example",
    "malformed.example",
    "other.example",
];

impl Certificates {
    pub(crate) fn new() -> Self {
        let edge_authority = TestAuthority::new("edge.example");
        let app_authority = TestAuthority::new("app.example");
        let partner_authorities =
            ["one.partner.example", "two.partner.example"].map(TestAuthority::new);
        let partners = partner_authorities.each_ref().map(|authority| {
            let domain = authority.trust_domain();
            authority.issue(&leaf(&format!("spiffe://{domain}/client"), &[domain]))
        });
        Self {
            edge: edge_authority.issue(&Leaf { uris: Vec::new(), ..leaf("", &EDGE_HOSTS) }),
            app: app_authority
                .issue(&leaf("spiffe://app.example/one", &["one.app.example", "two.app.example"])),
            gateway_client: app_authority
                .issue(&leaf("spiffe://app.example/gateway", &["gateway.app.example"])),
            edge_authority,
            app_authority,
            partner_authorities,
            partners,
        }
    }

    /// Secrets and ConfigMaps, as rows name them.
    pub(crate) fn documents(&self) -> String {
        let [first, second] = &self.partner_authorities;
        let documents = [
            secret("infra", "any-host", &self.edge),
            secret("infra", "gateway-client", &self.gateway_client),
            secret("web", "certificate", &self.edge),
            secret("web", "secret-not-granted", &self.gateway_client),
            roots("infra", "app-roots", &self.app_authority),
            roots("infra", "partner-roots", first),
            roots("infra", "other-partner-roots", second),
            roots("web", "web-roots", first),
        ];
        documents.map(|document| document.to_string()).join("\n---\n")
    }
}

fn leaf(uri: &str, names: &[&str]) -> Leaf {
    Leaf { dns_names: names.iter().map(|name| (*name).to_owned()).collect(), ..Leaf::of(uri) }
}

fn secret(namespace: &str, name: &str, certificate: &Svid) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.chain_pem, "tls.key": certificate.key_pem},
    })
}

fn roots(namespace: &str, name: &str, authority: &TestAuthority) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"ca.crt": authority.bundle_pem()},
    })
}
