//! The web outside the mesh: authorities that browsers and partners believe, and what they issue.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, SanType,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::json;
use time::{Duration, OffsetDateTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An authority that has nothing to do with the mesh: of the web, or of a partner.
pub struct WebAuthority {
    root: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate of such an authority, with its key.
#[derive(Clone, Debug)]
pub struct WebCertificate {
    /// The certificate, in PEM.
    pub pem: String,
    /// Its PKCS#8 key, in PEM.
    pub key_pem: String,
}

impl WebAuthority {
    /// A new one, whose certificate has this common name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a P-256 key");
        Self { root: CertifiedIssuer::self_signed(params, key).expect("a root") }
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.root.as_ref().pem()
    }

    /// A certificate for these hosts, with a key of ECDSA.
    #[must_use]
    pub fn server(&self, hosts: &[&str]) -> WebCertificate {
        let key = KeyPair::generate().expect("a P-256 key");
        self.issue(hosts, &key, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// The same with a key of RSA.
    #[must_use]
    pub fn rsa_server(&self, hosts: &[&str]) -> WebCertificate {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
        let key = key.expect("an RSA key");
        self.issue(hosts, &key, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client of this DNS name.
    #[must_use]
    pub fn client(&self, name: &str) -> WebCertificate {
        let key = KeyPair::generate().expect("a P-256 key");
        self.issue(&[name], &key, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        names: &[&str],
        key: &KeyPair,
        usage: ExtendedKeyUsagePurpose,
    ) -> WebCertificate {
        let mut params = CertificateParams::default();
        let name = |name: &&str| SanType::DnsName((*name).try_into().expect("names are ASCII"));
        params.subject_alt_names = names.iter().map(name).collect();
        params.extended_key_usages = vec![usage];
        params.not_before = OffsetDateTime::now_utc() - Duration::minutes(1);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(90);
        let certificate = params.signed_by(key, &self.root).expect("a certificate");
        WebCertificate { pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    /// The `ConfigMap` document of this name in the namespace `shop`, with `ca.crt`.
    #[must_use]
    pub fn config_map(&self, name: &str) -> String {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"},
            "data": {"ca.crt": self.pem()},
        })
        .to_string()
    }

    /// A TLS client that believes this authority alone, and shows this certificate, if any.
    #[must_use]
    pub fn believer(&self, shown: Option<&WebCertificate>, alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.as_ref().der().clone()).expect("a root");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3 are there")
            .with_root_certificates(roots);
        let mut config = match shown {
            Some(shown) => builder.with_client_auth_cert(shown.chain(), shown.key()),
            None => Ok(builder.with_no_client_auth()),
        }
        .expect("a certificate and its key");
        // Each handshake is a whole one, and shows the certificate of that moment.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl WebCertificate {
    /// The `Secret` document of this name in the namespace `shop`, of type `kubernetes.io/tls`.
    #[must_use]
    pub fn secret(&self, name: &str) -> String {
        self.secret_in("shop", name)
    }

    /// The same in another namespace.
    #[must_use]
    pub fn secret_in(&self, namespace: &str, name: &str) -> String {
        secret_in(namespace, name, &self.pem, &self.key_pem)
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let chain = CertificateDer::pem_slice_iter(self.pem.as_bytes());
        chain.map(|der| der.expect("our own PEM")).collect()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PemObject::from_pem_slice(self.key_pem.as_bytes()).expect("our own PEM")
    }
}

/// A `Secret` of a certificate and any key, fitting or not.
#[must_use]
pub fn secret(name: &str, certificate_pem: &str, key_pem: &str) -> String {
    secret_in("shop", name, certificate_pem, key_pem)
}

fn secret_in(namespace: &str, name: &str, certificate_pem: &str, key_pem: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": STANDARD.encode(certificate_pem), "tls.key": STANDARD.encode(key_pem)},
    })
    .to_string()
}

/// The certificate that a server shows a client of this server name, in DER. Panics when there is no handshake.
pub async fn shown(config: Arc<ClientConfig>, address: SocketAddr, name: &'static str) -> Vec<u8> {
    let stream = TcpStream::connect(address).await.expect("a connection");
    let name = ServerName::try_from(name).expect("a name");
    let stream = TlsConnector::from(config).connect(name, stream).await.expect("a handshake");
    let chain = stream.get_ref().1.peer_certificates().expect("a certificate");
    chain.first().expect("a leaf").to_vec()
}
