//! What a gateway believes of its clients, and asks of them: keys, certificates of partners, sizes, and what their answers
//! carry.

use postern_tests::certificates::replace;
use postern_tests::{Answer, Mesh, Pod, wait};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use serde_json::{Value, json};

use crate::api_keys::new_key;
use crate::scene::{allow, cart};

/// A gateway before the shop's cart, with a listener for everybody and one for partners.
struct Scene {
    mesh: Mesh,
    edge: Pod,
    client: Pod,
    partners: CertifiedIssuer<'static, KeyPair>,
    /// It serves for as long as it is held.
    _cart: Pod,
}

const OWN: &str = "policy.postern.dev/v1alpha1";
const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

fn scene(key: &Value) -> Scene {
    let mesh = Mesh::start();
    let partners = authority("partners");
    mesh.policy("edge", &allow("cart", "edge"));
    mesh.policy("gateway", &gateway());
    mesh.policy("clients", &clients(&partners.as_ref().pem(), key));
    let cart = cart(&mesh);
    let client = mesh.pod("client").outside().start();
    let edge = mesh.pod("edge").lay_out();
    let web = authority("web");
    replace(&client.directory().join("web.pem"), &web.as_ref().pem());
    for name in ["shop", "partners"] {
        let key = KeyPair::generate().unwrap();
        let host = SanType::DnsName(format!("{name}.example").try_into().unwrap());
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![host];
        let chain = params.signed_by(&key, &web).unwrap().pem();
        replace(&edge.directory().join(format!("{name}.pem")), &chain);
        replace(&edge.directory().join(format!("{name}-key.pem")), &key.serialize_pem());
    }
    replace(&edge.directory().join("proxy.yaml"), &config().to_string());
    edge.start_proxy();
    edge.ready();
    let scene = Scene { mesh, edge, client, partners, _cart: cart };
    wait::until_true("the shop to answer", || scene.get("shop", "/cart/ann", &[]).status == 401);
    scene
}

fn config() -> Value {
    let file = |name: &str| format!("/run/postern/{name}");
    let certificate = |name: &str| {
        json!({
            "name": format!("shop/{name}"),
            "certificate": file(&format!("{name}.pem")), "key": file(&format!("{name}-key.pem")),
        })
    };
    let certificates = ["shop", "partners"].map(certificate);
    json!({
        "mode": "gateway",
        "gateway": {"certificates": certificates},
        "workload": {"namespace": "shop", "serviceAccount": "edge", "labels": {"app": "edge"}},
        "identity": {"files": {
            "certificate": file("svid.pem"), "key": file("key.pem"), "bundle": file("bundle.pem"),
        }},
        "resources": {"directory": file("resources")},
        "workers": 1,
    })
}

fn gateway() -> String {
    let https = |name: &str| {
        json!({
            "name": name, "port": 8443, "protocol": "HTTPS", "hostname": format!("{name}.example"),
            "tls": {"certificateRefs": [{"name": name}]},
        })
    };
    let listeners = ["shop", "partners"].map(https);
    let rules = json!([{"backendRefs": [{"name": "cart", "port": 8080}]}]);
    let spec = json!({"gatewayClassName": "postern", "listeners": listeners});
    let route = json!({"parentRefs": [{"name": "edge"}], "rules": rules});
    documents(&[
        object(GATEWAY_API, "Gateway", "edge", &spec),
        object(GATEWAY_API, "HTTPRoute", "cart", &route),
    ])
}

/// Keys for everybody's listener, certificates for the partners'; one partner is not let in.
fn clients(authorities: &str, key: &Value) -> String {
    let target = |section: &str| json!([{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "sectionName": section}]);
    let name = |name: Value, who: &str| json!({"subjectAltName": name, "principal": format!("partner.example/{who}")});
    let public = json!({
        "targetRefs": target("shop"),
        "hsts": {"maxAge": "365d"},
        "securityHeaders": {"preset": "standard"},
        "limits": {"requestBytes": "16B"},
    });
    let partners = json!({
        "targetRefs": target("partners"),
        "clientCertificates": {
            "mode": "required",
            "authorities": [{"kind": "ConfigMap", "name": "partners"}],
            "principals": [
                name(json!({"dns": "acme.example"}), "acme"),
                name(json!({"uri": "urn:globex:orders"}), "globex"),
            ],
        },
    });
    let globex = json!({"from": [{"source": {"principals": ["partner.example/globex"]}}]});
    let denied = json!({
        "action": "DENY", "selector": {"matchLabels": {"app": "edge"}}, "rules": [globex],
    });
    let keys = json!({"targetRefs": target("shop"), "keys": [key]});
    let mut found =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": authorities}});
    found["metadata"] = json!({"name": "partners", "namespace": "shop"});
    documents(&[
        found,
        object(OWN, "ClientTrafficPolicy", "public", &public),
        object(OWN, "ClientTrafficPolicy", "partners", &partners),
        object(OWN, "ApiKeyPolicy", "public", &keys),
        object("security.istio.io/v1", "AuthorizationPolicy", "globex", &denied),
    ])
}

fn object(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": version, "kind": kind,
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

fn documents(all: &[Value]) -> String {
    all.iter().map(|one| format!("---\n{one}\n")).collect()
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

impl Scene {
    fn get(&self, name: &str, path: &str, more: &[&str]) -> Answer {
        let to = format!("{name}.example:8443:{}", self.edge.ipv4());
        let url = format!("https://{name}.example:8443{path}");
        let believing = ["--resolve", &*to, "--cacert", "/run/postern/web.pem"];
        self.client.curl_with(&[&believing[..], more, &[&*url]].concat())
    }

    /// A call to the partners' listener with a certificate of these names.
    fn partner(&self, by: &CertifiedIssuer<'static, KeyPair>, names: &[SanType]) -> Answer {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let chain = params.signed_by(&key, by).unwrap().pem();
        replace(&self.client.directory().join("partner.pem"), &chain);
        replace(&self.client.directory().join("partner-key.pem"), &key.serialize_pem());
        let shown = ["--cert", "/run/postern/partner.pem", "--key", "/run/postern/partner-key.pem"];
        self.get("partners", "/cart/ann", &shown)
    }
}

#[test]
fn gateway_clients_show_keys_and_get_headers_of_safety() {
    let (key, entry) = new_key("acme", "read");
    let scene = scene(&entry);
    let with_key = format!("x-api-key: {key}");
    let with_key = ["-H", &*with_key];
    let missing = scene.get("shop", "/cart/ann", &[]);
    assert_eq!((missing.status, missing.reason()), (401, "api_key_missing"));
    assert_eq!(missing.header("strict-transport-security"), Some("max-age=31536000"));
    let answer = scene.get("shop", "/cart/ann", &with_key);
    assert_eq!(answer.status, 200, "{answer:?}");
    for (name, value) in [
        ("strict-transport-security", "max-age=31536000"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    // What a client says of itself is not what those behind hear.
    let forged = ["-H", "x-forwarded-for: 6.6.6.6"];
    let seen = scene.get("shop", "/headers", &[&with_key[..], &forged].concat());
    assert_eq!(seen.status, 200, "{seen:?}");
    assert!(!seen.body.contains("6.6.6.6") && !seen.body.contains(&key), "{}", seen.body);
}

#[test]
fn s09_unread_request_body_that_is_larger_than_a_gateway_takes() {
    let (key, entry) = new_key("acme", "read");
    let scene = scene(&entry);
    let with_key = format!("x-api-key: {key}");
    let with_key = ["-H", &*with_key];
    let chunked = ["-H", "transfer-encoding: chunked"];
    let (fits, large) = ("x".repeat(16), "x".repeat(17));
    for (row, more, body, status) in [
        ("as many bytes", &[][..], &fits, 201),
        ("one more", &[], &large, 413),
        ("as many, unannounced", &chunked, &fits, 201),
        ("one more, unannounced", &chunked, &large, 413),
        ("one more, on HTTP/2", &["--http2"], &large, 413),
    ] {
        let version = if row.ends_with("HTTP/2") { "--http2" } else { "--http1.1" };
        let all = [&with_key[..], &[version, "-d", body], more].concat();
        let answer = scene.get("shop", "/cart/ann", &all);
        assert_eq!(answer.status, status, "{row}: {answer:?}");
        assert!(status == 201 || answer.reason() == "body_too_large", "{row}: {answer:?}");
    }
}

#[test]
fn s24_trust_domain_confusion_partners_at_a_gateway() {
    let scene = scene(&new_key("acme", "read").1);
    let other = authority("partners");
    let own = &scene.partners;
    let mesh = uri("spiffe://cluster.local/ns/shop/sa/frontend");
    scene.partner(own, &[dns("acme.example")]).expect(200);
    let denied = scene.partner(own, &[uri("urn:globex:orders")]);
    denied.expect_refusal(403, "policy_denied");
    // Whoever is not mapped is nobody; so is an identity of the mesh that a partner's authority has signed.
    scene.partner(own, &[dns("mallory.example")]).expect(200);
    scene.partner(own, &[mesh]).expect(200);
    for (row, answer) in [
        (
            "two partners at once",
            scene.partner(own, &[dns("acme.example"), uri("urn:globex:orders")]),
        ),
        ("another authority", scene.partner(&other, &[dns("acme.example")])),
        ("no certificate", scene.get("partners", "/cart/ann", &[])),
    ] {
        assert_eq!(answer.status, 0, "{row}: {answer:?}");
    }
    let log = std::fs::read_to_string(scene.edge.directory().join("proxy.out")).unwrap();
    assert!(!log.contains("ns/shop/sa/frontend"), "{log}");
    drop(scene.mesh);
}
