//! TLS of a listener at the edge: which certificate is shown, and what a client's certificate proves.
//!
//! Here alone TLS 1.2 is spoken to clients, and TLS is ended without a client certificate: a client of the edge carries
//! no identity of the mesh ([0901](../../../../docs/decisions/0901-an-edge-listener-ends-tls-without-a-client-certificate.md)).

pub mod certificate;
mod certificate_choice;
pub mod client_certificate;
pub mod hello;
pub mod store;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use identity::tls::{ALPN_H2, ALPN_HTTP11};
use rustls::crypto::aws_lc_rs::cipher_suite::{
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::server::{NoClientAuth, NoServerSessionStorage, ProducesTickets};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio_rustls::server::{StartHandshake, TlsStream};

use crate::connection::net::{BoxedIo, ReadAheadIo};
use crate::connection::tls::{Alpn, HandshakeError};

pub use certificate::{CertificateError, ListenerCertificate};
use certificate_choice::CertificateChoice;
use client_certificate::EdgeClientVerifier;
pub use client_certificate::{ClientAuthorities, ClientAuthoritiesError, ClientCertificate};
pub use hello::{ArrivedHello, HelloRefusal, read_hello};
pub use store::{CertificateContent, CertificateStore, OfferedCertificate, RenewedCertificates};

/// A version of TLS that is spoken at the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), with ECDHE and AEAD suites alone (RFC 9325 §4.2).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// What is agreed on by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EdgeProtocols {
    /// `h2`, then `http/1.1`. A client that offers others alone is refused with the alert `no_application_protocol`;
    /// one that offers none is served.
    #[default]
    Http,
    /// None: the bytes within are not read as HTTP.
    Opaque,
}

/// What is asked of a client.
#[derive(Debug, Clone, Default)]
pub enum ClientAuthentication {
    /// No certificate.
    #[default]
    None,
    /// A certificate that leads to one of the authorities; without it there is no connection.
    Required(ClientAuthorities),
    /// A certificate is asked for, and whoever shows none, or one that proves nothing, is let in as nobody
    /// (`AllowInsecureFallback` of the Gateway API).
    Optional(ClientAuthorities),
}

/// The keys that the sessions of one listener are kept under, in the hands of its clients (RFC 5077, RFC 8446 §4.6.1):
/// made at random, another one each 6 hours, a session lasts 12 hours at most. Clones are the same keys. What is made
/// of other keys is never resumed, so each listener has its own.
#[derive(Clone)]
pub struct SessionTickets(Arc<dyn ProducesTickets>);

impl SessionTickets {
    /// Makes fresh keys.
    ///
    /// # Errors
    /// [`EdgeTlsError::Tls`] when the system has no randomness.
    pub fn new() -> Result<Self, EdgeTlsError> {
        Ok(Self(Ticketer::new()?))
    }
}

impl std::fmt::Debug for SessionTickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionTickets(…)")
    }
}

/// What a listener's side of TLS is made of.
#[derive(Debug, Clone, Default)]
pub struct EdgeTlsOptions {
    /// The certificates, one at least. The first one is shown where the client's name fits none, or it names none.
    pub certificates: Vec<Arc<ListenerCertificate>>,
    /// What is asked of clients. Default: nothing.
    pub client: ClientAuthentication,
    /// The oldest version that is spoken. Default: TLS 1.2.
    pub minimum: TlsVersion,
    /// What is agreed on by ALPN. Default: HTTP.
    pub protocols: EdgeProtocols,
    /// The keys of its sessions, kept from change to change of the same listener. Default: no session is resumed. Where a
    /// client certificate is asked for, none is resumed in any case: it would skip the verifier.
    pub tickets: Option<SessionTickets>,
}

/// Why there is no TLS for a listener.
#[derive(Debug, thiserror::Error)]
pub enum EdgeTlsError {
    /// There is no certificate.
    #[error("the listener has no certificate")]
    NoCertificate,
    /// The TLS library refuses something.
    #[error("TLS of the listener: {0}")]
    Tls(#[from] rustls::Error),
}

/// One listener's side of TLS: immutable, made once a change, shared by all workers.
#[derive(Debug, Clone)]
pub struct EdgeTls {
    certificates: Arc<[Arc<ListenerCertificate>]>,
    config: Arc<ServerConfig>,
    clients: Option<Arc<EdgeClientVerifier>>,
}

impl EdgeTls {
    /// Makes it.
    ///
    /// # Errors
    /// [`EdgeTlsError`].
    pub fn new(options: EdgeTlsOptions) -> Result<Self, EdgeTlsError> {
        let choice = CertificateChoice::new(&options.certificates);
        let choice = Arc::new(choice.ok_or(EdgeTlsError::NoCertificate)?);
        let clients = EdgeClientVerifier::new(options.client).map(Arc::new);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions(options.minimum))?;
        let builder = match &clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_client_cert_verifier(Arc::new(NoClientAuth)),
        };
        let mut config = builder.with_cert_resolver(choice);
        config.alpn_protocols = match options.protocols {
            EdgeProtocols::Http => vec![ALPN_H2.to_vec(), ALPN_HTTP11.to_vec()],
            EdgeProtocols::Opaque => Vec::new(),
        };
        config.max_early_data_size = 0;
        let resumes = options.tickets.filter(|_| clients.is_none());
        set_resumption(&mut config, resumes);
        let certificates = options.certificates.into();
        Ok(Self { certificates, config: Arc::new(config), clients })
    }

    /// The certificates that are shown, the first one to clients whose name fits none.
    #[must_use]
    pub fn certificates(&self) -> &[Arc<ListenerCertificate>] {
        &self.certificates
    }

    /// Makes the handshake with a client whose ClientHello has arrived.
    ///
    /// # Errors
    /// [`HandshakeError`]; an alert has been sent where the protocol has one.
    pub async fn accept(
        &self,
        hello: ArrivedHello,
        limit: Duration,
    ) -> Result<EdgeConnection, HandshakeError> {
        let (accepted, io) = hello.into_parts();
        let start = StartHandshake::from_parts(accepted, io);
        let handshake = tokio::time::timeout(limit, start.into_stream(self.config.clone()));
        let stream = handshake.await.map_err(|_| HandshakeError::Timeout(limit))??;
        self.established(stream)
    }

    fn established(
        &self,
        stream: TlsStream<ReadAheadIo>,
    ) -> Result<EdgeConnection, HandshakeError> {
        let connection = stream.get_ref().1;
        Ok(EdgeConnection {
            alpn: Alpn::of(connection),
            version: spoken(connection),
            client: self.client(connection)?,
            io: Box::new(stream),
        })
    }

    /// The client's certificate, where it has shown one that leads to an authority.
    fn client(
        &self,
        connection: &ServerConnection,
    ) -> Result<Option<ClientCertificate>, HandshakeError> {
        let (Some(verifier), Some(chain)) = (&self.clients, connection.peer_certificates()) else {
            return Ok(None);
        };
        let now = self.config.time_provider.current_time().ok_or(HandshakeError::NoPeer)?;
        verifier.proven(chain, now).ok_or(HandshakeError::NoPeer)
    }
}

/// A connection of the edge after its handshake.
pub struct EdgeConnection {
    /// The decrypted stream.
    pub io: BoxedIo,
    /// The protocol that was agreed on: [`Alpn::H2`], [`Alpn::Http11`] or [`Alpn::None`].
    pub alpn: Alpn,
    /// The version that is spoken.
    pub version: TlsVersion,
    /// The client's certificate, where it was asked for and is proven. It is no identity of the mesh.
    pub client: Option<ClientCertificate>,
}

fn set_resumption(config: &mut ServerConfig, tickets: Option<SessionTickets>) {
    // No session is kept here, so that none can be filled up by clients, and none outlives its keys.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match tickets {
        Some(tickets) => config.ticketer = tickets.0,
        None => config.send_tls13_tickets = 0,
    }
}

fn versions(minimum: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match minimum {
        TlsVersion::Tls12 => &BOTH,
        TlsVersion::Tls13 => &BOTH[..1],
    }
}

fn spoken(connection: &ServerConnection) -> TlsVersion {
    match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    }
}

/// The cryptography of the edge: that of the mesh, and for TLS 1.2 what agrees on a key for each connection and seals
/// (RFC 9325 §4.2). Of suites and key exchanges the client's order counts: it knows which cost it least.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(new_provider()));
    PROVIDER.clone()
}

fn new_provider() -> CryptoProvider {
    let mut provider = default_provider();
    provider.cipher_suites = vec![
        TLS13_AES_128_GCM_SHA256,
        TLS13_AES_256_GCM_SHA384,
        TLS13_CHACHA20_POLY1305_SHA256,
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    provider.kx_groups = KEY_EXCHANGES.to_vec();
    provider
}

/// The key exchanges: the post-quantum hybrid, X25519, and the curves of NIST.
const KEY_EXCHANGES: [&dyn SupportedKxGroup; 4] = [
    aws_lc_rs::kx_group::X25519MLKEM768,
    aws_lc_rs::kx_group::X25519,
    aws_lc_rs::kx_group::SECP256R1,
    aws_lc_rs::kx_group::SECP384R1,
];

#[cfg(test)]
mod tests;
