//! Our bundle endpoint (SPIFFE Federation §5): answers GET with the newest bundle document, to
//! anybody, without asking who it is (§5.2.1.3, §5.2.2.3). Under `--jwt-issuer` also what `openid` has.

use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::client_certificates::AnyClientCertificate;
use super::issue::Authority;
use super::openid::{self, OpenIdPage};
use super::server_certificate;
use crate::store::files;
use crate::store::live_value::LiveValue;

/// Where the bundle is served.
pub const PATHS: [&str; 2] = ["/", "/bundle.json"];
/// Connections at a time; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// From the first byte of the handshake to the last of the answer.
const DEADLINE: Duration = Duration::from_secs(20);
/// For the request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Of the request's head, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// The certificate's files are read this often.
const LOOK: Duration = Duration::from_secs(2);
/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How we prove ourselves (§5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerProfile {
    /// `https_spiffe`: by the authority's own SVID.
    Spiffe,
    /// `https_web`: by a certificate for our host, from files that are followed.
    Web {
        /// PEM, leaf first.
        certificate: PathBuf,
        /// PEM.
        key: PathBuf,
    },
}

/// The endpoint, ready to serve.
#[derive(Debug)]
pub struct BundleEndpoint {
    tls: Arc<ServerConfig>,
    files: Option<FromFiles>,
    authority: Arc<Authority>,
}

impl BundleEndpoint {
    /// Reads what the profile needs.
    ///
    /// # Errors
    /// Certificate files that cannot be used.
    pub fn new(profile: &ServerProfile, authority: Arc<Authority>) -> anyhow::Result<Self> {
        let (resolver, files): (Arc<dyn ResolvesServerCert>, _) = match profile {
            ServerProfile::Spiffe => {
                (server_certificate::own_certificate(Arc::clone(&authority))?, None)
            }
            ServerProfile::Web { certificate, key } => {
                let files = FromFiles::load(certificate, key)?;
                (Arc::clone(&files.held) as Arc<dyn ResolvesServerCert>, Some(files))
            }
        };
        let asks_clients = authority.exchange.issuer().url().is_some();
        Ok(Self { tls: Arc::new(tls(resolver, asks_clients)?), files, authority })
    }

    /// Serves until `stop`.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let acceptor = TlsAcceptor::from(self.tls);
        if let Some(files) = self.files {
            tokio::spawn(files.follow(stop.clone()));
        }
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let accepted = match stop.run_until_cancelled(listener.accept()).await {
                None => return,
                Some(accepted) => accepted,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (acceptor, authority) = (acceptor.clone(), Arc::clone(&self.authority));
            tokio::spawn(async move {
                let _permit = permit;
                let served = tokio::time::timeout(DEADLINE, one(stream, acceptor, authority)).await;
                if let Ok(Err(error)) = served {
                    tracing::debug!(%address, error = format!("{error:#}"), "bundle endpoint");
                }
            });
        }
    }
}

/// TLS 1.2 and 1.3 with the suites of Mozilla's "intermediate" (§5): rustls has no others.
fn tls(resolver: Arc<dyn ResolvesServerCert>, asks_clients: bool) -> anyhow::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = match asks_clients {
        true => config.with_client_cert_verifier(Arc::new(AnyClientCertificate::default())),
        false => config.with_no_client_auth(),
    }
    .with_cert_resolver(resolver);
    config.alpn_protocols = vec![identity::tls::ALPN_HTTP11.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

async fn one(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    authority: Arc<Authority>,
) -> anyhow::Result<()> {
    let stream = acceptor.accept(stream).await.context("handshake")?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    let service = service_fn(move |request: Request<Incoming>| {
        let (authority, chain) = (Arc::clone(&authority), chain.clone());
        async move { Ok::<_, Infallible>(answer(authority, chain, request).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

async fn answer(
    authority: Arc<Authority>,
    chain: Vec<CertificateDer<'static>>,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (method, path) = (request.method(), request.uri().path());
    let page = OpenIdPage::at(authority.exchange.issuer().url(), path);
    match (page, method) {
        (Some(OpenIdPage::Token), &Method::POST) => {
            openid::token_endpoint::answer(authority, chain, request).await
        }
        (Some(OpenIdPage::Token), _) => wrong_method("POST"),
        (None, _) if !PATHS.contains(&path) => {
            text(StatusCode::NOT_FOUND, "the bundle is at /bundle.json\n")
        }
        (Some(page), &Method::GET) => openid::document(&authority, page),
        (None, &Method::GET) => bundle(&authority),
        _ => wrong_method("GET"),
    }
}

fn wrong_method(right: &'static str) -> Response<Full<Bytes>> {
    let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "the header `allow` says how\n");
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(right));
    refused
}

fn bundle(authority: &Authority) -> Response<Full<Bytes>> {
    match authority.publisher.now().own.to_json() {
        Ok(document) => {
            let mut answer = Response::new(Full::new(Bytes::from(document)));
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(CONTENT_TYPE, json);
            answer
        }
        Err(error) => {
            tracing::error!(%error, "cannot serve our bundle");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the authority's log says why\n")
        }
    }
}

fn text(status: StatusCode, words: &'static str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(words.as_bytes())));
    *answer.status_mut() = status;
    answer
}

/// A certificate from files, replaced whole when they change; a bad pair leaves the last good one.
#[derive(Debug)]
struct FromFiles {
    certificate: PathBuf,
    key: PathBuf,
    held: Arc<FollowedCertificate>,
    seen: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Debug)]
struct FollowedCertificate(LiveValue<CertifiedKey>);

impl ResolvesServerCert for FollowedCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.now())
    }
}

impl FromFiles {
    fn load(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let held = Arc::new(FollowedCertificate(LiveValue::new(read_pair(certificate, key)?)));
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        let mut files = Self { certificate, key, held, seen: None };
        files.seen = files.texts();
        Ok(files)
    }

    async fn follow(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            self.look();
        }
    }

    fn look(&mut self) {
        let texts = self.texts();
        if texts == self.seen {
            return;
        }
        self.seen = texts;
        match read_pair(&self.certificate, &self.key) {
            Ok(pair) => {
                self.held.0.set(pair);
                tracing::info!("took up a new certificate for the bundle endpoint");
            }
            Err(error) => tracing::error!(
                error = format!("{error:#}"),
                "the new certificate of the bundle endpoint is unusable; the old one stays"
            ),
        }
    }

    fn texts(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let hash = |path: &Path| -> io::Result<Vec<u8>> {
            let text = zeroize::Zeroizing::new(files::read(path)?);
            Ok(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text).as_ref().to_vec())
        };
        Some((hash(&self.certificate).ok()?, hash(&self.key).ok()?))
    }
}

fn read_pair(certificate: &Path, key: &Path) -> anyhow::Result<CertifiedKey> {
    let at = |path: &Path| path.display().to_string();
    let pem = files::read(certificate)?;
    let chain =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(|error| {
            anyhow!("{}: damaged PEM: {}", at(certificate), identity::pem::damage(&error))
        })?;
    if chain.is_empty() {
        return Err(anyhow!("{}: no certificate in it", at(certificate)));
    }
    let pem = zeroize::Zeroizing::new(files::read(key)?);
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        anyhow!("{}: no private key: {}", at(key), identity::pem::damage(&error))
    })?;
    let signing =
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&private).with_context(|| at(key))?;
    let pair = CertifiedKey::new(chain, signing);
    pair.keys_match().map_err(|_| anyhow!("{} is not the key of {}", at(key), at(certificate)))?;
    Ok(pair)
}
