//! The server name that a client asks for, in the ClientHello of a TLS connection that is not ended here (RFC 6066 §3).
//!
//! [`read`] is pure; [`read_server_name`] feeds it from a stream with a cap and a deadline. Nothing is taken from the
//! connection: all bytes are handed back, to be passed on.

use std::future::poll_fn;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::server::{Acceptor, ClientHello};

use crate::connection::net::{BoxedIo, poll_arrival};

/// The largest ClientHello that is read, bytes.
pub(crate) const MAX_CLIENT_HELLO: usize = 16 * 1024;

/// What the first bytes of a client say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientHelloSight {
    /// Too few bytes to decide.
    NeedMore,
    /// A ClientHello, with the server name it asks for, in its one spelling; `None`: it asks for none.
    Hello(Option<String>),
    /// No TLS that can be read.
    Unreadable,
}

/// Looks at the first bytes of a client.
#[must_use]
pub fn read(mut bytes: &[u8]) -> ClientHelloSight {
    let mut acceptor = Acceptor::default();
    while !bytes.is_empty() {
        if acceptor.read_tls(&mut bytes).is_err() {
            return ClientHelloSight::Unreadable;
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(hello)) => {
                return ClientHelloSight::Hello(server_name(&hello.client_hello()));
            }
            Err(_) => return ClientHelloSight::Unreadable,
        }
    }
    ClientHelloSight::NeedMore
}

/// The server name in its one spelling (SECURITY-CASES S-14): lower case, without a dot at the end. A name with anything
/// but letters, digits, `-`, `_` and dots does not come here: rustls refuses the ClientHello. So an internationalized
/// name has its A-labels. `None`: no name, or an address, which is none (RFC 6066 §3).
pub(crate) fn server_name(hello: &ClientHello<'_>) -> Option<String> {
    let name = hello.server_name()?;
    Some(name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
}

/// The server name that the client asks for, after the bytes in `ahead`, and all bytes read. `None` where it asks for
/// none, or sends no ClientHello within the limit.
///
/// # Errors
/// The stream's.
pub async fn read_server_name(
    io: &mut BoxedIo,
    ahead: Bytes,
    limit: Duration,
) -> std::io::Result<(Option<String>, Bytes)> {
    let mut bytes = BytesMut::from(ahead);
    let until = tokio::time::Instant::now() + limit;
    loop {
        match read(&bytes) {
            ClientHelloSight::Hello(name) => return Ok((name, bytes.freeze())),
            ClientHelloSight::Unreadable => return Ok((None, bytes.freeze())),
            ClientHelloSight::NeedMore if bytes.len() >= MAX_CLIENT_HELLO => {
                return Ok((None, bytes.freeze()));
            }
            ClientHelloSight::NeedMore => {}
        }
        let arrival = poll_fn(|context| poll_arrival(io, context));
        match tokio::time::timeout_at(until, arrival).await {
            Ok(arrived) => {
                let arrived = arrived?;
                if arrived.is_empty() {
                    return Ok((None, bytes.freeze()));
                }
                bytes.extend_from_slice(&arrived);
            }
            Err(_) => return Ok((None, bytes.freeze())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn hello(name: &'static str) -> Vec<u8> {
        let config = ClientConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn s20_the_server_name_of_a_client_hello() {
        let named = hello("API.example.com");
        for (row, bytes, expect) in [
            ("nothing", &[][..], ClientHelloSight::NeedMore),
            ("half of it", &named[..40], ClientHelloSight::NeedMore),
            ("whole", &named[..], ClientHelloSight::Hello(Some("api.example.com".to_owned()))),
            (
                "a dot at the end",
                &hello("API.example.com."),
                ClientHelloSight::Hello(Some("api.example.com".to_owned())),
            ),
            ("an address has no name", &hello("10.0.0.1"), ClientHelloSight::Hello(None)),
            ("no TLS", b"GET / HTTP/1.1\r\n\r\n", ClientHelloSight::Unreadable),
            ("another message", &[0x16, 3, 1, 0, 4, 2, 0, 0, 0], ClientHelloSight::Unreadable),
        ] {
            assert_eq!(read(bytes), expect, "{row}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn s20_a_client_hello_in_pieces_and_one_that_never_ends() {
        let limit = Duration::from_secs(5);
        let bytes = hello("api.example.com");
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let mut server: BoxedIo = Box::new(server);
        let ahead = Bytes::copy_from_slice(&bytes[..10]);
        client.write_all(&bytes[10..]).await.unwrap();
        let (name, all) = read_server_name(&mut server, ahead, limit).await.unwrap();
        assert_eq!((name.as_deref(), &all[..]), (Some("api.example.com"), &bytes[..]));

        // A record that announces more than ever comes.
        let silent = Bytes::copy_from_slice(&bytes[..20]);
        let (name, all) = read_server_name(&mut server, silent, limit).await.unwrap();
        assert_eq!((name, all.len()), (None, 20));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_end_the_program(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = read(&bytes);
            let _ = read(&[&[0x16, 3, 1][..], &bytes].concat());
        }
    }
}
