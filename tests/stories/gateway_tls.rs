//! TLS and the PROXY protocol at the edge, with clients of others: openssl and curl.

use postern_tests::certificates::replace;
use postern_tests::{Mesh, Pod, raw, wait};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use serde_json::{Value, json};

use crate::scene::{allow, cart};

/// A gateway before the shop's cart, and a browser that believes its certificates.
struct Scene {
    mesh: Mesh,
    edge: Pod,
    browser: Pod,
    authority: CertifiedIssuer<'static, KeyPair>,
    /// It serves for as long as it is held.
    _cart: Pod,
}

fn scene() -> Scene {
    let mesh = Mesh::start();
    mesh.policy("edge", &allow("cart", "edge"));
    mesh.policy("gateway", &gateway());
    mesh.policy("route", &route());
    let cart = cart(&mesh);
    let browser = mesh.pod("browser").outside().start();
    let edge = mesh.pod("edge").lay_out();
    let authority = authority();
    let scene = Scene { mesh, edge, browser, authority, _cart: cart };
    let pem = scene.authority.as_ref().pem();
    replace(&scene.browser.directory().join("web.pem"), &pem);
    for (name, host, key) in [
        ("shop", "shop.example", ecdsa()),
        ("shop-rsa", "shop.example", rsa()),
        ("admin", "admin.example", ecdsa()),
    ] {
        scene.put(name, &scene.issue(host, &key), &key.serialize_pem());
    }
    replace(&scene.edge.directory().join("proxy.yaml"), &config().to_string());
    scene.edge.start_proxy();
    scene.edge.ready();
    wait::until_true("the shop to answer", || scene.shop(&[]).status == 200);
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
    let certificates = ["shop", "shop-rsa", "admin"].map(certificate);
    json!({
        "mode": "gateway",
        "gateway": {"certificates": certificates},
        "workload": {"namespace": "shop", "serviceAccount": "edge", "labels": {"app": "edge"}},
        "identity": {"files": {
            "certificate": file("svid.pem"), "key": file("key.pem"), "bundle": file("bundle.pem"),
        }},
        "resources": {"directory": file("resources")},
        "limits": {"resourcePoll": "1s"},
        "workers": 1,
    })
}

fn gateway() -> String {
    let https = |name: &str, certificates: &[&str]| {
        let named: Vec<_> = certificates.iter().map(|name| json!({"name": name})).collect();
        json!({
            "name": name, "port": 8443, "protocol": "HTTPS", "hostname": format!("{name}.example"),
            "tls": {"certificateRefs": named},
        })
    };
    let listeners = json!([
        {"name": "plain", "port": 8080, "protocol": "HTTP"},
        https("shop", &["shop", "shop-rsa"]),
        https("admin", &["admin"]),
    ]);
    object("Gateway", "edge", &json!({"gatewayClassName": "postern", "listeners": listeners}))
}

fn route() -> String {
    let rules = json!([{"backendRefs": [{"name": "cart", "port": 8080}]}]);
    object("HTTPRoute", "cart", &json!({"parentRefs": [{"name": "edge"}], "rules": rules}))
}

fn object(kind: &str, name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
    .to_string()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "web");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn ecdsa() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap()
}

impl Scene {
    fn issue(&self, host: &str, key: &KeyPair) -> String {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName(host.try_into().unwrap())];
        params.signed_by(key, &self.authority).unwrap().pem()
    }

    fn put(&self, name: &str, chain: &str, key: &str) {
        replace(&self.edge.directory().join(format!("{name}.pem")), chain);
        replace(&self.edge.directory().join(format!("{name}-key.pem")), key);
    }

    fn shop(&self, more: &[&str]) -> postern_tests::Answer {
        self.get("https://shop.example:8443/cart/ann", more)
    }

    /// Asks for a URL of the gateway, whose certificates are verified.
    fn get(&self, url: &str, more: &[&str]) -> postern_tests::Answer {
        let host = url.split('/').nth(2).unwrap();
        let (name, port) = host.split_once(':').unwrap();
        let to = format!("{name}:{port}:{}", self.edge.ipv4());
        let believing = ["--resolve", &to, "--cacert", "/run/postern/web.pem"];
        self.browser.curl_with(&[&believing, more, &[url]].concat())
    }

    /// What openssl says of a handshake with this server name.
    fn openssl(&self, name: &str, more: &str) -> String {
        let script = format!(
            "timeout 15 openssl s_client -connect {}:8443 -servername {name} \
             -CAfile /run/postern/web.pem {more} </dev/null 2>&1",
            self.edge.ipv4()
        );
        self.browser.command("sh", &["-c", &script]).stdout
    }

    /// The serial number of the certificate that is shown for the shop.
    fn serial(&self) -> String {
        let script = format!(
            "timeout 15 openssl s_client -connect {}:8443 -servername shop.example </dev/null \
             2>/dev/null | openssl x509 -noout -serial",
            self.edge.ipv4()
        );
        self.browser.command("sh", &["-c", &script]).ok()
    }
}

#[test]
fn gateway_tls_as_openssl_and_curl_see_it() {
    let scene = scene();
    for (row, name, more, expect) in [
        ("1.3", "shop.example", "-tls1_3", &["TLSv1.3", "ECDSA", "code: 0 (ok)"][..]),
        ("1.2", "shop.example", "-tls1_2", &["TLSv1.2", "ECDSA", "code: 0 (ok)"]),
        ("RSA alone", "shop.example", "-sigalgs rsa_pss_rsae_sha256", &["RSA-PSS", "code: 0 (ok)"]),
        ("1.1", "shop.example", "-tls1_1 -cipher ALL:@SECLEVEL=0", &["Cipher is (NONE)"]),
        ("1.0", "shop.example", "-tls1 -cipher ALL:@SECLEVEL=0", &["Cipher is (NONE)"]),
        ("no such name", "other.example", "", &["unrecognized name", "Cipher is (NONE)"]),
    ] {
        let said = scene.openssl(name, more);
        assert!(expect.iter().all(|words| said.contains(words)), "{row}: {said}");
    }
    scene.shop(&["--http2"]).expect(200);
    scene.shop(&["--http1.1", "--tls-max", "1.2"]).expect(200);
    for (result, side) in [("ok", "edge"), ("unrecognized_name", "edge")] {
        let labels = [("side", side), ("result", result)];
        scene.edge.expect_metric("postern_tls_handshakes_total", &labels);
    }
    scene.edge.expect_log(&[("reason", "unrecognized_name")]);
}

/// One name, one listener, whatever the client writes: in the handshake and in the request.
#[test]
fn s14_host_spelling_in_the_handshake_and_in_the_request() {
    let scene = scene();
    for name in ["shop.example", "SHOP.Example", "shop.example.", "Shop.Example."] {
        let said = scene.openssl(name, "");
        assert!(said.contains("code: 0 (ok)") && !said.contains("(NONE)"), "{name}: {said}");
    }
    for host in ["SHOP.example", "shop.example.:8443"] {
        scene.shop(&["-H", &format!("Host: {host}")]).expect(200);
    }
    // A certificate of one listener, and a request for another one.
    let admin = scene.shop(&["-H", "Host: Admin.example."]);
    admin.expect_refusal(421, "misdirected_request");
    let nobody = scene.shop(&["-H", "Host: other.example"]);
    nobody.expect_refusal(404, "route_not_found");
}

#[test]
fn gateway_certificates_are_rotated_in_place_and_a_pair_that_does_not_fit_is_refused() {
    let scene = scene();
    let old = scene.serial();
    let updates = |result: &str| {
        let metrics = scene.edge.metrics();
        metrics.sum("postern_listener_certificate_updates_total", &[("result", result)])
    };
    assert!(updates("success") >= 3.0 && updates("failure") == 0.0);

    // The first half of a rotation: the new certificate beside the old key.
    let key = ecdsa();
    let chain = scene.issue("shop.example", &key);
    replace(&scene.edge.directory().join("shop.pem"), &chain);
    wait::until_true("the pair to be refused", || updates("failure") > 0.0);
    let refused = |line: &postern_tests::LogLine| {
        let text = line.0.to_string();
        text.contains("shop/shop:") && text.contains("is not the key of the certificate")
    };
    assert!(scene.edge.log().iter().any(refused), "{:?}", scene.edge.log());
    assert_eq!(scene.serial(), old);
    scene.shop(&[]).expect(200);

    // The second one.
    replace(&scene.edge.directory().join("shop-key.pem"), &key.serialize_pem());
    wait::until_true("the new certificate", || scene.serial() != old);
    scene.shop(&[]).expect(200);
    let told: Value = serde_json::from_str(&scene.edge.admin("/certificates").body).unwrap();
    let shown: Vec<_> = told["listeners"].as_array().unwrap().iter().collect();
    let names: Vec<_> = shown.iter().map(|one| one["listener"].as_str().unwrap()).collect();
    assert_eq!(names, ["shop/edge:admin", "shop/edge:shop"]);
    let [ecdsa, rsa] = &shown[1]["certificates"].as_array().unwrap()[..] else { panic!("{told}") };
    assert_eq!((&ecdsa["key"], &rsa["key"]), (&json!("ecdsa"), &json!("rsa")));
    assert_eq!(ecdsa["dns_names"], json!(["shop.example"]));
    assert!(!told.to_string().contains("PRIVATE"));
    scene.edge.expect_metric(
        "postern_listener_certificate_expiry_timestamp_seconds",
        &[("certificate", "shop/shop")],
    );
}

/// The browser's address is listed: it may be anybody, and must say who it is. Nobody else may.
#[test]
fn s47_proxy_protocol_of_listed_peers_alone() {
    let scene = scene();
    let stranger = scene.mesh.pod("stranger").outside().start();
    let listed = json!({
        "apiVersion": "policy.postern.dev/v1alpha1", "kind": "ClientTrafficPolicy",
        "metadata": {"name": "balancer", "namespace": "shop"},
        "spec": {
            "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
            "proxyProtocol": {"from": [scene.browser.ipv4()]},
        },
    });
    scene.mesh.policy("balancer", &listed.to_string());
    let (url, header) =
        (format!("http://{}:8080/cart/ann", scene.edge.ipv4()), "--haproxy-protocol");
    wait::until_true("the header to be demanded", || scene.browser.curl(&url).exit != 0);
    scene.edge.expect_log(&[("reason", "bad_proxy_header")]);
    scene.browser.curl_with(&[header, &url]).expect(200);
    scene.shop(&[header]).expect(200);
    let at = scene.edge.at(8080);
    let spoken = "PROXY TCP4 198.51.100.7 192.0.2.1 56324 8080\r\n\
                  GET /cart/ann HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    let said = scene.browser.run(async move { raw::say(at, spoken.as_bytes()).await });
    assert!(said.text().starts_with("HTTP/1.1 200 "), "{}", said.text());
    scene.edge.expect_log(&[("source_ip", "198.51.100.7"), ("status", "200")]);

    stranger.curl(&url).expect(200);
    let claimed = stranger.curl_with(&[header, &url]);
    assert_ne!(claimed.status, 200, "{claimed:?}");
    let said = stranger.run(async move { raw::say(at, spoken.as_bytes()).await });
    assert!(!said.text().contains(" 200 "), "{}", said.text());
}
