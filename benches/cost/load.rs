//! The client: it sends exactly so many requests, each the same, and reads every answer to its end.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_local};

use crate::app::NATS_INFO;
use crate::rows::{BATCH, Load, SMALL};
use crate::settings::Doors;

/// What the client calls the service.
const AUTHORITY: &str = "server.a.svc.cluster.local";
/// A message of gRPC: not compressed, its length, and 123 bytes.
const MESSAGE: [u8; SMALL] = {
    let mut message = [b'x'; SMALL];
    message[0] = 0;
    message[1] = 0;
    message[2] = 0;
    message[3] = 0;
    message[4] = 123;
    message
};

/// A client of one row, with the connections that it keeps.
pub(crate) enum Client {
    Http1 { streams: Vec<TcpStream>, answer: usize },
    Http1Connection(SocketAddr),
    Http2 { sender: SendRequest<Bytes>, streams: u32 },
    Grpc(SendRequest<Bytes>),
    Opaque(TcpStream),
    OpaqueConnection(SocketAddr),
    Nats { stream: TcpStream, batch: Vec<u8>, messages: u32 },
}

impl Client {
    /// Opens what the load keeps open.
    ///
    /// # Errors
    /// When the outbound proxy takes no connection.
    pub(crate) async fn open(load: Load, doors: Doors) -> Result<Self> {
        Ok(match load {
            Load::Http1 { connections, answer } => {
                let mut streams = Vec::new();
                for _ in 0..connections {
                    streams.push(connect(doors.http1).await?);
                }
                Self::Http1 { streams, answer }
            }
            Load::Http1Connection => Self::Http1Connection(doors.http1),
            Load::Http2 { streams } => Self::Http2 { sender: http2(doors.http2).await?, streams },
            Load::Grpc => Self::Grpc(http2(doors.http2).await?),
            Load::Opaque => Self::Opaque(connect(doors.opaque).await?),
            Load::OpaqueConnection => Self::OpaqueConnection(doors.opaque),
            Load::Nats { declared, payload } => {
                let door = if declared { doors.nats } else { doors.nats_opaque };
                nats(connect(door).await?, payload).await?
            }
        })
    }

    /// Sends so many requests; a load of several at once sends whole batches.
    ///
    /// # Errors
    /// At the first answer that is not what the app says.
    pub(crate) async fn send(&mut self, requests: u32) -> Result<()> {
        let batch = match self {
            Self::Http1 { streams, .. } => u32::try_from(streams.len())?,
            Self::Http2 { streams, .. } => *streams,
            Self::Nats { messages, .. } => *messages,
            _ => 1,
        };
        for _ in 0..requests.div_ceil(batch) {
            self.send_batch().await?;
        }
        Ok(())
    }

    async fn send_batch(&mut self) -> Result<()> {
        match self {
            Self::Http1 { streams, answer } => {
                for stream in streams.iter_mut() {
                    ask(stream, *answer).await?;
                }
                for stream in streams.iter_mut() {
                    read_answer(stream, *answer).await?;
                }
            }
            Self::Http1Connection(door) => {
                let mut stream = connect(*door).await?;
                ask(&mut stream, SMALL).await?;
                read_answer(&mut stream, SMALL).await?;
            }
            Self::Http2 { sender, streams } => {
                let mut answers = JoinSet::new();
                for _ in 0..*streams {
                    let ready = sender.clone().ready().await?;
                    answers.spawn_local(get(ready));
                }
                while let Some(answer) = answers.join_next().await {
                    answer??;
                }
            }
            Self::Grpc(sender) => call(sender.clone().ready().await?).await?,
            Self::Opaque(stream) => ping_pong(stream).await?,
            Self::OpaqueConnection(door) => {
                let mut stream = connect(*door).await?;
                ping_pong(&mut stream).await?;
                // The other end has closed when this side is done, and its record is written.
                stream.shutdown().await?;
                ensure!(stream.read(&mut [0; 1]).await? == 0, "more came than was sent");
            }
            Self::Nats { stream, batch, .. } => {
                stream.write_all(batch).await?;
                pong(stream).await?;
            }
        }
        Ok(())
    }
}

async fn connect(door: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(door).await.context("connecting to the outbound proxy")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn ask(stream: &mut TcpStream, answer: usize) -> Result<()> {
    let request = format!(
        "GET /{answer} HTTP/1.1\r\nhost: {AUTHORITY}\r\nuser-agent: cost\r\naccept: */*\r\n\r\n"
    );
    Ok(stream.write_all(request.as_bytes()).await?)
}

async fn read_answer(stream: &mut TcpStream, body: usize) -> Result<()> {
    let mut answer = Vec::with_capacity(body + 1024);
    loop {
        ensure!(stream.read_buf(&mut answer).await? > 0, "closed in place of an answer");
        let Some(start) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let line = String::from_utf8_lossy(&answer[..start.min(64)]);
        ensure!(line.starts_with("HTTP/1.1 200 "), "the answer was {line:?}");
        if answer.len() >= start + 4 + body {
            return Ok(());
        }
    }
}

async fn http2(door: SocketAddr) -> Result<SendRequest<Bytes>> {
    let (sender, connection) = h2::client::handshake(connect(door).await?).await?;
    spawn_local(connection);
    Ok(sender)
}

async fn get(mut sender: SendRequest<Bytes>) -> Result<()> {
    let request = Request::get(format!("http://{AUTHORITY}/{SMALL}")).body(())?;
    let (answer, _) = sender.send_request(request, true)?;
    read_http2(answer.await?, SMALL).await.map(drop)
}

async fn call(mut sender: SendRequest<Bytes>) -> Result<()> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{AUTHORITY}/shop.Cart/Get"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (answer, mut send) = sender.send_request(request, false)?;
    send.send_data(Bytes::from_static(&MESSAGE), true)?;
    let mut body = read_http2(answer.await?, SMALL).await?;
    let trailers = body.trailers().await?.context("no trailers came")?;
    ensure!(trailers.get("grpc-status").is_some_and(|status| status == "0"), "{trailers:?}");
    Ok(())
}

async fn read_http2(
    answer: http::Response<h2::RecvStream>,
    bytes: usize,
) -> Result<h2::RecvStream> {
    ensure!(answer.status() == 200, "the answer was {}", answer.status());
    let mut body = answer.into_body();
    let mut read = 0;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        read += data.len();
    }
    ensure!(read == bytes, "{read} bytes came in place of {bytes}");
    Ok(body)
}

/// A client that has introduced itself, with its batch: as many messages as fit, and a question whether all have come.
async fn nats(mut stream: TcpStream, payload: usize) -> Result<Client> {
    let mut info = [0; NATS_INFO.len()];
    stream.read_exact(&mut info).await?;
    stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n").await?;
    pong(&mut stream).await?;
    let message = [
        format!("PUB orders.new {payload}\r\n").into_bytes(),
        vec![b'x'; payload],
        b"\r\n".to_vec(),
    ];
    let messages = BATCH / payload;
    let batch = [message.concat().repeat(messages), b"PING\r\n".to_vec()].concat();
    Ok(Client::Nats { stream, batch, messages: u32::try_from(messages)? })
}

async fn pong(stream: &mut TcpStream) -> Result<()> {
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await?;
    ensure!(&answer == b"PONG\r\n", "the broker said {:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

async fn ping_pong(stream: &mut TcpStream) -> Result<()> {
    let sent = [b'x'; SMALL];
    stream.write_all(&sent).await?;
    let mut back = [0; SMALL];
    stream.read_exact(&mut back).await?;
    ensure!(back == sent, "other bytes came back");
    Ok(())
}
