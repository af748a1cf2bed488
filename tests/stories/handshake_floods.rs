//! Handshakes that want to be dear: many halves, one byte a second, keys changed without end; and resumption, asked
//! for by OpenSSL. Beside each, somebody who is served.

use std::time::{Duration, Instant};

use postern_tests::{Pod, raw, tls};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::scene::{self, Scene};

/// The first bytes of a ClientHello that promises 512 more.
const HALF_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];
/// An alert: warning, close_notify (RFC 8446 §6.1).
const CLOSE_NOTIFY: &[u8] = &[0x15, 0x03, 0x03, 0x00, 0x02, 0x01, 0x00];
/// The handshake's deadline here, shorter than what is usual so that nobody waits for it.
const DEADLINE: &str = "3s";
/// The deadline, and what a busy machine may take to act on it.
const ENDED: Duration = Duration::from_secs(15);

fn with_intruder() -> (Scene, Pod) {
    let scene = scene::shop_with(json!({"limits": {"handshakeTimeout": DEADLINE}}));
    let intruder = scene.mesh.pod("intruder").outside().start();
    (scene, intruder)
}

#[track_caller]
fn still_serves(scene: &Scene) {
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    assert_eq!(scene.cart.metrics().sum("postern_panics_total", &[]), 0.0);
}

#[test]
fn s29_handshake_dos_two_thousand_halves() {
    const HALVES: usize = 2000;
    let (scene, intruder) = with_intruder();
    // Warmed: the shared connection of the two is there before the flood.
    still_serves(&scene);
    let address = scene.cart.at(8080);
    let flood = intruder.spawn(async move {
        let mut held = Vec::new();
        for _ in 0..HALVES {
            // Past the backlog a connection may be refused: that is an end too.
            let Ok(mut stream) = TcpStream::connect(address).await else { continue };
            if stream.write_all(HALF_HELLO).await.is_ok() {
                held.push(stream);
            }
        }
        let opened = held.len();
        let start = Instant::now();
        let mut silent = 0;
        for stream in &mut held {
            let left = (ENDED * 2).saturating_sub(start.elapsed());
            silent += usize::from(raw::hear(stream, left).await.end == raw::End::Silent);
        }
        (opened, silent)
    });
    for _ in 0..5 {
        still_serves(&scene);
    }
    let (opened, silent) = flood.join();
    assert!(opened > HALVES / 2, "{opened} opened");
    assert_eq!(silent, 0, "half handshakes that were never closed");
    still_serves(&scene);
}

#[test]
fn s29_handshake_dos_a_hello_at_one_byte_a_second() {
    let (scene, intruder) = with_intruder();
    let address = scene.cart.at(8080);
    let slow = intruder.spawn(async move {
        let start = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        for byte in HALF_HELLO.iter().chain(&[0; 60]) {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            let heard = raw::hear(&mut stream, Duration::from_secs(1)).await;
            if heard.end != raw::End::Silent {
                break;
            }
        }
        start.elapsed()
    });
    still_serves(&scene);
    let took = slow.join();
    assert!(took < ENDED, "{took:?}");
    scene.cart.expect_metric("postern_connections_closed_total", &[("reason", "handshake")]);
}

#[test]
fn s29_handshake_dos_close_notify_in_the_middle() {
    let (scene, intruder) = with_intruder();
    let address = scene.cart.at(8080);
    for (name, bytes) in [
        ("after half a hello", [HALF_HELLO, CLOSE_NOTIFY].concat()),
        ("instead of a hello", CLOSE_NOTIFY.to_vec()),
    ] {
        let heard = intruder.run(async move { raw::say(address, &bytes).await });
        assert!(heard.end != raw::End::Silent, "{name}: {heard:?}");
    }
    still_serves(&scene);
}

#[test]
fn s29_handshake_dos_ten_thousand_key_updates() {
    let (scene, intruder) = with_intruder();
    let svid = scene.mesh.test_authority().workload("shop", "frontend");
    let address = scene.cart.at(8080);
    let changed = intruder.spawn(async move {
        let config = tls::client(Some(&svid), &["http/1.1"]);
        let mut stream = tls::connect(config, address).await.unwrap();
        for _ in 0..10_000 {
            // Each asks the server for one of its own, which nobody reads.
            if stream.get_mut().1.refresh_traffic_keys().is_err() || stream.flush().await.is_err() {
                return "refused";
            }
        }
        let asked = b"GET /cart/ann HTTP/1.1\r\nhost: cart\r\nconnection: close\r\n\r\n";
        let mut answer = Vec::new();
        let sent = stream.write_all(asked).await;
        let read = tokio::time::timeout(ENDED, stream.read_to_end(&mut answer)).await;
        match (sent, read) {
            (_, Err(_)) => "stuck",
            (Ok(()), Ok(Ok(_))) if answer.starts_with(b"HTTP/1.1 200") => "served",
            _ => "refused",
        }
    });
    still_serves(&scene);
    let ended = changed.join();
    assert_ne!(ended, "stuck", "neither served nor refused");
    still_serves(&scene);
}

#[test]
fn s27_no_resumption_for_openssl() {
    let (scene, intruder) = with_intruder();
    let svid = scene.mesh.test_authority().workload("shop", "frontend");
    svid.write(intruder.directory());
    let script = r#"
        cd "$1"; address=$2; shift 2
        printf 'GET /cart/ann HTTP/1.1\r\nhost: cart\r\nconnection: close\r\n\r\n' |
            openssl s_client -connect "$address" -cert svid.pem -cert_chain svid.pem -key key.pem \
                -tls1_3 -alpn http/1.1 -ign_eof "$@" 2>&1
        test -s session && echo TICKET
        true"#;
    let directory = "/run/postern";
    let address = scene.cart.at(8080).to_string();
    let call = |more: &[&str]| {
        let arguments = [&["-c", script, "sh", directory, &address], more].concat();
        intruder.command("sh", &arguments).stdout
    };
    for (name, more) in [
        ("asked for a session", &["-sess_out", "session"][..]),
        ("offered a key of its own", &["-psk", "00112233", "-psk_identity", "frontend"][..]),
    ] {
        let said = call(more);
        assert!(said.contains("HTTP/1.1 200"), "{name}: {said}");
        assert!(said.contains("New, TLSv1.3"), "{name}: {said}");
        assert!(said.contains("Requested Signature Algorithms"), "no CertificateRequest: {said}");
        for never in ["Reused", "TICKET", "New Session Ticket", "Early data was accepted"] {
            assert!(!said.contains(never), "{name}: {never} in {said}");
        }
    }
    // The verifier in force is asked each time: the same client, another bundle.
    let other = postern_tests::certificates::TestAuthority::new("cluster.local");
    let both = format!("{}{}", other.bundle_pem(), scene.mesh.test_authority().bundle_pem());
    let bundle = scene.cart.directory().join("bundle.pem");
    let renewed = || scene.cart.metrics().sum("postern_certificate_renewals_total", &[]);
    let before = renewed();
    postern_tests::certificates::replace(&bundle, &both);
    postern_tests::wait::until_true("the bundle to be taken", || renewed() > before);
    other.workload("shop", "cart").write(scene.cart.directory());
    postern_tests::wait::until_true("the certificate to be taken", || renewed() > before + 1.0);
    postern_tests::certificates::replace(&bundle, &other.bundle_pem());
    postern_tests::wait::until_true("the same client to be refused", || {
        !call(&[]).contains("HTTP/1.1 200")
    });
}
