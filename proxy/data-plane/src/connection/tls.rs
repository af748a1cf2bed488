//! TLS handshakes of the mesh, both sides, each with a deadline, and the verified peer.

use std::sync::Arc;
use std::time::Duration;

use identity::Leaf;
use identity::tls::{ALPN_H2, ALPN_HTTP11, ALPN_POSTERN};
use identity::verify::VerifyError;
use rustls::server::Acceptor;
use rustls::{ClientConfig, CommonState, ConnectionCommon};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{LazyConfigAcceptor, TlsConnector};

use crate::connection::credentials::Credentials;
use crate::connection::mesh_connection::PeerChain;
use crate::connection::net::{BoxedIo, ReadAheadIo};
use crate::connection::reauth::ChannelBinding;
use crate::connection::registry::Peer;

/// The largest ClientHello that is inspected, bytes.
const MAX_CLIENT_HELLO: usize = 16 * 1024;
/// How often a ClientHello that arrives in pieces is inspected.
const PEEK_AGAIN: Duration = Duration::from_millis(5);

/// The protocol that both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// `postern/1`: HTTP/2 with CONNECT streams.
    Postern,
    /// `h2`.
    H2,
    /// `http/1.1`.
    Http11,
    /// None: opaque, or as the port is declared.
    None,
}

impl Alpn {
    pub(super) fn of(connection: &CommonState) -> Self {
        match connection.alpn_protocol() {
            Some(ALPN_POSTERN) => Self::Postern,
            Some(ALPN_H2) => Self::H2,
            Some(ALPN_HTTP11) => Self::Http11,
            _ => Self::None,
        }
    }
}

/// A connection after its handshake.
pub struct EstablishedConnection {
    /// The decrypted stream.
    pub io: BoxedIo,
    /// What the handshake has established.
    pub evidence: HandshakeEvidence,
}

/// What a finished handshake has established.
pub struct HandshakeEvidence {
    /// The verified peer.
    pub peer: Peer,
    /// Its certificates.
    pub chain: PeerChain,
    /// The channel binding of the connection, where it is `postern/1`.
    pub binding: Option<ChannelBinding>,
    /// The protocol that was agreed on.
    pub alpn: Alpn,
}

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The deadline passed.
    #[error("the TLS handshake took longer than {0:?}")]
    Timeout(Duration),
    /// The connection broke, or the TLS library rejected the peer; its message says why.
    #[error("TLS handshake: {0}")]
    Io(#[from] std::io::Error),
    /// The peer's certificate is missing or unreadable after it was verified.
    #[error("the verified peer shows no readable certificate")]
    NoPeer,
}

impl HandshakeError {
    /// Whether the server supports none of the offered protocols.
    #[must_use]
    pub fn is_no_application_protocol(&self) -> bool {
        self.rustls()
            == Some(&rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol))
    }

    /// Whether the peer's certificate is rejected because of its validity period, which a wrong clock on either side
    /// may cause.
    #[must_use]
    pub fn is_time(&self) -> bool {
        matches!(self.verify_error(), Some(VerifyError::Time { .. }))
    }

    /// Whether the server presents another identity than expected.
    #[must_use]
    pub fn is_other_identity(&self) -> bool {
        matches!(self.verify_error(), Some(VerifyError::UnexpectedIdentity { .. }))
    }

    /// The error of our own verifier, where it rejected the peer.
    fn verify_error(&self) -> Option<&VerifyError> {
        match self.rustls()? {
            rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
                other.0.downcast_ref()
            }
            _ => None,
        }
    }

    /// The metric label.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match (self, self.rustls()) {
            (Self::Timeout(_), _) => "timeout",
            (Self::NoPeer, _)
            | (
                _,
                Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented),
            ) => "bad_certificate",
            (_, Some(rustls::Error::AlertReceived(_))) => "alert_received",
            (_, Some(_)) => "protocol_error",
            _ => "io_error",
        }
    }

    fn rustls(&self) -> Option<&rustls::Error> {
        match self {
            Self::Io(error) => error.get_ref()?.downcast_ref(),
            _ => None,
        }
    }
}

/// Serves a handshake on a connection whose first bytes are TLS.
///
/// # Errors
/// [`HandshakeError`]; an alert has been sent where the protocol has one.
pub async fn accept(
    io: BoxedIo,
    credentials: &Credentials,
    limit: Duration,
) -> Result<EstablishedConnection, HandshakeError> {
    let handshake = async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), ReadAheadIo::new(io)).await?;
        let hello = start.client_hello();
        let sni: Option<Arc<str>> = hello.server_name().map(Into::into);
        let known = [ALPN_POSTERN, ALPN_H2, ALPN_HTTP11];
        let offered = hello.alpn().is_some_and(|mut names| names.any(|name| known.contains(&name)));
        let stream = start.into_stream(credentials.server_config(offered)).await?;
        let evidence = handshake_evidence(stream.get_ref().1, sni)?;
        Ok(EstablishedConnection { io: Box::new(stream), evidence })
    };
    tokio::time::timeout(limit, handshake).await.unwrap_or(Err(HandshakeError::Timeout(limit)))
}

/// Makes a handshake with a server that must present one of the identities in `config`.
///
/// # Errors
/// [`HandshakeError`]; no byte of the app has been sent by then.
pub async fn connect(
    io: BoxedIo,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    limit: Duration,
) -> Result<EstablishedConnection, HandshakeError> {
    let handshake = async {
        let stream = TlsConnector::from(config).connect(name, ReadAheadIo::new(io)).await?;
        let evidence = handshake_evidence(stream.get_ref().1, None)?;
        Ok(EstablishedConnection { io: Box::new(stream), evidence })
    };
    tokio::time::timeout(limit, handshake).await.unwrap_or(Err(HandshakeError::Timeout(limit)))
}

/// Whether the ClientHello that waits on this connection offers `postern/1`. The bytes stay in the socket. Without a
/// readable ClientHello within the limit the result is false.
pub async fn offers_postern(stream: &TcpStream, limit: Duration) -> bool {
    let look = async {
        let mut bytes = vec![0; MAX_CLIENT_HELLO];
        let mut seen = 0;
        loop {
            let now = stream.peek(&mut bytes).await.unwrap_or(0);
            if now <= seen && (now == 0 || now == bytes.len()) {
                return false;
            }
            if now > seen {
                seen = now;
                if let Some(offers) = reads_as_offer(&bytes[..now]) {
                    return offers;
                }
            }
            // Peeked bytes stay in the socket, so the arrival of more cannot be awaited.
            tokio::time::sleep(PEEK_AGAIN).await;
        }
    };
    tokio::time::timeout(limit, look).await.unwrap_or(false)
}

/// Whether a ClientHello offers `postern/1`, once enough bytes are there.
fn reads_as_offer(mut bytes: &[u8]) -> Option<bool> {
    let mut acceptor = Acceptor::default();
    while !bytes.is_empty() {
        acceptor.read_tls(&mut bytes).ok()?;
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(hello)) => {
                let hello = hello.client_hello();
                return Some(
                    hello.alpn().is_some_and(|mut names| names.any(|n| n == ALPN_POSTERN)),
                );
            }
            Err(_) => return Some(false),
        }
    }
    None
}

/// What a finished handshake has established, on either side. Only a `postern/1` connection gets a channel binding.
fn handshake_evidence<Side>(
    connection: &ConnectionCommon<Side>,
    sni: Option<Arc<str>>,
) -> Result<HandshakeEvidence, HandshakeError> {
    let alpn = Alpn::of(connection);
    let export = |out: &mut [u8], label: &[u8]| {
        connection.export_keying_material(out, label, None).map(drop)
    };
    let binding = match alpn {
        Alpn::Postern => Some(ChannelBinding::of(export).map_err(std::io::Error::other)?),
        _ => None,
    };
    Ok(HandshakeEvidence { alpn, peer: peer(connection, sni)?, chain: chain(connection)?, binding })
}

pub(crate) fn chain(connection: &CommonState) -> Result<PeerChain, HandshakeError> {
    let chain = connection.peer_certificates().ok_or(HandshakeError::NoPeer)?;
    Ok(chain.iter().map(|der| der.clone().into_owned()).collect())
}

fn peer(connection: &CommonState, sni: Option<Arc<str>>) -> Result<Peer, HandshakeError> {
    let leaf = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .ok_or(HandshakeError::NoPeer)?;
    let read = Leaf::read(leaf).map_err(|_| HandshakeError::NoPeer)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
    let leaf_sha256 = digest.as_ref().try_into().map_err(|_| HandshakeError::NoPeer)?;
    Ok(Peer { id: read.id, not_after: read.not_after, leaf_sha256, sni })
}

/// The name for the ClientHello: the service's host, where it is a DNS name.
#[must_use]
pub fn server_name(host: &str, address: std::net::IpAddr) -> ServerName<'static> {
    ServerName::try_from(host.to_owned()).unwrap_or_else(|_| ServerName::IpAddress(address.into()))
}
