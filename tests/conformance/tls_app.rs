//! The app behind TLS of its own: it tells by which server name it was asked for, and which certificate it was shown.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use postern_tests::Pod;
use postern_tests::certificates::{Svid, TestAuthority};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::echo::Echo;

/// Serves the app with this certificate; whoever shows one must have it from the same authority.
pub(crate) fn serve(echo: &Echo, pod: &Pod, port: u16, own: &Svid, authority: &TestAuthority) {
    let (echo, acceptor) = (echo.clone(), TlsAcceptor::from(Arc::new(config(own, authority))));
    drop(pod.spawn(async move {
        let listener = TcpListener::bind(("::", port)).await.expect("the app's port is free");
        while let Ok((stream, _)) = listener.accept().await {
            let (echo, acceptor) = (echo.clone(), acceptor.clone());
            tokio::spawn(async move {
                // A caller that does not believe us leaves.
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let session = stream.get_ref().1;
                let shown = session.peer_certificates().and_then(|chain| chain.first());
                let seen = json!({
                    "server_name": session.server_name(),
                    "client_certificate": shown.map(|leaf| text(leaf)),
                });
                echo.connection(stream, false, seen).await;
            });
        }
    }));
    pod.wait_for_app(port);
}

/// A certificate as the app tells it.
pub(crate) fn text(certificate: &CertificateDer<'_>) -> String {
    BASE64_STANDARD.encode(certificate)
}

/// What believes this authority alone.
pub(crate) fn roots(authority: &TestAuthority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let bundle = authority.bundle_pem();
    for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(root.expect("our own PEM")).expect("a root");
    }
    Arc::new(roots)
}

fn config(own: &Svid, authority: &TestAuthority) -> ServerConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority), provider.clone())
        .allow_unauthenticated()
        .build()
        .expect("a verifier");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_client_cert_verifier(verifier)
        .with_single_cert(own.chain(), own.key())
        .expect("a certificate and its key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
