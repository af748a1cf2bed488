//! `grpc.health.v1.Health/Check` (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>),
//! which is one message of one field each way.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client;
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use super::ProbeOutcome;

/// `HealthCheckResponse.ServingStatus.SERVING`, as the only field of its message.
const SERVING: &[u8] = &[0x08, 0x01];
/// A longer answer cannot be the answer to this request.
const MAX_ANSWER: usize = 1024;

/// Requests the health of a service; the empty name is the server as a whole.
pub(super) async fn check(stream: TcpStream, service: &str) -> Result<ProbeOutcome, String> {
    let failed = |error: h2::Error| format!("no gRPC with the app: {error}");
    let authority = stream.peer_addr().map_err(|error| error.to_string())?;
    let (sender, connection) = client::handshake(stream).await.map_err(failed)?;
    let task = tokio::spawn(async move {
        // Its error also reaches the request on the connection.
        let _ = connection.await;
    });
    let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| error.to_string())?;
    let mut sender = sender.ready().await.map_err(failed)?;
    let (answer, mut body) = sender.send_request(request, false).map_err(failed)?;
    body.send_data(frame(service), true).map_err(failed)?;
    let answer = answer.await.map_err(failed)?;
    let verdict = judge(answer).await.map_err(failed);
    task.abort();
    verdict
}

/// The request's message: field 1, the service, behind the five bytes of gRPC's framing.
fn frame(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
            length >>= 7;
        }
        message.put_u8(u8::try_from(length).unwrap_or(0));
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put(message);
    frame.freeze()
}

async fn judge(answer: http::Response<h2::RecvStream>) -> Result<ProbeOutcome, h2::Error> {
    let (head, mut body) = answer.into_parts();
    if head.status != http::StatusCode::OK {
        return Ok(ProbeOutcome::Status(head.status.as_u16()));
    }
    let mut read = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if read.len() + data.len() > MAX_ANSWER {
            return Ok(ProbeOutcome::Failed("the health answer is too long".to_owned()));
        }
        read.put(data);
    }
    let trailers = body.trailers().await?;
    // An answer without a message has its status among the headers.
    let status = status(trailers.as_ref()).or_else(|| status(Some(&head.headers)));
    let serving = read.get(5..) == Some(SERVING);
    Ok(match (status.as_deref(), serving) {
        (Some("0"), true) => ProbeOutcome::Good,
        (Some("0"), false) => ProbeOutcome::Failed("the app says it is not serving".to_owned()),
        (Some(status), _) => ProbeOutcome::Failed(format!("the app answered gRPC status {status}")),
        (None, _) => ProbeOutcome::Failed("the answer has no gRPC status".to_owned()),
    })
}

fn status(headers: Option<&HeaderMap>) -> Option<String> {
    let status = headers?.get("grpc-status")?.to_str().ok()?;
    status.bytes().all(|b| b.is_ascii_digit()).then(|| status.chars().take(3).collect())
}

#[cfg(test)]
mod tests {
    use super::frame;

    #[test]
    fn messages_of_every_length() {
        assert_eq!(&frame("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&frame("a")[..], [0, 0, 0, 0, 3, 0x0a, 1, b'a']);
        let long = frame(&"x".repeat(300));
        assert_eq!(&long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 5 + 3 + 300);
    }
}
