#![allow(clippy::unwrap_used, clippy::panic)]

mod choice;
mod clients;
mod hellos;
mod real_clients;
mod sessions;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, RsaKeySize, SanType, SignatureAlgorithm,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

/// An authority of a test.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    match algorithm == &rcgen::PKCS_RSA_SHA256 {
        true => KeyPair::generate_rsa_for(algorithm, RsaKeySize::_2048).unwrap(),
        false => KeyPair::generate_for(algorithm).unwrap(),
    }
}

/// A certificate for these names, self-signed, with its key: PEM.
fn pems(names: &[&str], algorithm: &'static SignatureAlgorithm) -> (String, String) {
    let mut params = CertificateParams::default();
    let dns = |name: &&str| SanType::DnsName((*name).try_into().unwrap());
    params.subject_alt_names = names.iter().map(dns).collect();
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let key = key(algorithm);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn certificate(
    name: &str,
    names: &[&str],
    algorithm: &'static SignatureAlgorithm,
) -> Arc<ListenerCertificate> {
    let (chain, key) = pems(names, algorithm);
    Arc::new(ListenerCertificate::parse(name, chain.as_bytes(), key.as_bytes()).unwrap())
}

fn ecdsa(names: &[&str]) -> Arc<ListenerCertificate> {
    certificate("shop/ecdsa", names, &rcgen::PKCS_ECDSA_P256_SHA256)
}

fn options(certificates: Vec<Arc<ListenerCertificate>>) -> EdgeTlsOptions {
    EdgeTlsOptions { certificates, ..EdgeTlsOptions::default() }
}

/// The plainest client: any server, both versions, no certificate of its own.
fn client() -> ClientConfig {
    client_of(Arc::new(default_provider()), &[&TLS13, &TLS12])
}

fn client_of(
    provider: Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer { provider, kind: "" }))
        .with_no_client_auth()
}

/// A client that shows a certificate.
fn client_with(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ClientConfig {
    let provider = Arc::new(default_provider());
    ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer { provider, kind: "" }))
        .with_client_auth_cert(chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

/// Both sides of one handshake: what each of them says.
struct Met {
    client: std::io::Result<TlsStream<tokio::io::DuplexStream>>,
    server: Result<EdgeConnection, HandshakeError>,
}

impl Met {
    /// The certificate that the client was shown.
    fn shown(&self) -> CertificateDer<'static> {
        let client = self.client.as_ref().unwrap().get_ref().1;
        client.peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn connection(&self) -> &ClientConnection {
        self.client.as_ref().unwrap().get_ref().1
    }
}

async fn meet(tls: &EdgeTls, config: ClientConfig, name: &str) -> Met {
    meet_again(tls, Arc::new(config), name).await
}

async fn meet_again(tls: &EdgeTls, config: Arc<ClientConfig>, name: &str) -> Met {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let calling = async {
        let mut stream = TlsConnector::from(config).connect(name, near).await?;
        // What the server says of the client's certificate, and its tickets, come behind the handshake of TLS 1.3.
        stream.read_exact(&mut [0]).await?;
        Ok(stream)
    };
    let answering = async {
        let hello = read_hello(Box::new(far), Bytes::new(), LIMIT).await?;
        let mut connection = tls.accept(hello, LIMIT).await?;
        connection.io.write_all(b"!").await?;
        connection.io.flush().await?;
        Ok(connection)
    };
    let (client, server) = tokio::join!(calling, answering);
    Met { client, server }
}

/// The alert that the client has got.
fn alert(met: &Met) -> Option<rustls::AlertDescription> {
    match met.client.as_ref().err()?.get_ref()?.downcast_ref()? {
        Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Takes every certificate: these tests are about the server.
#[derive(Debug)]
struct AnyServer {
    provider: Arc<CryptoProvider>,
    /// How the schemes that it verifies begin.
    kind: &'static str,
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        schemes.retain(|scheme| format!("{scheme:?}").starts_with(self.kind));
        schemes
    }
}
