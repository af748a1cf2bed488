//! A request of a row, and what is to be seen of it: by the app, and by whoever asked.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long one exchange may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A request, with what is expected of its answer.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    /// Without one the row's own.
    pub(crate) host: Option<String>,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    expects: Vec<Expect>,
}

#[derive(Clone, Debug)]
enum Expect {
    Status(Vec<u16>),
    Pod(String),
    Namespace(String),
    Saw(&'static str, String),
    SawHeader(String, Option<String>),
    Connection(&'static str, String),
    Header(String, Option<String>),
    HeaderOneOf(String, Vec<String>),
}

/// `GET` of a path, or of a host and a path: `example.com/v2`.
pub(crate) fn get(target: &str) -> Exchange {
    let (host, path) = target.split_at(target.find('/').expect("a target has a path"));
    Exchange {
        method: Method::GET,
        host: Some(host.to_owned()).filter(|host| !host.is_empty()),
        target: path.to_owned(),
        headers: Vec::new(),
        expects: Vec::new(),
    }
}

impl Exchange {
    pub(crate) fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Adds a header of the request, `name: value`.
    pub(crate) fn with(mut self, header: &str) -> Self {
        let (name, value) = header.split_once(':').expect("a header is `name: value`");
        self.headers.push((name.to_owned(), value.trim().to_owned()));
        self
    }

    /// The app of this pod answers, 200.
    pub(crate) fn reaches(self, pod: &str) -> Self {
        self.expect(Expect::Status(vec![200])).expect(Expect::Pod(pod.to_owned()))
    }

    /// An app of this namespace answers, 200.
    pub(crate) fn reaches_namespace(self, namespace: &str) -> Self {
        self.expect(Expect::Status(vec![200])).expect(Expect::Namespace(namespace.to_owned()))
    }

    /// The status of the answer.
    pub(crate) fn answers(self, status: u16) -> Self {
        self.expect(Expect::Status(vec![status]))
    }

    /// One of these is the status of the answer.
    pub(crate) fn answers_one_of(self, statuses: &[u16]) -> Self {
        self.expect(Expect::Status(statuses.to_vec()))
    }

    /// The answer sends the caller there.
    pub(crate) fn redirects(self, status: u16, location: &str) -> Self {
        self.answers(status).gets(&format!("location: {location}"))
    }

    /// The path, with the query, that the app sees.
    pub(crate) fn sees_path(self, path: &str) -> Self {
        self.expect(Expect::Saw("path", path.to_owned()))
    }

    /// The host that the app sees.
    pub(crate) fn sees_host(self, host: &str) -> Self {
        self.expect(Expect::Saw("host", host.to_owned()))
    }

    /// The version of HTTP that the app is spoken to in.
    pub(crate) fn sees_protocol(self, protocol: &str) -> Self {
        self.expect(Expect::Saw("protocol", protocol.to_owned()))
    }

    /// A header that the app sees, `name: value`; several values with commas between them.
    pub(crate) fn sees(self, header: &str) -> Self {
        let (name, value) = split(header);
        self.expect(Expect::SawHeader(name, Some(value)))
    }

    /// A header that the app does not see.
    pub(crate) fn sees_no(self, name: &str) -> Self {
        self.expect(Expect::SawHeader(name.to_lowercase(), None))
    }

    /// A header of the answer, `name: value`.
    pub(crate) fn gets(self, header: &str) -> Self {
        let (name, value) = split(header);
        self.expect(Expect::Header(name, Some(value)))
    }

    /// A header that the answer does not have.
    pub(crate) fn gets_no(self, name: &str) -> Self {
        self.expect(Expect::Header(name.to_lowercase(), None))
    }

    /// One of these is the value of a header of the answer.
    pub(crate) fn gets_one_of(self, name: &str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.expect(Expect::HeaderOneOf(name.to_owned(), values))
    }

    /// The server name by which the app's TLS was begun.
    pub(crate) fn sees_server_name(self, name: &str) -> Self {
        self.expect(Expect::Connection("server_name", name.to_owned()))
    }

    /// The certificate that the app was shown, as base64 of its bytes.
    pub(crate) fn sees_client_certificate(self, certificate: &str) -> Self {
        self.expect(Expect::Connection("client_certificate", certificate.to_owned()))
    }

    fn expect(mut self, expect: Expect) -> Self {
        self.expects.push(expect);
        self
    }

    /// What is wrong with the answer, if anything.
    ///
    /// # Errors
    /// In words.
    pub(crate) fn check(&self, answer: &Answer) -> Result<(), String> {
        let broken = self.expects.iter().find(|expect| !expect.holds(answer));
        broken.map_or(Ok(()), |expect| {
            let Self { method, host, target, headers, .. } = self;
            Err(format!(
                "{method} {host:?} {target} with {headers:?}: expected {expect:?}, got {answer:?}"
            ))
        })
    }

    fn request(&self, host: &str, scheme: Option<&str>) -> Request<Full<Bytes>> {
        let host = self.host.as_deref().unwrap_or(host);
        let mut request = Request::new(Full::default());
        *request.method_mut() = self.method.clone();
        let target = match scheme {
            Some(scheme) => format!("{scheme}://{host}{}", self.target),
            None => self.target.clone(),
        };
        *request.uri_mut() = target.parse::<Uri>().expect("the row's target");
        if scheme.is_none() {
            request.headers_mut().insert(http::header::HOST, host.parse().expect("a host"));
        }
        for (name, value) in &self.headers {
            let name: http::HeaderName = name.parse().expect("the row's header");
            request.headers_mut().append(name, value.parse().expect("the row's value"));
        }
        request
    }
}

fn split(header: &str) -> (String, String) {
    let (name, value) = header.split_once(':').expect("a header is `name: value`");
    (name.to_lowercase(), value.trim().to_owned())
}

impl Expect {
    fn holds(&self, answer: &Answer) -> bool {
        match self {
            Self::Status(statuses) => statuses.contains(&answer.status),
            Self::Pod(pod) => answer.saw["pod"] == **pod,
            Self::Namespace(namespace) => answer.saw["namespace"] == **namespace,
            Self::Saw(key, value) => answer.saw[*key] == **value,
            Self::SawHeader(name, value) => {
                answer.saw["headers"][name].as_str() == value.as_deref()
            }
            Self::Connection(key, value) => answer.saw["connection"][*key] == **value,
            Self::Header(name, value) => answer.header(name) == *value,
            Self::HeaderOneOf(name, values) => {
                answer.header(name).is_some_and(|value| values.contains(&value))
            }
        }
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: HeaderMap,
    /// What the app saw; null when no app answered.
    pub(crate) saw: Value,
    body: String,
}

/// For people who read what went wrong.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers, saw, body } = self;
        write!(f, "{status} with {headers:?}, the app saw {saw}, body {body:?}")
    }
}

impl Answer {
    /// The values of a header, with commas between them.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> =
            self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        Some(values.join(",")).filter(|_| !values.is_empty())
    }
}

/// How a connection to a listener begins.
#[derive(Clone)]
pub(crate) enum Way {
    /// In the clear, HTTP/1.1.
    Plain,
    /// In the clear, HTTP/2 from the first byte.
    Http2,
    /// TLS with this server name.
    Tls(Arc<ClientConfig>, Option<String>),
}

/// Sends the request on a connection of its own; `host` is that of requests without one.
///
/// # Errors
/// Why there was no answer.
pub(crate) async fn send(
    address: SocketAddr,
    way: Way,
    host: String,
    exchange: Exchange,
) -> Result<Answer, String> {
    let answer = timeout(DEADLINE, begin(address, way, &host, &exchange)).await;
    answer.map_err(|_| "no answer in time".to_owned())?
}

async fn begin(
    address: SocketAddr,
    way: Way,
    host: &str,
    exchange: &Exchange,
) -> Result<Answer, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    // Small writes are answered at once.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    match way {
        Way::Plain => http1(stream, exchange.request(host, None)).await,
        Way::Http2 => http2(stream, exchange.request(host, Some("http"))).await,
        Way::Tls(config, name) => {
            let name = name.map_or_else(
                || Ok(ServerName::IpAddress(address.ip().into())),
                |name| ServerName::try_from(name).map_err(|error| error.to_string()),
            )?;
            let connected = TlsConnector::from(config).connect(name, stream).await;
            let stream = connected.map_err(|error| error.to_string())?;
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => http2(stream, exchange.request(host, Some("https"))).await,
                _ => http1(stream, exchange.request(host, None)).await,
            }
        }
    }
}

async fn http1<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    read(sender.send_request(request).await).await
}

async fn http2<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let executor = hyper_util::rt::TokioExecutor::new();
    let handshake = hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    read(sender.send_request(request).await).await
}

async fn read(answered: Result<http::Response<Incoming>, hyper::Error>) -> Result<Answer, String> {
    let (head, body) = answered.map_err(|error| format!("{error:?}"))?.into_parts();
    let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        saw: serde_json::from_slice(&body).unwrap_or_default(),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
