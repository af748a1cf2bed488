//! Fetching a bundle from a bundle endpoint (SPIFFE Federation §5.2.1.4, §5.2.2.4): one GET over TLS,
//! at most three redirects that keep the same rules, at addresses of the outside, everything bounded.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use http::header::{ACCEPT, HOST, LOCATION};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use identity::address::{self, IpNet};
use identity::jwk::MAX_DOCUMENT;
use identity::verify::ServerVerifier;
use identity::{SpiffeId, TrustBundle, TrustBundles};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::url::EndpointUrl;
use crate::store::files;

/// Everything from the first connection to the last byte takes no longer.
const DEADLINE: Duration = Duration::from_secs(30);
/// A connection with its handshake takes no longer.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Redirects in a row.
const MAX_REDIRECTS: usize = 3;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// Of response headers, bytes.
const MAX_HEADERS: usize = 16 * 1024;

/// How the server proves itself. A redirect changes nothing of it.
#[derive(Debug, Clone)]
pub struct Trusted {
    tls: ClientConfig,
    /// Addresses that may be called although they are this machine's or its link's.
    allowed: Vec<IpNet>,
}

impl Trusted {
    /// By a certificate for the host of the URL (RFC 6125), from one of the CAs in a PEM file.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, holds none, or holds a certificate that is no CA's.
    pub fn web(ca_file: &Path) -> anyhow::Result<Self> {
        let pem = files::read(ca_file).context("cannot read the CAs of web servers (caFile)")?;
        let roots =
            identity::web_roots(&pem).with_context(|| format!("{} (caFile)", ca_file.display()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::http(config))
    }

    /// By an X.509-SVID of exactly this id, verified with the bundle of the id's own trust domain.
    ///
    /// # Errors
    /// Only when the library has no TLS 1.3.
    pub fn spiffe(id: SpiffeId, bundle: TrustBundle) -> anyhow::Result<Self> {
        let bundles = Arc::new(TrustBundles::new([bundle]));
        let verifier = ServerVerifier::new(bundles, Arc::new([id]));
        let config = ClientConfig::builder_with_provider(identity::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self::http(config))
    }

    fn http(mut config: ClientConfig) -> Self {
        config.alpn_protocols = vec![identity::tls::ALPN_HTTP11.to_vec()];
        // Every fetch proves the server anew.
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Self { tls: config, allowed: Vec::new() }
    }

    /// May also be at these addresses, and so may what it redirects to.
    #[must_use]
    pub fn also_at(mut self, allowed: &[IpNet]) -> Self {
        self.allowed.extend(allowed);
        self
    }
}

/// Fetches the document's text.
///
/// # Errors
/// Who said what, in words for the log; nothing of the answer is believed then.
pub async fn fetch(url: &EndpointUrl, trusted: &Trusted) -> anyhow::Result<Vec<u8>> {
    tokio::time::timeout(DEADLINE, follow(url, trusted))
        .await
        .map_err(|_| anyhow!("{url}: no whole answer within 30 s"))?
}

async fn follow(url: &EndpointUrl, trusted: &Trusted) -> anyhow::Result<Vec<u8>> {
    let mut at = url.clone();
    let trusted = &trusted.clone().also_at(&written(url));
    for _ in 0..=MAX_REDIRECTS {
        match get(&at, trusted).await.with_context(|| at.to_string())? {
            Answer::Document(text) => return Ok(text),
            Answer::Redirect(to) => at = to,
        }
    }
    bail!("{url}: more than {MAX_REDIRECTS} redirects")
}

enum Answer {
    Document(Vec<u8>),
    Redirect(EndpointUrl),
}

async fn get(url: &EndpointUrl, trusted: &Trusted) -> anyhow::Result<Answer> {
    let stream = tokio::time::timeout(CONNECT_DEADLINE, connect(url, trusted))
        .await
        .map_err(|_| anyhow!("no connection within 10 s"))??;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(MAX_HEADERS)
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await?;
    let request = Request::get(url.path())
        .header(HOST, url.authority())
        .header(ACCEPT, "application/json")
        .body(Empty::new())?;
    let exchange = async {
        let response = sender.send_request(request).await.context("no answer")?;
        read(url, response).await
    };
    // The connection ends with the exchange: it is dropped here, whatever the server does.
    let mut connection = std::pin::pin!(connection);
    let mut exchange = std::pin::pin!(exchange);
    let mut alive = true;
    loop {
        tokio::select! {
            biased;
            answer = &mut exchange => return answer,
            ended = &mut connection, if alive => {
                alive = false;
                ended.context("the connection broke")?;
            }
        }
    }
}

async fn connect(url: &EndpointUrl, trusted: &Trusted) -> anyhow::Result<TlsStream<TcpStream>> {
    let stream = dial(url, &trusted.allowed).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(url.host().to_owned()).context("the host")?;
    let connector = TlsConnector::from(Arc::new(trusted.tls.clone()));
    connector.connect(name, stream).await.context("the server did not prove itself")
}

/// The address that the operator has written as the endpoint's host is meant, be it this machine's or its link's; what a name
/// or a redirect leads to is not. A metadata service has no bundle, and nobody's address no server, whoever has written it.
fn written(url: &EndpointUrl) -> Vec<IpNet> {
    let literal = url.host().parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    let here = address::local_blocks();
    literal.filter(|ip| address::check(*ip, &here).is_ok()).map(IpNet::from).into_iter().collect()
}

/// Resolves, checks, and dials the very addresses that were checked, so that a second look-up cannot mean others (S-35).
async fn dial(url: &EndpointUrl, allowed: &[IpNet]) -> anyhow::Result<TcpStream> {
    let resolved = tokio::net::lookup_host((url.host(), url.port())).await;
    let resolved = resolved.with_context(|| format!("{} cannot be resolved", url.host()))?;
    let resolved: Vec<SocketAddr> = resolved.take(MAX_ADDRESSES).collect();
    address::check_all(&resolved, allowed).map_err(|(address, reason)| {
        anyhow!(
            "{} is not called at {address}: {reason}; if the endpoint is truly there, name the address in `allowAddresses` of \
             the endpoint",
            url.host()
        )
    })?;
    TcpStream::connect(resolved.as_slice()).await.context("cannot connect")
}

async fn read(url: &EndpointUrl, response: Response<Incoming>) -> anyhow::Result<Answer> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => {
            let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let location = location.ok_or_else(|| anyhow!("a redirect without a Location"))?;
            let to = url.redirected(location);
            return to
                .map(Answer::Redirect)
                .map_err(|reason| anyhow!("a redirect to `{location:.200}`: {reason}"));
        }
        other => bail!("it answers {other}, expected 200"),
    }
    let body = Limited::new(response.into_body(), MAX_DOCUMENT).collect().await;
    let body = body.map_err(|error| anyhow!("the document (at most 1 MiB): {error}"))?;
    Ok(Answer::Document(body.to_bytes().to_vec()))
}
