//! The app behind the inbound proxy: it answers what the loads ask, at once, and nothing else.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

use crate::rows::{LARGE, SMALL};

/// The longest head of a request, in bytes; a longer one ends the connection.
const HEAD: usize = 16 * 1024;

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct App {
    pub(crate) http1: SocketAddr,
    pub(crate) http2: SocketAddr,
    pub(crate) opaque: SocketAddr,
    /// Twice the same: one is declared, the other is opaque.
    pub(crate) nats: [SocketAddr; 2],
}

/// What a NATS server says first.
pub(crate) const NATS_INFO: &str = "INFO {\"server_id\":\"cost\",\"version\":\"2.11.0\",\"proto\":1,\
     \"headers\":true,\"max_payload\":1048576}\r\n";

impl App {
    /// Serves on ports of the system's choice for as long as the runtime lives.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn start() -> Result<Self> {
        let (http1, http2, opaque) = (listen().await?, listen().await?, listen().await?);
        let (nats, nats_opaque) = (listen().await?, listen().await?);
        let app = Self {
            http1: http1.local_addr()?,
            http2: http2.local_addr()?,
            opaque: opaque.local_addr()?,
            nats: [nats.local_addr()?, nats_opaque.local_addr()?],
        };
        for listener in [nats, nats_opaque] {
            spawn_local(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    spawn_local(serve_nats(stream));
                }
            });
        }
        // A connection that breaks is not the app's business: the load sees it.
        spawn_local(async move {
            while let Ok((stream, _)) = http1.accept().await {
                spawn_local(serve_http1(stream));
            }
        });
        spawn_local(async move {
            while let Ok((stream, _)) = http2.accept().await {
                spawn_local(serve_http2(stream));
            }
        });
        spawn_local(async move {
            while let Ok((mut stream, _)) = opaque.accept().await {
                spawn_local(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        Ok(app)
    }
}

/// A NATS server that nobody listens to: it forgets what is published, and answers each PING at the end of what it reads.
async fn serve_nats(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(NATS_INFO.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(HEAD);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        // A batch is answered as a whole, so a PING is the last of what there is.
        if buffer.ends_with(b"PING\r\n") {
            stream.write_all(b"PONG\r\n").await?;
            buffer.clear();
        } else {
            // The beginning of one may be there.
            buffer.drain(..buffer.len().saturating_sub(6));
        }
    }
}

async fn listen() -> Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).await.context("listening as the app")
}

async fn serve_http1(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let answers = [SMALL, LARGE].map(|size| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {size}\r\n\r\n"
        );
        (format!("GET /{size} "), [head.into_bytes(), vec![b'x'; size]].concat())
    });
    let mut buffer = Vec::with_capacity(HEAD);
    while buffer.len() < HEAD && stream.read_buf(&mut buffer).await? > 0 {
        while let Some(start) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let asked = answers.iter().find(|(ask, _)| buffer.starts_with(ask.as_bytes()));
            let Some((_, answer)) = asked else { return Ok(()) };
            stream.write_all(answer).await?;
            buffer.drain(..start + 4);
        }
    }
    Ok(())
}

async fn serve_http2(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(accepted) = connection.accept().await {
        let (request, respond) = accepted?;
        spawn_local(answer_http2(request, respond));
    }
    Ok(())
}

async fn answer_http2(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
) -> Result<()> {
    let is_grpc =
        request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc");
    if !is_grpc {
        let answer = Response::builder().header("content-type", "text/plain").body(())?;
        let mut send = respond.send_response(answer, false)?;
        send.send_data(Bytes::from_static(&[b'x'; SMALL]), true)?;
        return Ok(());
    }
    let mut body = request.into_body();
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        message.extend_from_slice(&data);
    }
    let answer = Response::builder().header("content-type", "application/grpc").body(())?;
    let mut send = respond.send_response(answer, false)?;
    send.send_data(message.into(), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    send.send_trailers(trailers)?;
    Ok(())
}
