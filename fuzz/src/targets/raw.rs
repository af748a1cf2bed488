//! The first look at bytes: what a connection speaks, and what the HTTP library would repair.

use data_plane::connection::client_hello::{self, ClientHelloSight};
use data_plane::connection::edge_tls::hello::name_in_pieces;
use data_plane::connection::proxy_protocol::{self, ProxyHeaderSight};
use data_plane::connection::sniff::{ProtocolGuess, classify};
use data_plane::http::gate::raw::RawCheck;

/// However the bytes of requests, and of an answer, arrive, the verdict and the bytes that come out are the
/// same, and at most one byte is spoiled: the one that gave the reason.
pub fn raw_http1(data: &[u8]) {
    for check in [RawCheck::default, || RawCheck::answer(false), || RawCheck::answer(true)] {
        look(check, data);
    }
}

fn look(check: fn() -> RawCheck, data: &[u8]) {
    let (whole, reason) = feed(check(), data, data.len());
    // The last letter of an expectation is hidden from the library.
    let hidden = |after: u8, before: u8| after == b'*' && before.eq_ignore_ascii_case(&b'e');
    let pairs = whole.iter().zip(data).filter(|(after, before)| after != before);
    let changed = pairs.filter(|(after, before)| !hidden(**after, **before)).count();
    // A byte that was NUL already does not show.
    assert!(changed <= usize::from(reason.is_some()), "{changed} bytes were changed");
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(feed(check(), data, size), (whole.clone(), reason), "in pieces of {size}");
    }
}

fn feed(mut check: RawCheck, data: &[u8], size: usize) -> (Vec<u8>, Option<&'static str>) {
    let mut bytes = data.to_vec();
    bytes.chunks_mut(size.max(1)).for_each(|piece| check.feed(piece));
    (bytes, check.refused())
}

/// What a connection speaks, by its first bytes: once decided, more bytes change nothing, and it is
/// decided before 64 bytes are read ahead.
pub fn sniff(data: &[u8]) {
    let decided = (0..=data.len())
        .map(|end| classify(&data[..end]))
        .find(|guess| *guess != ProtocolGuess::NeedMore);
    assert_eq!(classify(data), decided.unwrap_or(ProtocolGuess::NeedMore));
    assert!(decided.is_some() || data.len() < 64, "{} bytes and no decision", data.len());
}

/// The server name of a ClientHello: more bytes never make another name of it, and at the edge, where it is read piece by
/// piece, it is the same.
pub fn client_hello(data: &[u8]) {
    let whole = client_hello::read(data);
    if let ClientHelloSight::Hello(Some(name)) = &whole {
        assert!(!name.is_empty() && !name.ends_with('.'), "{name}");
        assert!(!name.bytes().any(|b| b.is_ascii_uppercase() || b == 0), "{name}");
    }
    for end in [1, 5, data.len() / 2, data.len().saturating_sub(1)] {
        let part = client_hello::read(&data[..end.min(data.len())]);
        if let (ClientHelloSight::Hello(_), ClientHelloSight::Hello(_)) = (&part, &whole) {
            assert_eq!(part, whole);
        }
    }
    for size in [7, 1000] {
        if let Some(name) = name_in_pieces(data, size) {
            assert_eq!(ClientHelloSight::Hello(name), whole, "in pieces of {size}");
        }
    }
}

/// A PROXY header: once decided, more bytes change nothing; an address is IPv4 where it can be, and no header is longer
/// than what is read.
pub fn proxy_protocol(data: &[u8]) {
    let whole = proxy_protocol::parse(data);
    if let ProxyHeaderSight::Header { client, length } = whole {
        assert!(length <= data.len().min(16 + 4096), "{length}");
        assert!(client.is_none_or(|client| client.ip() == client.ip().to_canonical()));
        assert_eq!(proxy_protocol::parse(&data[..length]), whole);
        assert_eq!(proxy_protocol::parse(&data[..length - 1]), ProxyHeaderSight::NeedMore);
    }
    for end in [1, 6, 15, 16, data.len() / 2, data.len().saturating_sub(1)] {
        match proxy_protocol::parse(&data[..end.min(data.len())]) {
            ProxyHeaderSight::NeedMore => {}
            decided => assert_eq!(decided, whole, "after {end} bytes"),
        }
    }
    assert!(whole != ProxyHeaderSight::NeedMore || data.len() < 16 + 4096);
}
