//! One `GET` of a small JSON document over https, with everything that could go wrong bounded (S-35).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, HOST, LOCATION, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::address::{self, ForbiddenEndpoint};
use crate::connection::net::DialOptions;
use crate::control::config::Config;

/// The largest document taken, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The most redirects followed; each is checked like the first address.
const MAX_REDIRECTS: usize = 3;
/// Where systems keep the certificates of the web's authorities.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A document that came in.
#[derive(Debug)]
pub(super) struct FetchedDocument {
    pub(super) body: Bytes,
    /// How long it may be kept (`Cache-Control: max-age`, RFC 9111 §5.2.2.1).
    pub(super) max_age: Option<Duration>,
}

/// Why no document came in. Says nothing that the other side sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{0} is no https address with a host and without user information")]
    Address(String),
    #[error("{host} is not called at {address}: {reason}")]
    Forbidden { host: String, address: SocketAddr, reason: ForbiddenEndpoint },
    #[error("{host} cannot be resolved: {error}")]
    Resolve { host: String, error: std::io::Error },
    #[error("{host} cannot be reached: {error}")]
    Connect { host: String, error: std::io::Error },
    #[error("{host}: {error}")]
    Http { host: String, error: hyper::Error },
    #[error("{host} answered {status}")]
    Status { host: String, status: StatusCode },
    #[error("{0} redirected more than 3 times")]
    Redirects(String),
    #[error("{0} sent more than 1 MiB")]
    TooLarge(String),
    #[error("{0} sent an encoded body, which was not asked for")]
    Encoded(String),
    #[error(
        "the certificates of web authorities cannot be used: {0}; name a PEM file in `tokens.certificateAuthorities`"
    )]
    Authorities(String),
    #[error("longer than {0:?}")]
    Timeout(Duration),
}

/// Fetches a document, redirects included. The caller sets the deadline.
pub(super) async fn get(config: &Config, address: &str) -> Result<FetchedDocument, FetchError> {
    let tls = tls_config(config)?;
    let mut target = FetchTarget::parse(address)?;
    for _ in 0..=MAX_REDIRECTS {
        let response = target.ask(config, &tls).await?;
        match response.status() {
            StatusCode::OK => return target.read(response).await,
            status if status.is_redirection() => target = target.redirected(response.headers())?,
            status => return Err(FetchError::Status { host: target.host, status }),
        }
    }
    Err(FetchError::Redirects(target.host))
}

/// Where a document is.
#[derive(Debug, PartialEq, Eq)]
struct FetchTarget {
    host: String,
    port: u16,
    path: String,
}

impl FetchTarget {
    fn parse(address: &str) -> Result<Self, FetchError> {
        let wrong = || FetchError::Address(address.escape_debug().take(200).collect());
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(wrong)?;
        if uri.scheme_str() != Some("https") || authority.host().is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(443),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        })
    }

    /// `https://…` or `/…` (RFC 9110 §10.2.2); other relative forms are not worth their rules.
    fn redirected(self, headers: &HeaderMap) -> Result<Self, FetchError> {
        let location = headers.get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("");
        match location.starts_with('/') && !location.starts_with("//") {
            true => Self::parse(&format!("https://{}:{}{location}", self.host, self.port)),
            false => Self::parse(location),
        }
    }

    async fn ask(
        &self,
        config: &Config,
        tls: &Arc<ClientConfig>,
    ) -> Result<Response<Incoming>, FetchError> {
        let stream = self.connect(config).await?;
        let name = ServerName::try_from(self.bare_host().to_owned())
            .map_err(|_| FetchError::Address(self.host.clone()))?;
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await;
        let stream =
            stream.map_err(|error| FetchError::Connect { host: self.host.clone(), error })?;
        let failed = |error| FetchError::Http { host: self.host.clone(), error };
        let mut builder = hyper::client::conn::http1::Builder::new();
        builder.max_headers(100).max_buf_size(64 << 10);
        let (mut sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(failed)?;
        // Ends with the sender and the answer's body, which do not outlive the caller's deadline.
        tokio::spawn(connection);
        sender.send_request(self.request()).await.map_err(failed)
    }

    /// Resolves, checks, and dials the very address that was checked, so that a second look-up cannot mean another.
    async fn connect(&self, config: &Config) -> Result<tokio::net::TcpStream, FetchError> {
        let resolved = tokio::net::lookup_host((self.bare_host(), self.port)).await;
        let resolved =
            resolved.map_err(|error| FetchError::Resolve { host: self.host.clone(), error })?;
        let dial = DialOptions {
            source: None,
            mark: config.interception.mark,
            timeout: Duration::from_secs(3),
            keepalive: config.limits.tcp_keepalive,
            traffic: false,
        };
        let none = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
        let mut last = FetchError::Connect { host: self.host.clone(), error: none };
        let resolved: Vec<SocketAddr> = resolved.take(4).collect();
        let allowed = &config.tokens.allow_addresses;
        address::check(&resolved, allowed, |port| config.is_own_port(port)).map_err(
            |(address, reason)| FetchError::Forbidden { host: self.host.clone(), address, reason },
        )?;
        for address in resolved {
            match dial.connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = FetchError::Connect { host: self.host.clone(), error },
            }
        }
        Err(last)
    }

    /// The host without the brackets of an IPv6 address.
    fn bare_host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let host = if self.port == 443 {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let mut request = Request::new(Empty::new());
        // Both came out of a valid address; an empty request would be answered with an error.
        *request.uri_mut() = self.path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = host.parse() {
            headers.insert(HOST, host);
        }
        headers.insert(ACCEPT, http::HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, http::HeaderValue::from_static("postern-proxy"));
        request
    }

    async fn read(self, response: Response<Incoming>) -> Result<FetchedDocument, FetchError> {
        let max_age = max_age(response.headers());
        if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(FetchError::Encoded(self.host));
        }
        let mut incoming = response.into_body();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame =
                frame.map_err(|error| FetchError::Http { host: self.host.clone(), error })?;
            let data = frame.into_data().unwrap_or_default();
            if body.len() + data.len() > MAX_BODY_BYTES {
                return Err(FetchError::TooLarge(self.host));
            }
            body.extend_from_slice(&data);
        }
        Ok(FetchedDocument { body: body.freeze(), max_age })
    }
}

/// `max-age` of an answer; what forbids keeping it counts as 0.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    for line in headers.get_all(CACHE_CONTROL) {
        for directive in line.to_str().unwrap_or("").split(',') {
            let directive = directive.trim().to_ascii_lowercase();
            if directive == "no-store" || directive == "no-cache" {
                return Some(Duration::ZERO);
            }
            let seconds = directive
                .strip_prefix("max-age=")
                .and_then(|age| age.trim_matches('"').parse().ok());
            found = found.or(seconds.map(Duration::from_secs));
        }
    }
    found
}

/// TLS 1.3 to the web, checked against the authorities of the configuration or of the system. Read anew each time: the file is
/// renewed with the system.
fn tls_config(config: &Config) -> Result<Arc<ClientConfig>, FetchError> {
    let wrong = FetchError::Authorities;
    let file = match &config.tokens.certificate_authorities {
        Some(file) => file.clone(),
        None => SYSTEM_AUTHORITIES
            .iter()
            .map(std::path::PathBuf::from)
            .find(|file| file.is_file())
            .ok_or_else(|| wrong("this system has none in the usual places".into()))?,
    };
    let shown = file.display();
    let pem = std::fs::read(&file).map_err(|error| wrong(format!("{shown}: {error}")))?;
    let roots = identity::web_roots(&pem).map_err(|error| wrong(format!("{shown}: {error}")))?;
    let builder = ClientConfig::builder_with_provider(identity::tls::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| wrong(error.to_string()))?;
    let mut tls = builder.with_root_certificates(roots).with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::HeaderValue;

    #[test]
    fn s35_ssrf_and_file_reads_targets() {
        let target = |address| FetchTarget::parse(address).ok().map(|t| (t.host, t.port, t.path));
        for (address, expect) in [
            ("https://id.example", Some(("id.example", 443, "/"))),
            ("https://ID.example:8443/keys?a=b", Some(("id.example", 8443, "/keys?a=b"))),
            ("https://[::1]/", Some(("[::1]", 443, "/"))),
            ("http://id.example/", None),
            ("https://a@id.example/", None),
            ("https:///keys", None),
            ("id.example/keys", None),
            ("file:///etc/passwd", None),
            ("gopher://id.example/", None),
        ] {
            let expect = expect.map(|(host, port, path)| (host.to_owned(), port, path.to_owned()));
            assert_eq!(target(address), expect, "{address}");
        }
    }

    #[test]
    fn s35_ssrf_and_file_reads_redirects_are_checked_anew() {
        for (location, expect) in [
            ("https://other.example/k", Some(("other.example", 443))),
            ("/k", Some(("id.example", 8443))),
            ("http://id.example/k", None),
            ("//other.example/k", None),
            ("k", None),
            ("", None),
            ("file:///etc/passwd", None),
            ("https://a:b@other.example/", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_str(location).unwrap());
            let from = FetchTarget::parse("https://id.example:8443/keys").unwrap();
            let to = from.redirected(&headers).ok().map(|target| (target.host, target.port));
            assert_eq!(to, expect.map(|(host, port)| (host.to_owned(), port)), "{location}");
        }
    }

    #[test]
    fn f31_how_long_keys_may_be_kept() {
        for (lines, expect) in [
            (&[][..], None),
            (&["max-age=600"], Some(600)),
            (&["public, Max-Age=60, must-revalidate"], Some(60)),
            (&["max-age=\"60\""], Some(60)),
            (&["max-age=600, no-store"], Some(0)),
            (&["public", "no-cache"], Some(0)),
            (&["max-age=x"], None),
            (&["s-maxage=9"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CACHE_CONTROL, HeaderValue::from_str(line).unwrap());
            }
            assert_eq!(max_age(&headers), expect.map(Duration::from_secs), "{lines:?}");
        }
    }
}
