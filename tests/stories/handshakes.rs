//! Clients that send nonsense, send slowly, or send nothing.

use std::time::{Duration, Instant};

use postern_tests::{raw, tls};
use tokio::net::TcpStream;

use crate::scene;

#[test]
fn s20_protocol_sniffing_garbage_is_refused_and_forgotten() {
    let scene = scene::shop();
    let intruder = scene.mesh.pod("intruder").outside().start();
    let address = scene.cart.at(8080);
    let garbage: &[(&str, &[u8])] = &[
        ("zeroes", &[0; 64]),
        ("an SSLv2 hello", &[0x80, 0x2e, 0x01, 0x00, 0x02, 0x00, 0x15, 0x00, 0x00, 0x00, 0x10]),
        ("a PROXY line", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"),
        ("an HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a TLS record of nothing", &[0x16, 0x03, 0x01, 0x00, 0x00]),
        ("a ClientHello of garbage", &[0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0xff]),
        (
            "a record that is too long",
            &[0x16, 0x03, 0x01, 0xff, 0xff, 0x01, 0x00, 0xff, 0xff, 0xff],
        ),
    ];
    for (name, bytes) in garbage {
        let bytes = bytes.to_vec();
        let heard = intruder.run(async move { raw::say_and_half_close(address, &bytes).await });
        // At most an alert: never an answer, never silence.
        assert!(heard.received.len() <= 7 && heard.end != raw::End::Silent, "{name}: {heard:?}");
    }
    assert_eq!(scene.cart.metrics().sum("postern_panics_total", &[]), 0.0);
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
}

#[test]
fn s20_protocol_sniffing_one_byte_at_a_time_is_still_tls() {
    let scene = scene::shop();
    let outside = scene.mesh.pod("outside").outside().start();
    let svid = scene.mesh.test_authority().workload("shop", "frontend");
    let address = scene.cart.at(8080);
    let answer = outside.run(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        tls::get_slowly(tls::client(Some(&svid), &["http/1.1"]), stream, "/cart/ann").await
    });
    assert!(answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")), "{answer:?}");
}

#[test]
fn s29_handshake_dos_a_client_that_stops_is_closed_in_time() {
    let scene = scene::shop();
    let intruder = scene.mesh.pod("intruder").outside().start();
    let address = scene.cart.at(8080);
    let starts: [(&str, &'static [u8]); 3] = [
        ("silence", b""),
        ("one byte", &[0x16]),
        ("half a ClientHello", &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]),
    ];
    let waiting: Vec<_> = starts
        .into_iter()
        .map(|(name, bytes)| {
            let hold = async move {
                let start = Instant::now();
                let heard = raw::say(address, bytes).await;
                (start.elapsed(), heard)
            };
            (name, intruder.spawn(hold))
        })
        .collect();
    // Others are served meanwhile.
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    for (name, task) in waiting {
        let (took, heard) = task.join();
        assert!(
            heard.end != raw::End::Silent && took < Duration::from_secs(15),
            "{name}: {heard:?} after {took:?}"
        );
        assert_eq!(heard.text(), "", "{name}");
    }
}
