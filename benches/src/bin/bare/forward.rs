//! One connection, and the requests on it.

use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;

use crate::pool::{Http1Pool, Http2Connection, Local};
use crate::{Protocol, Setup, Side, connect};

/// Read at once of opaque bytes: what a bulk transfer likes.
const PIECE: usize = 64 * 1024;
/// The windows of HTTP/2, in bytes: no answer here waits for one.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 1 << 24;
/// More streams than any client here opens.
const STREAMS: u32 = 4096;

/// A stream of either kind.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}
pub(crate) type BoxBytes = Box<dyn Bytes>;

/// What one worker has.
pub(crate) struct Proxy {
    setup: Arc<Setup>,
    http1: Http1Pool,
    http2: Http2Connection,
}

impl Proxy {
    pub(crate) fn new(setup: Arc<Setup>) -> Self {
        Self { setup, http1: Http1Pool::default(), http2: Http2Connection::default() }
    }

    /// Carries a connection to its end.
    pub(crate) async fn serve(self: Rc<Self>, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut client: BoxBytes = match self.setup.side {
            Side::Outbound => Box::new(stream),
            Side::Inbound => {
                let stream = self.setup.acceptor.accept(stream).await?;
                self.setup.ensure_it_is_the_peer(stream.get_ref().1.peer_certificates())?;
                Box::new(stream)
            }
        };
        match self.spoken(Side::Inbound) {
            Protocol::Opaque => {
                let mut upstream = self.dial().await?;
                copy_bidirectional_with_sizes(&mut client, &mut upstream, PIECE, PIECE).await?;
            }
            Protocol::Http1 => {
                let service = service_fn(move |request| Rc::clone(&self).forward(request));
                http1::Builder::new().serve_connection(TokioIo::new(client), service).await?;
            }
            Protocol::Http2 => {
                let service = service_fn(move |request| Rc::clone(&self).forward(request));
                http2::Builder::new(Local)
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(CONNECTION_WINDOW)
                    .max_concurrent_streams(STREAMS)
                    .serve_connection(TokioIo::new(client), service)
                    .await?;
            }
        }
        Ok(())
    }

    /// What is spoken on this side of the proxy: the hop's protocol on the hop, else the one of client and app.
    fn spoken(&self, hop_is_at: Side) -> Protocol {
        match self.setup.protocol {
            Protocol::Http1 if self.setup.side == hop_is_at => self.setup.hop,
            other => other,
        }
    }

    async fn forward(self: Rc<Self>, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
        request.headers_mut().remove(CONNECTION);
        match self.spoken(Side::Outbound) {
            Protocol::Http2 => {
                to_http2(&mut request)?;
                self.http2.send(request, || self.dial()).await
            }
            _ => {
                to_http1(&mut request)?;
                self.http1.send(request, || self.dial()).await
            }
        }
    }

    /// A connection to the other proxy, or to the app.
    async fn dial(&self) -> Result<BoxBytes> {
        let stream = connect(self.setup.upstream).await?;
        if self.setup.side == Side::Inbound {
            return Ok(Box::new(stream));
        }
        // The verifier looks at the identity, never at the name.
        let name = ServerName::try_from("peer.invalid")?;
        Ok(Box::new(self.setup.connector.connect(name, stream).await?))
    }
}

/// HTTP/2 has the host in the target (RFC 9113 §8.3.1).
fn to_http2(request: &mut Request<Incoming>) -> Result<()> {
    *request.version_mut() = Version::HTTP_2;
    if request.uri().authority().is_none() {
        let host = request.headers_mut().remove(HOST).context("no host")?;
        let path = request.uri().path_and_query().cloned().context("no path")?;
        let uri = Uri::builder().scheme("http").authority(host.as_bytes()).path_and_query(path);
        *request.uri_mut() = uri.build()?;
    }
    Ok(())
}

/// HTTP/1.1 has it in a header (RFC 9112 §3.2).
fn to_http1(request: &mut Request<Incoming>) -> Result<()> {
    *request.version_mut() = Version::HTTP_11;
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::from_str(authority.as_str())?;
        request.headers_mut().insert(HOST, host);
        let path = request.uri().path_and_query().cloned().context("no path")?;
        *request.uri_mut() = Uri::from(path);
    }
    Ok(())
}
