//! Certificates that must not open the door, beside one that does; presented by clients and by servers.

use std::sync::Arc;

use postern_tests::certificates::{Leaf, Svid, TestAuthority};
use postern_tests::{App, Mesh, Pod, tls};
use rcgen::ExtendedKeyUsagePurpose;
use time::Duration;

use crate::scene::allow;

const FRONTEND: &str = "spiffe://cluster.local/ns/shop/sa/frontend";

/// A cart, and a place outside the mesh to call it from with any certificate.
struct Door {
    cart: Pod,
    outside: Pod,
    mesh: Mesh,
}

fn door() -> Door {
    let mesh = Mesh::start();
    mesh.policy("cart", &allow("cart", "frontend"));
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    let outside = mesh.pod("outside").outside().start();
    let door = Door { cart, outside, mesh };
    // The permission beside the refusals.
    let good = door.mesh.test_authority().issue(&Leaf::of(FRONTEND));
    let answer = door.knock(good).expect("a good certificate opens the door");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    door
}

impl Door {
    fn knock(&self, svid: Svid) -> std::io::Result<String> {
        let address = self.cart.at(8080);
        self.outside.run(async move {
            tls::get(tls::client(Some(&svid), &["http/1.1"]), address, "/cart/ann").await
        })
    }

    /// The handshake must fail, be counted, and leave the proxy as it was.
    #[track_caller]
    fn expect_closed(&self, svid: Svid) {
        let answer = self.knock(svid);
        assert!(answer.as_ref().map_or(true, String::is_empty), "it was let in: {answer:?}");
        self.cart.expect_metric("postern_connections_closed_total", &[("reason", "handshake")]);
        assert_eq!(self.cart.metrics().sum("postern_panics_total", &[]), 0.0);
    }

    fn issue(&self, change: impl FnOnce(&mut Leaf)) -> Svid {
        let mut leaf = Leaf::of(FRONTEND);
        change(&mut leaf);
        self.mesh.test_authority().issue(&leaf)
    }
}

#[test]
fn s22_spiffe_leaf_rules_two_uri_sans() {
    let door = door();
    let other = "spiffe://cluster.local/ns/shop/sa/other".to_owned();
    door.expect_closed(door.issue(|leaf| leaf.uris.push(other.clone())));
    door.expect_closed(door.issue(|leaf| leaf.uris.insert(0, other.clone())));
    door.expect_closed(door.issue(|leaf| leaf.uris.push("https://example.org/".to_owned())));
}

#[test]
fn s22_spiffe_leaf_rules_ca_leaf() {
    let door = door();
    door.expect_closed(door.issue(|leaf| leaf.is_ca = true));
}

#[test]
fn s22_spiffe_leaf_rules_no_id_or_no_path() {
    let door = door();
    door.expect_closed(door.issue(|leaf| leaf.uris.clear()));
    door.expect_closed(door.issue(|leaf| leaf.uris = vec!["spiffe://cluster.local".to_owned()]));
    door.expect_closed(door.issue(|leaf| {
        leaf.uris.clear();
        leaf.dns_names = vec!["frontend.shop.svc.cluster.local".to_owned()];
    }));
}

#[test]
fn s23_san_parsing_missing_client_usage() {
    let door = door();
    door.expect_closed(door.issue(|leaf| leaf.usages = vec![ExtendedKeyUsagePurpose::ServerAuth]));
}

#[test]
fn s24_trust_domain_confusion_foreign_root_claims_our_name() {
    let door = door();
    door.expect_closed(TestAuthority::new("cluster.local").issue(&Leaf::of(FRONTEND)));
    door.expect_closed(TestAuthority::new("partner.example").issue(&Leaf::of(FRONTEND)));
}

#[test]
fn s24_trust_domain_confusion_our_root_signs_a_foreign_name() {
    let door = door();
    let foreign = "spiffe://partner.example/ns/shop/sa/frontend".to_owned();
    door.expect_closed(door.issue(|leaf| leaf.uris = vec![foreign]));
}

#[test]
fn s24_trust_domain_confusion_upper_case() {
    let door = door();
    door.expect_closed(
        door.issue(|leaf| leaf.uris = vec![FRONTEND.replace("cluster.local", "Cluster.Local")]),
    );
    door.expect_closed(door.issue(|leaf| leaf.uris = vec![FRONTEND.replace("spiffe:", "SPIFFE:")]));
}

#[test]
fn f05_certificate_expires_expired_or_not_yet_valid() {
    let door = door();
    door.expect_closed(door.issue(|leaf| {
        leaf.not_before = -Duration::hours(2);
        leaf.not_after = -Duration::minutes(2);
    }));
    door.expect_closed(door.issue(|leaf| leaf.not_before = Duration::minutes(5)));
}

#[test]
fn s27_no_resumption_every_handshake_is_full() {
    let door = door();
    let svid = door.issue(|_| ());
    let config = tls::client(Some(&svid), &["http/1.1"]);
    let address = door.cart.at(8080);
    for _ in 0..3 {
        let config = Arc::clone(&config);
        let kind = door.outside.run(async move {
            let mut stream = tls::connect(config, address).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(
                &mut stream,
                b"GET /cart/ann HTTP/1.1\r\nhost: cart\r\nconnection: close\r\n\r\n",
            )
            .await
            .unwrap();
            let mut answer = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await.unwrap();
            let (_, session) = stream.get_ref();
            (session.handshake_kind(), session.tls13_tickets_received())
        });
        assert_eq!(kind, (Some(rustls::HandshakeKind::Full), 0));
    }
}

#[test]
fn a_server_without_the_expected_identity_gets_no_request() {
    let mesh = Mesh::start();
    let frontend = mesh.pod("frontend").start();
    let server = mesh.pod("bank").outside().start();
    mesh.policy("bank", &format!("{{
        apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {{name: bank, namespace: shop}},
        spec: {{hosts: [bank.shop.svc.cluster.local], location: MESH_INTERNAL, resolution: STATIC,
          ports: [{{number: 443, name: http-bank, protocol: HTTP}}], endpoints: [{{address: {}}}],
          subjectAltNames: [spiffe://cluster.local/ns/shop/sa/bank]}}}}", server.ipv4()));
    let right = mesh.test_authority().workload("shop", "bank");
    let wrong = mesh.test_authority().workload("shop", "impostor");
    let foreign = TestAuthority::new("cluster.local").workload("shop", "bank");
    let bundle = mesh.test_authority().bundle_pem();
    for (name, svid, status) in
        [("the bank", right, 200), ("another", wrong, 503), ("a foreign root", foreign, 503)]
    {
        let serving = tls::Server::start(&server, 443, &svid, &bundle);
        let answer = postern_tests::wait::until(name, postern_tests::wait::PATIENCE, || {
            let answer = frontend.curl("http://bank:443/");
            if answer.status == 403 {
                Err("the service is not known yet".to_owned())
            } else {
                Ok(answer)
            }
        });
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        let requests = serving.stop();
        assert_eq!(requests.is_empty(), status != 200, "{name} saw {requests:?}");
    }
    frontend.expect_metric(
        "postern_requests_total",
        &[("direction", "outbound"), ("reason", "upstream_tls_failed")],
    );
}
