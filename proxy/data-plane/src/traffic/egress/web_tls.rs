//! The TLS that the proxy speaks in its app's place: the server proves a name by a certificate that leads to an authority
//! of the web, or of the file that the DestinationRule names (RFC 9525).
//!
//! TLS 1.3, and 1.2 for servers that have nothing newer. No session is resumed, since that would skip the verifier.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use identity::WebCertificate;
use identity::tls::{ALPN_H2, ALPN_HTTP11};
use parking_lot::Mutex;
use policy::traffic_policy::{
    CaCertificates, ClientCertificateFiles, SubjectAltName, UpstreamTls, UpstreamTlsMode,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::server::ParsedCertificate;
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use zeroize::Zeroizing;

use super::shown::ShownCertificate;
use crate::connection::web_authorities;

/// Files are read again when a connection is made this many seconds after they were read: certificates are renewed in
/// place.
const READ_AGAIN: u32 = 60;
/// Configurations that are kept. When there are more, all are made again.
const MOST: usize = 256;

/// What is offered by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum WebAlpn {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone.
    Http2,
    /// HTTP/2, else HTTP/1.1.
    Both,
    /// Nothing: the bytes are not HTTP.
    Nothing,
}

impl WebAlpn {
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Http1 => &[ALPN_HTTP11],
            Self::Http2 => &[ALPN_H2],
            Self::Both => &[ALPN_H2, ALPN_HTTP11],
            Self::Nothing => &[],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum WebTlsError {
    #[error(
        "the certificates of web authorities cannot be used: {0}; name a PEM file in caCertificates"
    )]
    Authorities(String),
    #[error("{0}")]
    File(String),
    #[error("{0}")]
    Nowhere(Arc<str>),
    #[error(transparent)]
    Tls(#[from] Error),
    #[error("subjectAltNames: {0} is no name that a certificate has")]
    Name(String),
}

/// The configurations of one worker, each made of files.
#[derive(Default)]
pub(super) struct WebTlsConfigs(Mutex<HashMap<ConfigKey, LoadedConfig>>);

type ConfigKey = (Arc<UpstreamTls>, Option<ShownCertificate>, WebAlpn);

#[derive(Clone)]
struct LoadedConfig {
    config: Arc<ClientConfig>,
    at: u32,
}

impl WebTlsConfigs {
    /// The configuration for `tls`, with files that were read at most [`READ_AGAIN`] seconds ago; those of before where
    /// they cannot be read any more.
    ///
    /// # Errors
    /// [`WebTlsError`].
    pub(super) async fn get(
        &self,
        tls: &Arc<UpstreamTls>,
        shown: Option<&ShownCertificate>,
        alpn: WebAlpn,
        now: u32,
    ) -> Result<Arc<ClientConfig>, WebTlsError> {
        let key = (tls.clone(), shown.cloned(), alpn);
        let known = self.0.lock().get(&key).cloned();
        if let Some(known) = known.as_ref().filter(|known| now < known.at + READ_AGAIN) {
            return Ok(known.config.clone());
        }
        let (wanted, shown, _) = key.clone();
        let loading = tokio::task::spawn_blocking(move || load(&wanted, shown, alpn));
        let loaded = loading.await.unwrap_or_else(|_| Err(Error::General("stopped".into()).into()));
        let config = match (loaded, known) {
            (Ok(config), _) => Arc::new(config),
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the TLS files of a DestinationRule cannot be read; those of before are in use");
                known.config
            }
            (Err(error), None) => return Err(error),
        };
        let mut configs = self.0.lock();
        if configs.len() >= MOST && !configs.contains_key(&key) {
            configs.clear();
        }
        configs.insert(key, LoadedConfig { config: config.clone(), at: now });
        Ok(config)
    }
}

/// Reads the files and makes a configuration of them.
fn load(
    tls: &UpstreamTls,
    shown: Option<ShownCertificate>,
    alpn: WebAlpn,
) -> Result<ClientConfig, WebTlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(NamedServer::new(tls, &provider)?);
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &tls.mode {
        UpstreamTlsMode::Mutual(files) => {
            let (chain, key) = client_certificate(files)?;
            builder.with_client_auth_cert(chain, key)?
        }
        UpstreamTlsMode::Simple | UpstreamTlsMode::Disable => match shown {
            Some(shown) => builder.with_client_cert_resolver(Arc::new(shown)),
            None => builder.with_no_client_auth(),
        },
    };
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = alpn.names();
    Ok(config)
}

fn authorities(tls: &UpstreamTls) -> Result<RootCertStore, WebTlsError> {
    let read = match &tls.ca_certificates {
        CaCertificates::System => web_authorities::read(None),
        CaCertificates::File(file) => web_authorities::read(Some(Path::new(&**file))),
        CaCertificates::Pem(pem) => {
            identity::web_roots(pem.as_bytes()).map_err(|error| error.to_string())
        }
        CaCertificates::Nowhere(why) => return Err(WebTlsError::Nowhere(why.clone())),
    };
    read.map_err(WebTlsError::Authorities)
}

fn client_certificate(
    files: &ClientCertificateFiles,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), WebTlsError> {
    let (certificate, key) = (Path::new(&*files.certificate), Path::new(&*files.private_key));
    let pem = web_authorities::read_pem(certificate).map_err(WebTlsError::File)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| unreadable(certificate, &error))?;
    let pem = Zeroizing::new(web_authorities::read_pem(key).map_err(WebTlsError::File)?);
    // The message of the library names no byte of the key.
    let private_key =
        PrivateKeyDer::from_pem_slice(&pem).map_err(|error| unreadable(key, &error))?;
    Ok((chain, private_key))
}

fn unreadable(file: &Path, error: &impl std::fmt::Display) -> WebTlsError {
    WebTlsError::File(format!("{}: {error}", file.display()))
}

/// A server that must prove one of some names; the one it is asked for, where none is written.
#[derive(Debug)]
struct NamedServer {
    chain: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
    names: Vec<ExpectedName>,
}

/// A name that a certificate may have.
#[derive(Debug)]
enum ExpectedName {
    /// The name of one server, which a wildcard of the certificate may stand for.
    Server(ServerName<'static>),
    /// The certificate has a name below this one.
    Below(String),
    /// The certificate has this very URI.
    Uri(Arc<str>),
}

impl ExpectedName {
    fn parse(name: &SubjectAltName) -> Result<Self, WebTlsError> {
        match name {
            SubjectAltName::Uri(uri) => Ok(Self::Uri(uri.clone())),
            SubjectAltName::Host(host) => match host.strip_prefix('*') {
                Some(parent) => Ok(Self::Below(parent.to_owned())),
                None => ServerName::try_from(host.to_string())
                    .map(Self::Server)
                    .map_err(|_| WebTlsError::Name(host.to_string())),
            },
        }
    }

    /// Whether a certificate has it, for a name that the chain's verifier does not know.
    fn is_written(&self, certificate: &WebCertificate) -> bool {
        match self {
            Self::Server(_) => false,
            Self::Below(parent) => certificate.dns_names.iter().any(|name| name.ends_with(parent)),
            Self::Uri(uri) => certificate.uris.iter().any(|known| **known == **uri),
        }
    }
}

impl NamedServer {
    fn new(tls: &UpstreamTls, provider: &Arc<CryptoProvider>) -> Result<Self, WebTlsError> {
        let roots = Arc::new(authorities(tls)?);
        let chain =
            WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let chain = chain.map_err(|error| Error::General(error.to_string()))?;
        let names = tls.subject_alt_names.iter().map(ExpectedName::parse);
        let names = names.collect::<Result<_, _>>()?;
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { chain, roots, algorithms, names })
    }

    /// The chain leads to the roots, and the certificate has one of the names that are not of one server.
    fn verify_written(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = WebCertificate::read(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if !self.names.iter().any(|name| name.is_written(&certificate)) {
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        let leaf = ParsedCertificate::try_from(end_entity)?;
        let (roots, algorithms) = (&self.roots, self.algorithms.all);
        verify_server_cert_signed_by_trust_anchor(&leaf, roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }
}

impl ServerCertVerifier for NamedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let proves = |name: &ServerName<'_>| {
            self.chain.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        if self.names.is_empty() {
            return proves(server_name);
        }
        let servers = self.names.iter().filter_map(|name| match name {
            ExpectedName::Server(name) => Some(name),
            _ => None,
        });
        let written = || self.verify_written(end_entity, intermediates, now);
        servers.map(proves).find(Result::is_ok).unwrap_or_else(written)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
