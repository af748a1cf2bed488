//! Which servers are believed, and what happens when files go away.
#![allow(clippy::unwrap_used)]

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, Issuer, KeyPair, SanType};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::PrivatePkcs8KeyDer;

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name, and its key.
fn leaf(name: &str, issuer: &Issuer<'_, KeyPair>) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if name.contains("://") {
        params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
    }
    (params.signed_by(&key, issuer).unwrap(), key)
}

/// A server with a certificate for this name, which demands one of its clients where `clients` issue them.
fn server(
    name: &str,
    issuer: &Authority,
    clients: Option<&Authority>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let (certificate, key) = leaf(name, issuer);
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions).unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.as_ref().der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key.into()).unwrap())
}

/// Both sides in memory, to the end of the handshake or the first error.
fn handshake(client: ClientConfig, asked: &str, server: &Arc<ServerConfig>) -> Result<(), Error> {
    let name = ServerName::try_from(asked.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(server.clone())?;
    for _ in 0..10 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        while !bytes.is_empty() {
            let read = server.read_tls(&mut &*bytes).unwrap();
            bytes.drain(..read);
            server.process_new_packets()?;
        }
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        while !bytes.is_empty() {
            let read = client.read_tls(&mut &*bytes).unwrap();
            bytes.drain(..read);
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> Arc<str> {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string().into()
    }
}

fn tls(ca: Option<Arc<str>>, names: &[&str]) -> UpstreamTls {
    UpstreamTls {
        mode: UpstreamTlsMode::Simple,
        ca_certificates: ca.map_or(CaCertificates::System, CaCertificates::File),
        sni: None,
        subject_alt_names: names
            .iter()
            .map(|name| match name.contains("://") {
                true => SubjectAltName::Uri((*name).into()),
                false => SubjectAltName::Host((*name).into()),
            })
            .collect(),
    }
}

#[test]
fn a_server_proves_its_name_by_the_authority_of_the_rule() {
    let (right, wrong) = (authority(), authority());
    let files = Files::new();
    let ca = files.write("ca.pem", &right.as_ref().pem());
    let both = &[&TLS13, &TLS12][..];
    for (row, names, asked, server, good) in [
        (
            "the name asked for",
            &[][..],
            "api.example.com",
            server("api.example.com", &right, None, both),
            true,
        ),
        (
            "TLS 1.2 alone",
            &[],
            "api.example.com",
            server("api.example.com", &right, None, &[&TLS12]),
            true,
        ),
        ("a wildcard", &[], "api.example.com", server("*.example.com", &right, None, both), true),
        (
            "another name",
            &[],
            "api.example.com",
            server("www.example.com", &right, None, both),
            false,
        ),
        (
            "another authority",
            &[],
            "api.example.com",
            server("api.example.com", &wrong, None, both),
            false,
        ),
        (
            "a name of the list",
            &["a.b", "db.internal"],
            "api.example.com",
            server("db.internal", &right, None, both),
            true,
        ),
        (
            "the list alone counts",
            &["db.internal"],
            "api.example.com",
            server("api.example.com", &right, None, both),
            false,
        ),
        (
            "a URI of the list",
            &["a.b", "spiffe://partner.example/db"],
            "db.internal",
            server("spiffe://partner.example/db", &right, None, both),
            true,
        ),
        (
            "another URI",
            &["spiffe://partner.example/db"],
            "db.internal",
            server("spiffe://partner.example/db2", &right, None, both),
            false,
        ),
        (
            "a URI of another authority",
            &["spiffe://partner.example/db"],
            "db.internal",
            server("spiffe://partner.example/db", &wrong, None, both),
            false,
        ),
        (
            "a name below one of the list",
            &["*.internal"],
            "api.example.com",
            server("db.internal", &right, None, both),
            true,
        ),
        (
            "none below it",
            &["*.internal"],
            "api.example.com",
            server("internal.example", &right, None, both),
            false,
        ),
    ] {
        let client = load(&tls(Some(ca.clone()), names), None, WebAlpn::Nothing).unwrap();
        let done = handshake(client, asked, &server);
        assert_eq!(done.is_ok(), good, "{row}: {done:?}");
    }
}

#[test]
fn a_client_proves_itself_where_the_rule_names_its_files() {
    let (web, clients) = (authority(), authority());
    let files = Files::new();
    let ca = files.write("ca.pem", &web.as_ref().pem());
    let (certificate, key) = leaf("shop", &clients);
    let mutual = |key: &str| UpstreamTls {
        mode: UpstreamTlsMode::Mutual(ClientCertificateFiles {
            certificate: files.write("cert.pem", &certificate.pem()),
            private_key: files.write("key.pem", key),
        }),
        ..tls(Some(ca.clone()), &[])
    };
    let server = server("api.example.com", &web, Some(&clients), &[&TLS13, &TLS12]);
    let config = load(&mutual(&key.serialize_pem()), None, WebAlpn::Both).unwrap();
    assert_eq!(config.alpn_protocols, [ALPN_H2.to_vec(), ALPN_HTTP11.to_vec()]);
    handshake(config, "api.example.com", &server).unwrap();
    let simple = load(&tls(Some(ca.clone()), &[]), None, WebAlpn::Both).unwrap();
    assert!(handshake(simple, "api.example.com", &server).is_err());
    for broken in ["", "no key", &KeyPair::generate().unwrap().serialize_pem()] {
        assert!(load(&mutual(broken), None, WebAlpn::Both).is_err(), "{broken}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let files = Files::new();
    for (text, expect) in [
        (None, "No such file"),
        (Some(""), "ca.pem: "),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "ca.pem: "),
    ] {
        let path = files.0.path().join("ca.pem").display().to_string();
        if let Some(text) = text {
            files.write("ca.pem", text);
        }
        let error =
            load(&tls(Some(path.into()), &[]), None, WebAlpn::Http1).unwrap_err().to_string();
        assert!(error.contains(expect) && error.contains("ca.pem"), "{error}");
    }
    let error =
        load(&tls(Some("/dev/zero".into()), &[]), None, WebAlpn::Http1).unwrap_err().to_string();
    assert!(error.contains("no regular file"), "{error}");
    let large = files.write("large.pem", &"x".repeat(5 << 20));
    let error = load(&tls(Some(large), &[]), None, WebAlpn::Http1).unwrap_err().to_string();
    assert!(error.contains("larger than 4 MiB"), "{error}");
}

#[tokio::test]
async fn what_was_read_last_is_used_while_the_files_are_gone() {
    let files = Files::new();
    let ca = files.write("ca.pem", &authority().as_ref().pem());
    let configs = WebTlsConfigs::default();
    let wanted = Arc::new(tls(Some(ca.clone()), &[]));
    let get = async |now| configs.get(&wanted, None, WebAlpn::Http1, now).await.unwrap();
    let first = get(100).await;
    assert!(Arc::ptr_eq(&first, &get(159).await), "it is kept for a minute");
    let second = get(160).await;
    assert!(!Arc::ptr_eq(&first, &second), "the files were read again");
    std::fs::remove_file(&*ca).unwrap();
    assert!(Arc::ptr_eq(&second, &get(220).await), "the last good one");
    let other = Arc::new(tls(Some(ca), &["a.b"]));
    assert!(configs.get(&other, None, WebAlpn::Http1, 220).await.is_err());
}

#[test]
fn authorities_are_given_or_nowhere() {
    let right = authority();
    let server = server("api.example.com", &right, None, &[&TLS13]);
    let with = |ca_certificates| UpstreamTls { ca_certificates, ..tls(None, &[]) };
    let given = load(&with(CaCertificates::Pem(right.as_ref().pem().into())), None, WebAlpn::Both);
    handshake(given.unwrap(), "api.example.com", &server).unwrap();
    let other =
        load(&with(CaCertificates::Pem(authority().as_ref().pem().into())), None, WebAlpn::Both);
    assert!(handshake(other.unwrap(), "api.example.com", &server).is_err());
    let told =
        load(&with(CaCertificates::Nowhere("no such ConfigMap".into())), None, WebAlpn::Both);
    assert_eq!(told.unwrap_err().to_string(), "no such ConfigMap");
    assert!(load(&with(CaCertificates::Pem("".into())), None, WebAlpn::Both).is_err());
}
