//! ClientHellos, before anything is answered.

use rustls::AlertDescription::{IllegalParameter, InternalError, UnrecognisedName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::hello::name_in_pieces;
use super::*;

/// A ClientHello that asks for a name of as many letters as `name`, with `name` in its place.
fn hello(name: &str) -> Vec<u8> {
    let stand_in = "n".repeat(name.len());
    let server = ServerName::try_from(stand_in.clone()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client()), server).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let at = bytes.windows(name.len()).position(|part| part == stand_in.as_bytes()).unwrap();
    bytes.splice(at..at + name.len(), name.bytes());
    bytes
}

async fn read_of(bytes: &[u8]) -> (Result<ArrivedHello, HandshakeError>, Vec<u8>) {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let read = read_hello(Box::new(server), Bytes::new(), LIMIT).await;
    let mut answer = Vec::new();
    if read.is_err() {
        client.read_to_end(&mut answer).await.unwrap();
    }
    (read, answer)
}

/// One spelling of a server name, whoever asks for it, or no connection (CVE-2022-23632).
#[tokio::test]
async fn s14_a_server_name_has_one_spelling() {
    let name = "cart.shop.example";
    for (row, asked, expect) in [
        ("as it is", "cart.shop.example", Some(name)),
        ("upper case", "CART.Shop.EXAMPLE", Some(name)),
        ("a dot at the end", "cart.shop.example.", Some(name)),
        ("both", "Cart.Shop.Example.", Some(name)),
        ("A-labels", "xn--bcher-kva.example", Some("xn--bcher-kva.example")),
        ("A-labels, upper case", "XN--BCHER-KVA.Example", Some("xn--bcher-kva.example")),
        ("an underscore", "my_cart.example", Some("my_cart.example")),
        ("an address", "192.0.2.17", None),
        ("an IPv6 address", "2001:db8::17", None),
    ] {
        let (read, _) = read_of(&hello(asked)).await;
        let read = read.unwrap_or_else(|error| panic!("{row}: {error}"));
        assert_eq!(read.server_name(), expect, "{row}");
    }
    for (row, asked) in [
        ("U-labels", "b\u{fc}cher.example"),
        ("NUL", "cart.shop\0.example"),
        ("NUL at the end", "cart.shop.example\0"),
        ("two dots at the end", "cart.shop.example.."),
        ("a dot in front", ".shop.example"),
        ("a blank", "cart shop.example"),
        ("a port", "cart.shop.example:443"),
        ("a wildcard", "*.shop.example"),
        ("an address with a dot", "192.0.2.17."),
        ("an address in brackets", "[2001:db8::17]"),
        ("a line break", "cart.shop\r\n.example"),
    ] {
        let (read, answer) = read_of(&hello(asked)).await;
        assert_eq!(read.err().map(|error| error.label()), Some("protocol_error"), "{row}");
        let alert = [21, 3, 3, 0, 2, 2, u8::from(IllegalParameter)];
        assert_eq!(answer, alert, "{row}");
    }
}

#[tokio::test]
async fn what_is_no_client_hello_is_refused() {
    let named = hello("cart.shop.example");
    let mut record = vec![0x16, 3, 1, 0x40, 0];
    record.extend([1, 0, 0xff, 0xff]);
    for (row, bytes, expect) in [
        ("nothing", &[][..], "io_error"),
        ("half of it", &named[..40], "io_error"),
        ("a request", b"GET / HTTP/1.1\r\n\r\n", "protocol_error"),
        ("SSL 2", &[0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10], "protocol_error"),
        ("another message", &[0x16, 3, 1, 0, 4, 2, 0, 0, 0], "protocol_error"),
        ("a PROXY header", b"PROXY UNKNOWN\r\n", "protocol_error"),
        ("64 KiB", &record, "io_error"),
    ] {
        let (read, _) = read_of(bytes).await;
        assert_eq!(read.err().map(|error| error.label()), Some(expect), "{row}");
    }
    // Records that are whole, of a message that never ends.
    let piece: Vec<u8> = [&[0x16, 3, 1, 0x10, 0][..], &[0; 0x1000]].concat();
    let mut endless = [&[0x16, 3, 1, 0, 4][..], &[1, 0, 0xff, 0]].concat();
    (0..6).for_each(|_| endless.extend_from_slice(&piece));
    let (read, _) = read_of(&endless).await;
    assert_eq!(read.err().map(|error| error.label()), Some("protocol_error"));
}

#[tokio::test(start_paused = true)]
async fn a_client_hello_in_pieces_and_one_that_never_ends() {
    let tls = EdgeTls::new(options(vec![ecdsa(&["cart.shop.example"])])).unwrap();
    let bytes = hello("cart.shop.example");
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let sent = bytes.clone();
    let slow = tokio::spawn(async move {
        for byte in &sent[10..] {
            client.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client
    });
    let ahead = Bytes::copy_from_slice(&bytes[..10]);
    let arrived = read_hello(Box::new(server), ahead, LIMIT).await.unwrap();
    assert_eq!(arrived.server_name(), Some("cart.shop.example"));
    // Nothing more comes: the handshake has its deadline, too.
    let client = slow.await.unwrap();
    let late = tls.accept(arrived, LIMIT).await.err().unwrap();
    assert_eq!(late.label(), "timeout");
    drop(client);

    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(&bytes[..20]).await.unwrap();
    let late = read_hello(Box::new(server), Bytes::new(), LIMIT).await.err().unwrap();
    assert_eq!(late.label(), "timeout");
}

#[tokio::test]
async fn every_byte_is_passed_on_where_tls_is_not_ended_here() {
    let bytes = hello("cart.shop.example");
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(&bytes[5..]).await.unwrap();
    client.write_all(b"and more").await.unwrap();
    let ahead = Bytes::copy_from_slice(&bytes[..5]);
    let arrived = read_hello(Box::new(server), ahead, LIMIT).await.unwrap();
    let (mut passed, mut io) = arrived.into_passed_through();
    drop(client);
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.unwrap();
    let all = [&passed.split_off(0)[..], &rest].concat();
    assert_eq!(all, [&bytes[..], b"and more"].concat());
}

#[tokio::test]
async fn what_comes_behind_a_client_hello_is_not_lost() {
    // A client that sends more at once than the TLS library takes: here a record that it does not expect.
    let tls = EdgeTls::new(options(vec![ecdsa(&["cart.shop.example"])])).unwrap();
    let bytes = [&hello("cart.shop.example")[..], &[0x16, 3, 3, 0x1f, 0x40], &[0; 8000]].concat();
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    client.write_all(&bytes).await.unwrap();
    let arrived = read_hello(Box::new(server), Bytes::new(), LIMIT).await.unwrap();
    assert_eq!(tls.accept(arrived, LIMIT).await.err().unwrap().label(), "protocol_error");
}

#[tokio::test]
async fn a_client_hears_why_it_is_refused() {
    for (refusal, expect) in [
        (HelloRefusal::UnrecognizedName, UnrecognisedName),
        (HelloRefusal::NoCertificate, InternalError),
    ] {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from("shop.example").unwrap();
        let calling = TlsConnector::from(Arc::new(client())).connect(name, near);
        let refusing = async {
            let hello = read_hello(Box::new(far), Bytes::new(), LIMIT).await.unwrap();
            assert!(!hello.offers(b"h2"));
            hello.refuse(refusal, LIMIT).await;
        };
        let (client, ()) = tokio::join!(calling, refusing);
        let error = client.err().unwrap();
        let heard = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        assert_eq!(heard, Some(&Error::AlertReceived(expect)), "{}", refusal.label());
    }
}

#[test]
fn a_name_is_the_same_in_pieces() {
    let bytes = hello("CART.shop.example.");
    for size in [1, 7, 100, 5000] {
        assert_eq!(name_in_pieces(&bytes, size), Some(Some("cart.shop.example".into())), "{size}");
    }
    assert_eq!(name_in_pieces(&bytes[..50], 1), None);
    assert_eq!(name_in_pieces(b"GET / HTTP/1.1\r\n", 3), None);
}
