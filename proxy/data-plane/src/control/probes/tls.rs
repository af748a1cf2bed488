//! TLS to our own app, for probes alone. The certificate is not verified, as the kubelet does not verify it: a probe
//! asks whether the app answers, not who it is. The limits on what is requested and on what is returned are the
//! protection.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::connection::net::BoxedIo;

/// Makes the handshake, TLS 1.3 or 1.2: the kubelet also probes an app that has no 1.3. No other connection of the
/// proxy uses 1.2.
pub(super) async fn open(stream: TcpStream) -> Result<BoxedIo, String> {
    let failed = |error: &dyn std::fmt::Display| format!("no TLS with the app: {error}");
    let address = stream.peer_addr().map_err(|error| failed(&error))?;
    let config = config().map_err(|error| failed(&error))?;
    let name = ServerName::IpAddress(address.ip().into());
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    Ok(Box::new(connected.map_err(|error| failed(&error))?))
}

fn config() -> Result<ClientConfig, Error> {
    // Not the provider of the mesh, which has no suite of TLS 1.2.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Accepts every certificate, and does not require the proof that the server has its key: without a verified
/// certificate the proof would mean nothing, and reading the key would reject what the kubelet accepts, such as
/// certificates of X.509 version 1.
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
