//! What no redirection carries: datagrams, other transports, stray packets.

use std::io::Write as _;
use std::net::UdpSocket;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::pod::{app, apply, counted, in_a_pod, line, outside};
use super::{ALLOW, DENY};
use crate::redirect::ruleset::{EGRESS_DENIED, OUT_OF_STATE};

/// Sends a datagram from the pod to the peer outside; `true` when it arrives there.
fn datagram_arrives(to: &'static str) -> bool {
    let receiver = outside(move || {
        let socket = UdpSocket::bind(to).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        socket
    });
    let unspecified = if to.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let sent = UdpSocket::bind(unspecified).unwrap().send_to(b"hello", to);
    let arrived = receiver.recv_from(&mut [0; 16]).is_ok();
    assert_eq!(sent.is_ok(), arrived, "a refused datagram is an error to the sender: {sent:?}");
    arrived
}

#[test]
fn s46_egress_deny_rejects_and_counts_udp() {
    in_a_pod(module_path!(), "s46_egress_deny_rejects_and_counts_udp", || {
        apply(ALLOW);
        assert!(datagram_arrives("10.9.0.2:443") && datagram_arrives("[fd09::2]:443"));
        apply(DENY);
        assert!(!datagram_arrives("10.9.0.2:443") && !datagram_arrives("[fd09::2]:443"));
        assert_eq!(counted(EGRESS_DENIED), 2);
        assert!(datagram_arrives("10.9.0.2:53") && datagram_arrives("[fd09::2]:53"), "DNS");
        apply("--egress deny --dns 10.9.0.99");
        assert!(!datagram_arrives("10.9.0.2:53"), "DNS of somebody else");
        apply("--egress deny --dns 10.9.0.99 --allow-udp 123,440-450");
        assert!(
            datagram_arrives("10.9.0.2:443") && datagram_arrives("[fd09::2]:123"),
            "--allow-udp"
        );
        assert!(!datagram_arrives("10.9.0.2:451"));
    });
}

#[test]
fn s46_egress_deny_and_udp_servers() {
    in_a_pod(module_path!(), "s46_egress_deny_and_udp_servers", || {
        apply("--egress deny --dns 10.9.0.99 --allow-udp 123");
        let answered = |port: u16| {
            let server = UdpSocket::bind(("10.9.0.1", port)).unwrap();
            let client = outside(move || {
                let client = UdpSocket::bind("10.9.0.2:0").unwrap();
                client.send_to(b"what time is it", ("10.9.0.1", port)).unwrap();
                client
            });
            let (_, peer) = server.recv_from(&mut [0; 32]).unwrap();
            let sent = server.send_to(b"noon", peer).is_ok();
            client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            assert_eq!(client.recv_from(&mut [0; 32]).is_ok(), sent);
            sent
        };
        assert!(answered(123), "the server of an allowed port");
        assert!(!answered(124), "the server of another port");
        let client = UdpSocket::bind("10.9.0.1:123").unwrap();
        assert!(
            client.send_to(b"hello", "10.9.0.2:9").is_err(),
            "an allowed source port opens no destination"
        );
    });
}

#[test]
fn s46_egress_deny_and_other_transports() {
    in_a_pod(module_path!(), "s46_egress_deny_and_other_transports", || {
        apply(DENY);
        let send = |protocol: i32, bytes: &[u8]| {
            let socket =
                Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(protocol))).unwrap();
            let to: std::net::SocketAddr = "10.9.0.2:0".parse().unwrap();
            socket.send_to(bytes, &to.into()).is_ok()
        };
        const GRE: i32 = 47;
        const SCTP: i32 = 132;
        const ICMP: i32 = 1;
        assert!(!send(GRE, &[0, 0, 8, 0]), "GRE");
        assert!(!send(SCTP, &[0; 12]), "SCTP");
        assert_eq!(counted(EGRESS_DENIED), 2);
        assert!(send(ICMP, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]), "an echo request");
    });
}

#[test]
fn s46_packets_outside_of_a_connection_do_not_leak() {
    in_a_pod(module_path!(), "s46_packets_outside_of_a_connection_do_not_leak", || {
        apply(ALLOW);
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
        let to: std::net::SocketAddr = "10.9.0.2:0".parse().unwrap();
        // A header without any flag is part of no connection (ports 1 to 80, offset 5).
        let segment = [0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0, 1, 0, 0, 0, 0, 0];
        assert!(socket.send_to(&segment, &to.into()).is_err());
        assert_eq!(counted(OUT_OF_STATE), 1);
    });
}

#[test]
fn s46_connection_from_before_the_rules_does_not_go_on_in_plaintext() {
    in_a_pod(
        module_path!(),
        "s46_connection_from_before_the_rules_does_not_go_on_in_plaintext",
        || {
            let mut early = app().open("10.9.0.2:80").unwrap();
            assert_eq!(line(&mut early).unwrap(), "outside");
            apply(DENY);
            let _ = early.write_all(b"secret\n");
            let answer = line(&mut early);
            assert!(!answer.as_ref().is_ok_and(|text| text.contains("secret")), "{answer:?}");
        },
    );
}
