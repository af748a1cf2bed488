//! Rounds of load through one pair of proxies that stays up for all of them.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep, timeout};

use crate::Options;
use crate::app::App;
use crate::callgrind::Profile;
use crate::load::Client;
use crate::pair::Pair;
use crate::rows::Row;

/// How long a round may take.
const ROUND: Duration = Duration::from_secs(300);
/// How long the first requests of a row may take until they get through.
const OPEN: Duration = Duration::from_secs(120);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(500);
/// What part of a round is sent before it, uncounted: connections open, buffers and tables grow to their size.
const WARM_UP: u32 = 4;

/// The app, the proxies.
pub(crate) struct Rounds {
    pair: Pair,
}

impl Rounds {
    /// Starts the app and both proxies.
    ///
    /// # Errors
    /// When one of them does not start.
    pub(crate) async fn start(options: &Options, callers: u32) -> Result<Self> {
        let app = App::start().await?;
        Ok(Self { pair: Pair::start(&options.proxy, app, callers).await? })
    }

    /// Opens the row's client and warms up.
    ///
    /// # Errors
    /// When a request does not get through.
    pub(crate) async fn begin(&mut self, row: &Row) -> Result<Client> {
        let mut client = self.open(row).await?;
        send(&mut client, row, row.requests.div_ceil(WARM_UP)).await?;
        self.pair.take_profiles().await?;
        Ok(client)
    }

    /// A client whose first requests have got through. On a busy machine the first handshake may take a proxy under
    /// callgrind longer than its deadline, and the one after that does not.
    async fn open(&self, row: &Row) -> Result<Client> {
        let deadline = Instant::now() + OPEN;
        loop {
            let opened = timeout(OPEN, async {
                let mut client = Client::open(row.load, self.pair.doors).await?;
                client.send(1).await.map(|()| client)
            });
            match opened.await.context("no answer comes").flatten() {
                Err(error) if Instant::now() > deadline => return Err(error).context(row.name),
                Err(_) => sleep(AGAIN).await,
                Ok(client) => return Ok(client),
            }
        }
    }

    /// One round: what it cost both sides.
    ///
    /// # Errors
    /// When a request does not get through.
    pub(crate) async fn measure(&mut self, client: &mut Client, row: &Row) -> Result<[Profile; 2]> {
        send(client, row, row.requests).await?;
        self.pair.take_profiles().await
    }
}

async fn send(client: &mut Client, row: &Row, requests: u32) -> Result<()> {
    let sent = timeout(ROUND, client.send(requests)).await.context("it took too long");
    sent.flatten().with_context(|| format!("the load of {}", row.name))
}
