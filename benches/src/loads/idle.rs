//! A crowd of clients that send one request each and stay.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::pair::Pair;
use crate::rows::SMALL;

/// How many there are.
pub(crate) const CLIENTS: u32 = 1000;
/// How many come at a time.
const AT_A_TIME: usize = 64;
/// How long a client, or coming to rest, may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The proxies rest when they use less than this of a CPU between two looks.
const REST: Duration = Duration::from_millis(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Opens them, waits until the proxies rest, and looks while they are there.
///
/// # Errors
/// When a client is not served.
pub(crate) fn beside<T>(pair: &Pair, look: impl FnOnce() -> Result<T>) -> Result<T> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .context("asking for as many files as there may be")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let turns = Arc::new(Semaphore::new(AT_A_TIME));
        let mut coming = JoinSet::new();
        for _ in 0..CLIENTS {
            let (turns, address) = (Arc::clone(&turns), pair.address());
            coming.spawn(async move {
                let _turn = turns.acquire().await;
                timeout(PATIENCE, client(address)).await.context("too slow")?
            });
        }
        let mut clients = Vec::new();
        for client in coming.join_all().await {
            clients.push(client?);
        }
        rest(pair).await?;
        let seen = look();
        drop(clients);
        seen
    })
}

/// Waits until both proxies have nothing to do.
///
/// # Errors
/// When that does not come to be.
pub(crate) async fn rest(pair: &Pair) -> Result<()> {
    timeout(PATIENCE, async {
        loop {
            let before = pair.cpu_time()?;
            tokio::time::sleep(LOOK).await;
            if pair.cpu_time()? - before < REST {
                return Ok(());
            }
        }
    })
    .await
    .context("the proxies never come to rest")?
}

async fn client(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await.context("connecting")?;
    stream.write_all(format!("GET /{SMALL} HTTP/1.1\r\nhost: app\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::with_capacity(1024);
    while !answer.ends_with(&[b'x'; SMALL]) {
        ensure!(stream.read_buf(&mut answer).await? > 0, "the connection ended");
    }
    Ok(stream)
}
