//! gRPC calls of many messages: each message is answered before the next is sent, and trailers end the call.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::{Counted, To};
use crate::backend::http2::{CALL, MESSAGE, message};

const CONNECTIONS: usize = 16;
/// Calls at a time on each connection.
const CALLS: usize = 8;
/// Of a call.
const MESSAGES: u32 = 100;
/// How long one call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts messages that were answered.
pub(super) fn run(to: &To) -> Result<Counted> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut callers = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(("127.0.0.1", to.port)).await.context("connecting")?;
            stream.set_nodelay(true)?;
            let (requests, connection) = h2::client::handshake(stream).await?;
            // It ends with its calls; what breaks it breaks them.
            tokio::task::spawn_local(connection);
            for _ in 0..CALLS {
                callers.spawn_local(caller(requests.clone(), Instant::now() + to.time()));
            }
        }
        let mut messages = 0;
        while let Some(caller) = callers.join_next().await {
            messages += caller.context("a caller ended early")??;
        }
        Ok(Counted::only(f64::from(messages)))
    })
}

/// One call after the other.
async fn caller(requests: SendRequest<Bytes>, end: Instant) -> Result<u32> {
    let mut messages = 0;
    while Instant::now() < end {
        timeout(PATIENCE, call(requests.clone(), end, &mut messages))
            .await
            .context("too slow")??;
    }
    Ok(messages)
}

async fn call(requests: SendRequest<Bytes>, end: Instant, messages: &mut u32) -> Result<()> {
    let request = Request::post(format!("http://app{CALL}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (answer, mut send) = requests.ready().await?.send_request(request, false)?;
    let message = message();
    send.send_data(message.clone(), false)?;
    let answer = answer.await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let mut body = answer.into_body();
    for number in 1..=MESSAGES {
        let mut missing = MESSAGE;
        while missing > 0 {
            let piece = body.data().await.context("the answer ended")??;
            body.flow_control().release_capacity(piece.len())?;
            missing = missing.checked_sub(piece.len()).context("an answer too long")?;
        }
        *messages += 1;
        if number == MESSAGES || Instant::now() > end {
            break;
        }
        send.send_data(message.clone(), false)?;
    }
    send.send_data(Bytes::new(), true)?;
    ensure!(body.data().await.is_none(), "an answer too long");
    let trailers = body.trailers().await?.context("no trailers")?;
    ensure!(trailers.get("grpc-status").is_some_and(|status| status == "0"), "{trailers:?}");
    Ok(())
}
