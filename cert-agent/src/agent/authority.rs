//! The way to the authority: one connection a request, every step with a deadline (F-03).

use std::future::{Ready, ready};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use identity::verify::ServerVerifier;
use identity::{SpiffeId, TrustBundle, TrustBundles};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::api::signing_client::SigningClient;
use crate::api::{IssueRequest, IssueResponse};

/// From the first packet to the end of the TLS handshake.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// From the request to the answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// An answer is a chain and a bundle.
const MAX_ANSWER: usize = 1024 * 1024;

/// Where the authority is, and how we know it.
#[derive(Debug, Clone)]
pub enum Address {
    /// Over TLS. The server must present `identity`, verified against our roots; the host's name
    /// proves nothing.
    Network {
        /// Host and port.
        host_port: HostPort,
        /// The authority's own SPIFFE id.
        identity: SpiffeId,
    },
    /// Over a unix socket of this machine. What comes back is believed for its chain, as always.
    Unix(PathBuf),
}

/// A host name or address and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// Reads `host:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not HOST:PORT; write for example authority.example:15012 or [::1]:15012"
            )
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(host) if host.parse::<std::net::Ipv6Addr>().is_ok() => host,
            None if !host.contains(':') => host,
            _ => return Err(wrong()),
        };
        if ServerName::try_from(host.to_owned()).is_err() {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No connection.
    #[error("cannot reach the authority at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// An answer that says no.
    #[error("the authority refused ({code:?}): {message}")]
    Refused {
        /// What kind of no.
        code: Code,
        /// The authority's words.
        message: String,
    },
}

/// Sends one request. The connection is verified against `trusted`.
///
/// # Errors
/// [`CallError`].
pub async fn issue(
    address: &Address,
    trusted: &TrustBundle,
    request: IssueRequest,
) -> Result<IssueResponse, CallError> {
    let unreachable =
        |reason: String| CallError::Unreachable { address: address.to_string(), reason };
    let connection = tokio::time::timeout(CONNECT_DEADLINE, connect(address, trusted))
        .await
        .map_err(|_| unreachable("no TLS connection within 10 s".to_owned()))?
        .map_err(|error| unreachable(error.to_string()))?;
    let asking = async {
        // The URI names nothing: the connection is made.
        let channel = Endpoint::from_static("http://authority")
            .connect_with_connector(Dialled::new(connection))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        SigningClient::new(channel)
            .max_decoding_message_size(MAX_ANSWER)
            .issue(request)
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| refused(&status, address))
    };
    tokio::time::timeout(ANSWER_DEADLINE, asking)
        .await
        .map_err(|_| unreachable("no answer within 10 s".to_owned()))?
}

/// A broken connection comes as a status too, with a transport error as its source.
fn refused(status: &Status, address: &Address) -> CallError {
    if std::error::Error::source(status).is_some() {
        let reason = status.message().to_owned();
        return CallError::Unreachable { address: address.to_string(), reason };
    }
    CallError::Refused { code: status.code(), message: status.message().to_owned() }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network { host_port: HostPort { host, port }, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A connection to the authority, whatever carries it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn connect(address: &Address, trusted: &TrustBundle) -> io::Result<Box<dyn Stream>> {
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Network { host_port, identity } => {
            let stream = TcpStream::connect((host_port.host.as_str(), host_port.port)).await?;
            stream.set_nodelay(true)?;
            let config = tls_config(trusted, identity).map_err(io::Error::other)?;
            let name = ServerName::try_from(host_port.host.clone()).map_err(io::Error::other)?;
            Ok(Box::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
        }
    }
}

/// TLS 1.3, no certificate of ours (we may have none yet), the authority's identity demanded,
/// nothing resumed.
fn tls_config(trusted: &TrustBundle, authority: &SpiffeId) -> Result<ClientConfig, rustls::Error> {
    let bundles = Arc::new(TrustBundles::new([trusted.clone()]));
    let verifier = ServerVerifier::new(bundles, [authority.clone()].into());
    let mut config = ClientConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![identity::tls::ALPN_H2.to_vec()];
    Ok(config)
}

/// Hands a connection that is already made to a library that wants to make it: once.
pub(super) struct Dialled(Option<TokioIo<Box<dyn Stream>>>);

impl Dialled {
    pub(super) fn new(connection: impl Stream + 'static) -> Self {
        Self(Some(TokioIo::new(Box::new(connection))))
    }
}

impl tower_service::Service<Uri> for Dialled {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn addresses_are_read() {
        let check = |text: &str, expect: Option<(&str, u16)>| {
            let seen = HostPort::parse(text).ok();
            let seen = seen.as_ref().map(|address| (address.host.as_str(), address.port));
            assert_eq!(seen, expect, "{text}");
        };
        check("authority.example:15012", Some(("authority.example", 15012)));
        check("127.0.0.1:1", Some(("127.0.0.1", 1)));
        check("[::1]:15012", Some(("::1", 15012)));
        check("::1:15012", None);
        check("[authority]:15012", None);
        check("authority", None);
        check("authority:", None);
        check(":15012", None);
        check("authority:99999", None);
        check("https://authority:1", None);
    }
}
