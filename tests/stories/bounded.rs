//! Connections that certificates bound: re-authenticated while both sides renew, cut when that fails, when the
//! peer is revoked and when its root is taken away.

use std::time::{Duration, Instant};

use postern_tests::Task;
use postern_tests::certificates::{Leaf, Svid, TestAuthority, replace};
use postern_tests::{Mesh, Pod, raw, shop, tls, wait};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::scene;

/// The orders port of the cart: lines of text, opaque to the mesh.
const ORDERS: u16 = 9000;

/// A TCP stream that asks a question every half second, and how it went.
pub(crate) struct Line {
    stop: oneshot::Sender<()>,
    task: Task<Spoken>,
}

/// What became of a line.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) answers: usize,
    lived: Duration,
    /// Whether it was still answered when it was told to stop.
    pub(crate) alive: bool,
}

impl Line {
    pub(crate) fn open(from: &Pod, to: &Pod) -> Self {
        let address = to.at(ORDERS);
        let (stop, mut stopped) = oneshot::channel();
        let task = from.spawn(async move {
            let start = Instant::now();
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut answers = 0;
            loop {
                let sent = stream.write_all(b"COUNT ann\n").await;
                let answer = raw::hear_line(&mut stream).await;
                if sent.is_err() || answer != "0" {
                    return Spoken { answers, lived: start.elapsed(), alive: false };
                }
                answers += 1;
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                    _ = &mut stopped => {
                        return Spoken { answers, lived: start.elapsed(), alive: true };
                    }
                }
            }
        });
        Self { stop, task }
    }

    /// Lets it go on until it is told to stop now.
    pub(crate) fn stop(self) -> Spoken {
        // It may have ended by itself.
        let _ = self.stop.send(());
        self.task.join()
    }

    /// Waits until it is cut.
    #[track_caller]
    pub(crate) fn ends_within(self, limit: Duration) -> Spoken {
        let spoken = self.task.join_within(limit);
        assert!(!spoken.alive, "{spoken:?}");
        spoken
    }
}

fn renewals(pod: &Pod) -> f64 {
    pod.metrics().sum("postern_certificate_renewals_total", &[("result", "success")])
}

fn short_lived(lifetime: &str) -> (Mesh, Pod, Pod) {
    let mesh = Mesh::with_authority_and(&["--allow-short-lifetimes", "--leaf-lifetime", lifetime]);
    shop::install(&mesh, "cart");
    let cart = scene::cart(&mesh);
    let frontend = mesh.pod("frontend").start();
    (mesh, cart, frontend)
}

#[test]
fn p01_a_long_tcp_stream_outlives_five_rotations_of_both_sides() {
    let (_mesh, cart, frontend) = short_lived("6s");
    let line = Line::open(&frontend, &cart);
    let before = (renewals(&cart), renewals(&frontend));
    wait::until("five rotations on each side", Duration::from_secs(50), || {
        let seen = (renewals(&cart) - before.0, renewals(&frontend) - before.1);
        if seen.0 >= 5.0 && seen.1 >= 5.0 { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    let spoken = line.stop();
    assert!(spoken.alive && spoken.answers > 20, "{spoken:?}");
    assert!(spoken.lived > Duration::from_secs(12), "{spoken:?}");
    for (pod, side) in [(&cart, "server"), (&frontend, "client")] {
        let done = pod.metrics();
        let ok = done.sum("postern_reauthentications_total", &[("side", side), ("result", "ok")]);
        assert!(ok >= 2.0, "{side}: {}", done.lines("postern_reauthentications_total"));
        let cut = [("reason", "certificate_ended")];
        assert_eq!(done.sum("postern_connections_closed_total", &cut), 0.0);
    }
}

#[test]
fn f05_certificate_expires_with_dead_agents_and_opaque_bytes_are_cut() {
    let (_mesh, cart, frontend) = short_lived("8s");
    let line = Line::open(&frontend, &cart);
    frontend.with_agent(|agent| agent.kill());
    // The cart renews meanwhile, which may win time, but never beyond the front end's own certificate.
    let spoken = line.ends_within(Duration::from_secs(30));
    assert!(spoken.lived < Duration::from_secs(14), "{spoken:?}");
    let cut = [("reason", "certificate_ended")];
    frontend.expect_metric("postern_connections_closed_total", &cut);
    cart.expect_metric("postern_connections_closed_total", &cut);
    frontend.expect_log(&[("closed", "certificate_ended"), ("protocol", "tcp")]);
    // Both ways refused, and told apart from a mesh that is merely slow.
    wait::until_true("the proxy to be unready", || !frontend.is_ready());
    frontend.expect_metric("postern_certificate_state", &[("state", "expired")]);
    frontend.curl("http://cart:8080/cart/ann").expect_refusal(503, "no_certificate");
    // And back without a restart.
    frontend.start_agent();
    frontend.ready();
    frontend.curl("http://cart:8080/cart/ann").expect(200);
    frontend.expect_metric("postern_certificate_state", &[("state", "fresh")]);
}

#[test]
fn a_service_that_may_be_somebody_else_now_is_not_re_authenticated() {
    let (mesh, cart, frontend) = short_lived("8s");
    let line = Line::open(&frontend, &cart);
    let path = mesh.resource_path("service-cart");
    let text = std::fs::read_to_string(&path).unwrap();
    replace(&path, &text.replace("ns/shop/sa/cart", "ns/shop/sa/cart-v2"));
    line.ends_within(Duration::from_secs(30));
    let refused = [("side", "client"), ("result", "policy")];
    frontend.expect_metric("postern_reauthentications_total", &refused);
    frontend.expect_metric("postern_connections_closed_total", &[("reason", "certificate_ended")]);
}

/// A cart and a front end with identity files: the test decides what they are and when they end.
struct Files {
    mesh: Mesh,
    cart: Pod,
    frontend: Pod,
}

fn files() -> Files {
    let mesh = Mesh::start();
    shop::install(&mesh, "cart");
    let nobody = mesh.test_authority().crl_pem(&[], time::Duration::days(1));
    let crl = json!({"identity": {"files": {"crl": "/run/postern/crl.pem"}}});
    let lay_out = |builder: postern_tests::PodBuilder| {
        let pod = builder.config(crl.clone()).lay_out();
        replace(&pod.directory().join("crl.pem"), &nobody);
        pod.start_processes();
        pod.ready();
        pod
    };
    let cart = mesh.pod("cart").port(8080, "http").port(ORDERS, "tcp").port(9100, "tcp");
    let cart = lay_out(cart.app(postern_tests::App::new("shop-cart")));
    let frontend = lay_out(mesh.pod("frontend"));
    Files { mesh, cart, frontend }
}

impl Files {
    /// Gives a pod a certificate of this identity that ends in `seconds`.
    fn issue(&self, pod: &Pod, id: &str, seconds: i64) -> Svid {
        let mut leaf = Leaf::of(id);
        leaf.not_after = time::Duration::seconds(seconds);
        let svid = self.mesh.test_authority().issue(&leaf);
        let before = renewals(pod);
        svid.write(pod.directory());
        wait::until_true("the proxy to take the certificate", || renewals(pod) > before);
        svid
    }
}

#[test]
fn a_peer_that_became_somebody_else_is_not_re_authenticated() {
    let scene = files();
    scene.issue(&scene.cart, &scene.cart.spiffe_id(), 15);
    let line = Line::open(&scene.frontend, &scene.cart);
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    scene.issue(&scene.cart, "spiffe://cluster.local/ns/shop/sa/impostor", 3600);
    line.ends_within(Duration::from_secs(40));
    let refused = [("side", "client"), ("result", "other_identity")];
    scene.frontend.expect_metric("postern_reauthentications_total", &refused);
    let cut = [("reason", "certificate_ended")];
    scene.frontend.expect_metric("postern_connections_closed_total", &cut);
}

#[test]
fn f05_certificate_expires_under_a_foreign_peers_opaque_bytes() {
    let scene = files();
    let outside = scene.mesh.pod("outside").outside().start();
    let mut leaf = Leaf::of(&scene.frontend.spiffe_id());
    leaf.not_after = time::Duration::seconds(6);
    let svid = scene.mesh.test_authority().issue(&leaf);
    let address = scene.cart.at(ORDERS);
    let (answer, ended) = outside.run(async move {
        use tokio::io::AsyncReadExt;
        let mut stream = tls::connect(tls::client(Some(&svid), &[]), address).await.unwrap();
        stream.write_all(b"COUNT ann\n").await.unwrap();
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await.unwrap();
        let rest = tokio::time::timeout(Duration::from_secs(20), stream.read_u8()).await;
        (answer, rest.is_ok_and(|byte| byte.is_err()))
    });
    assert_eq!((&answer, ended), (b"0\n", true));
    scene
        .cart
        .expect_metric("postern_connections_closed_total", &[("reason", "certificate_ended")]);
}

/// The promise is ten seconds; a busy machine gets as much again before the test gives up.
const CUT_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn s28_revocation_inbound_live() {
    let scene = files();
    let svid = scene.issue(&scene.frontend, &scene.frontend.spiffe_id(), 3600);
    let line = Line::open(&scene.frontend, &scene.cart);
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    let list = scene.mesh.test_authority().crl_pem(&[&svid], time::Duration::days(1));
    // Only the cart hears of it.
    replace(&scene.cart.directory().join("crl.pem"), &list);
    line.ends_within(CUT_WITHIN);
    let revoked = [("direction", "inbound"), ("reason", "peer_revoked")];
    scene.cart.expect_metric("postern_connections_closed_total", &revoked);
    let answer = scene.frontend.curl("http://cart:8080/cart/ann");
    assert!(answer.status >= 502, "a revoked client is let in: {answer:?}");
    // A new certificate of the same workload is not the revoked one.
    scene.issue(&scene.frontend, &scene.frontend.spiffe_id(), 3600);
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
}

#[test]
fn s28_revocation_outbound_live() {
    let scene = files();
    let svid = scene.issue(&scene.cart, &scene.cart.spiffe_id(), 3600);
    let line = Line::open(&scene.frontend, &scene.cart);
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    let list = scene.mesh.test_authority().crl_pem(&[&svid], time::Duration::days(1));
    replace(&scene.frontend.directory().join("crl.pem"), &list);
    line.ends_within(CUT_WITHIN);
    let revoked = [("direction", "outbound"), ("reason", "peer_revoked")];
    scene.frontend.expect_metric("postern_connections_closed_total", &revoked);
    scene.frontend.expect_log(&[("closed", "peer_revoked")]);
    scene.frontend.curl("http://cart:8080/cart/ann").expect_refusal(503, "upstream_tls_failed");
}

#[test]
fn s28_revocation_an_unreadable_list_keeps_the_old_one() {
    let scene = files();
    let svid = scene.issue(&scene.frontend, &scene.frontend.spiffe_id(), 3600);
    let authority = scene.mesh.test_authority();
    let path = scene.cart.directory().join("crl.pem");
    let day = time::Duration::days(1);
    let good = authority.crl_pem(&[&svid], day);
    replace(&path, &good);
    let refused = || scene.frontend.curl("http://cart:8080/cart/ann").status != 200;
    wait::until_true("the list to act", refused);
    let failures = |pod: &Pod| {
        pod.metrics().sum("postern_trust_updates_total", &[("what", "crl"), ("result", "failure")])
    };
    for (name, text) in [
        ("empty", String::new()),
        ("garbage", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".to_owned()),
        ("cut short", good[..good.len() / 2].to_owned()),
    ] {
        let before = failures(&scene.cart);
        replace(&path, &text);
        wait::until_true(name, || failures(&scene.cart) > before);
        assert_eq!(scene.cart.metrics().sum("postern_trust_stale", &[]), 1.0, "{name}");
        assert!(refused(), "{name}: the revoked client is back");
    }
    let before = failures(&scene.cart);
    std::fs::remove_file(&path).unwrap();
    wait::until_true("missing", || failures(&scene.cart) > before);
    assert!(refused(), "missing: the revoked client is back");
    // A list past its time is still the last word on those it names, and told.
    replace(&path, &authority.crl_pem(&[&svid], -time::Duration::hours(1)));
    scene.cart.expect_metric("postern_crl_overdue", &[]);
    assert!(refused(), "overdue: the revoked client is back");
    assert_eq!(scene.cart.metrics().sum("postern_trust_stale", &[]), 0.0);
    replace(&path, &authority.crl_pem(&[], day));
    wait::until_true("an empty list to free it", || !refused());
}

#[test]
fn f08_root_rotated_and_peers_on_the_old_root_are_cut() {
    let scene = files();
    let old = scene.mesh.test_authority();
    let new = TestAuthority::new("cluster.local");
    let both = format!("{}{}", old.bundle_pem(), new.bundle_pem());
    let line = Line::open(&scene.frontend, &scene.cart);
    let put = |pod: &Pod, bundle: &str| {
        let before = renewals(pod);
        replace(&pod.directory().join("bundle.pem"), bundle);
        wait::until_true("the proxy to take the bundle", || renewals(pod) > before);
    };
    // Added: nothing ends. The cart moves to the new root: nothing ends.
    put(&scene.cart, &both);
    put(&scene.frontend, &both);
    let before = renewals(&scene.cart);
    new.workload("shop", "cart").write(scene.cart.directory());
    wait::until_true("the proxy to take the certificate", || renewals(&scene.cart) > before);
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    // Removed at the cart: the front end is still on the old one.
    put(&scene.cart, &new.bundle_pem());
    line.ends_within(CUT_WITHIN);
    let distrusted = [("direction", "inbound"), ("reason", "peer_distrusted")];
    scene.cart.expect_metric("postern_connections_closed_total", &distrusted);
    let answer = scene.frontend.curl("http://cart:8080/cart/ann");
    assert!(answer.status >= 502, "a peer on a removed root is let in: {answer:?}");
}
