//! The client of the authority: one connection a request and one for the stream of bundles, every step
//! with a deadline (F-03).

use std::future::{Ready, ready};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use identity::verify::{ServerVerifier, VerifyError};
use identity::{SpiffeId, TrustBundle, TrustBundles};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use issuance_messages::signing_client::SigningClient;
use issuance_messages::{
    Bundles, ExchangeTokenRequest, ExchangeTokenResponse, IssueJwtRequest, IssueJwtResponse,
    IssueRequest, IssueResponse, WatchBundlesRequest,
};

/// From the first packet to the end of the TLS handshake.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// From the request to the answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// An answer is a chain and a bundle.
const MAX_ANSWER: usize = 1024 * 1024;
/// What the authority may send ahead of our reading: an answer is a few KiB.
const WINDOW: u32 = 64 * 1024;
/// The bundles of 256 trust domains with their revocation lists.
const MAX_BUNDLES: usize = 8 * 1024 * 1024;

/// Where the authority is, and how we know it.
#[derive(Debug, Clone)]
pub enum AuthorityAddress {
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

/// Asks for one certificate. The connection is verified against `trusted`.
///
/// # Errors
/// [`CallError`].
pub async fn issue(
    address: &AuthorityAddress,
    trusted: &TrustBundle,
    request: IssueRequest,
) -> Result<IssueResponse, CallError> {
    let mut client = client(address, trusted).await?.max_decoding_message_size(MAX_ANSWER);
    answered(address, client.issue(request)).await
}

/// Asks for one JWT-SVID. The connection is verified against `trusted`.
///
/// # Errors
/// [`CallError`].
pub async fn issue_jwt(
    address: &AuthorityAddress,
    trusted: &TrustBundle,
    request: IssueJwtRequest,
) -> Result<IssueJwtResponse, CallError> {
    let mut client = client(address, trusted).await?.max_decoding_message_size(MAX_ANSWER);
    answered(address, client.issue_jwt(request)).await
}

/// A connection to the authority that is kept from one request for an internal token to the next.
#[derive(Debug, Clone)]
pub struct KeptConnection {
    address: AuthorityAddress,
    client: SigningClient<Channel>,
}

impl KeptConnection {
    /// Connects; verified against `trusted`.
    ///
    /// # Errors
    /// [`CallError::Unreachable`].
    pub async fn open(
        address: &AuthorityAddress,
        trusted: &TrustBundle,
    ) -> Result<Self, CallError> {
        let client = client(address, trusted).await?.max_decoding_message_size(MAX_ANSWER);
        Ok(Self { address: address.clone(), client })
    }

    /// Asks for one internal token.
    ///
    /// # Errors
    /// [`CallError`]; of [`CallError::Unreachable`] the connection is of no more use.
    pub async fn exchange_token(
        &mut self,
        request: ExchangeTokenRequest,
    ) -> Result<ExchangeTokenResponse, CallError> {
        answered(&self.address, self.client.exchange_token(request)).await
    }
}

/// Begins to listen for bundles. The connection is verified against `trusted`, and lasts as long as
/// the stream.
///
/// # Errors
/// [`CallError`].
pub async fn watch_bundles(
    address: &AuthorityAddress,
    trusted: &TrustBundle,
) -> Result<Streaming<Bundles>, CallError> {
    let mut client = client(address, trusted).await?.max_decoding_message_size(MAX_BUNDLES);
    answered(address, client.watch_bundles(WatchBundlesRequest {})).await
}

/// A connection that is kept, for several calls. It is verified against `trusted`.
///
/// # Errors
/// [`CallError::Unreachable`].
pub async fn client(
    address: &AuthorityAddress,
    trusted: &TrustBundle,
) -> Result<SigningClient<Channel>, CallError> {
    let connecting = async {
        let connection = connect(address, trusted).await.map_err(|error| reason(&error))?;
        // The URI names nothing: the connection is made.
        Endpoint::from_static("http://authority")
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .connect_with_connector(ReadyConnection::new(connection))
            .await
            .map_err(|error| error.to_string())
    };
    let channel = tokio::time::timeout(CONNECT_DEADLINE, connecting)
        .await
        .unwrap_or_else(|_| Err("no TLS connection within 10 s".to_owned()))
        .map_err(|reason| unreachable(address, reason))?;
    Ok(SigningClient::new(channel))
}

/// A certificate that is too old or too new for us may be our clock's fault: no answer comes that
/// would tell the authority's.
fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)))
            if matches!(other.0.downcast_ref(), Some(VerifyError::Time { .. })) =>
        {
            format!("{}; is this machine's clock right?", other.0)
        }
        _ => error.to_string(),
    }
}

/// The answer, within its deadline.
async fn answered<T>(
    address: &AuthorityAddress,
    asking: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(ANSWER_DEADLINE, asking).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(refused(&status, address)),
        Err(_) => Err(unreachable(address, "no answer within 10 s".to_owned())),
    }
}

fn unreachable(address: &AuthorityAddress, reason: String) -> CallError {
    CallError::Unreachable { address: address.to_string(), reason }
}

/// A broken connection comes as a status too, with a transport error as its source.
pub(super) fn refused(status: &Status, address: &AuthorityAddress) -> CallError {
    if std::error::Error::source(status).is_some() {
        return unreachable(address, status.message().to_owned());
    }
    CallError::Refused { code: status.code(), message: status.message().to_owned() }
}

impl std::fmt::Display for AuthorityAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Network { host_port: HostPort { host, port }, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A connection to the authority, whatever carries it.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

async fn connect(
    address: &AuthorityAddress,
    trusted: &TrustBundle,
) -> io::Result<Box<dyn ByteStream>> {
    match address {
        AuthorityAddress::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        AuthorityAddress::Network { host_port, identity } => {
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
pub(crate) struct ReadyConnection(Option<TokioIo<Box<dyn ByteStream>>>);

impl ReadyConnection {
    pub(crate) fn new(connection: impl ByteStream + 'static) -> Self {
        Self(Some(TokioIo::new(Box::new(connection))))
    }
}

impl tower_service::Service<Uri> for ReadyConnection {
    type Response = TokioIo<Box<dyn ByteStream>>;
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
