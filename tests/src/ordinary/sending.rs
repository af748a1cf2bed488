//! Sends ordinary traffic from a pod, and notes what became of each request.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::OrdinaryRequest;

/// What became of a request.
#[derive(Clone, Debug)]
pub struct OrdinaryAnswer {
    /// The kind of the request.
    pub kind: &'static str,
    /// Method and target.
    pub what: String,
    /// The status.
    pub status: u16,
    /// Why the mesh refused; empty when it did not.
    pub reason: String,
}

/// Sends them one after the other to `to`, for `host`, over plain HTTP/1.1; a connection that was closed is opened again.
///
/// # Errors
/// A request that gets no answer over a new connection either.
pub async fn send_ordinary(
    to: SocketAddr,
    host: &'static str,
    requests: Vec<OrdinaryRequest>,
) -> anyhow::Result<Vec<OrdinaryAnswer>> {
    let mut answers = Vec::new();
    let mut connection = connect(to).await?;
    for request in requests {
        if connection.ready().await.is_err() {
            connection = connect(to).await?;
        }
        let answer = match send(&mut connection, host, &request).await {
            Ok(answer) => answer,
            Err(_) => {
                connection = connect(to).await?;
                send(&mut connection, host, &request).await?
            }
        };
        answers.push(answer);
    }
    Ok(answers)
}

type Connection = SendRequest<Full<Bytes>>;

async fn connect(to: SocketAddr) -> anyhow::Result<Connection> {
    let (sender, connection) = handshake(TokioIo::new(TcpStream::connect(to).await?)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn send(
    connection: &mut Connection,
    host: &str,
    ordinary: &OrdinaryRequest,
) -> anyhow::Result<OrdinaryAnswer> {
    let mut request = Request::builder().method(ordinary.method).uri(&ordinary.target);
    request = request.header(header::HOST, host);
    for (name, value) in &ordinary.headers {
        request = request.header(name, value);
    }
    let body = Full::new(Bytes::from(ordinary.body.clone()));
    let (head, body) = connection.send_request(request.body(body)?).await?.into_parts();
    let reason = head.headers.get("x-postern-reason").and_then(|reason| reason.to_str().ok());
    let reason = reason.unwrap_or("").to_owned();
    body.collect().await?;
    Ok(OrdinaryAnswer {
        kind: ordinary.kind,
        what: format!("{} {}", ordinary.method, ordinary.target),
        status: head.status.as_u16(),
        reason,
    })
}
