//! A client of NATS that remembers what its library told it: refusals come to it as events, beside its calls.

use std::net::SocketAddr;

use async_nats::{Client, ConnectOptions};
use futures_util::StreamExt as _;
use postern_tests::{raw, wait};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// So many are kept until somebody asks for them; those behind them are forgotten.
const EVENTS: usize = 1000;

/// async-nats, and what it says happens to it.
pub(crate) struct Nats {
    pub(crate) client: Client,
    events: Receiver<String>,
}

impl Nats {
    /// Connects, from code that runs inside the client's pod, with an inbox of this identity's own.
    pub(crate) async fn connect(server: SocketAddr, namespace: &str, account: &str) -> Self {
        let (send, events) = channel(EVENTS);
        let options = ConnectOptions::new()
            .custom_inbox_prefix(format!("_INBOX.{namespace}.{account}"))
            .event_callback(move |event| {
                let _ = send.try_send(event.to_string());
                async {}
            });
        let client = options.connect(server.to_string()).await.unwrap();
        Self { client, events }
    }

    /// Waits for an event that has these words, whatever comes before it.
    pub(crate) async fn expect_event(&mut self, words: &str) -> String {
        let mut seen = Vec::new();
        let found = async {
            while let Some(event) = self.events.recv().await {
                if event.to_lowercase().contains(&words.to_lowercase()) {
                    return event;
                }
                seen.push(event);
            }
            panic!("the client is gone");
        };
        let found = timeout(wait::PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("no event has the words {words}: {seen:?}"))
    }

    /// Waits until the server has everything that was said so far: a flush waits for no answer. `subject` is one that this
    /// client may publish and receive.
    pub(crate) async fn settle(&self, subject: &str) {
        let mut echo = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.publish(subject, "").await;
        timeout(wait::PATIENCE, echo.next()).await.unwrap().unwrap();
    }

    /// Publishes, and sends everything that was said so far on its way.
    pub(crate) async fn publish(&self, subject: &str, payload: &'static str) {
        self.client.publish(subject.to_owned(), payload.into()).await.unwrap();
        self.client.flush().await.unwrap();
    }
}

/// A connection of the protocol's own words, introduced.
pub(crate) async fn open(server: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let info = raw::hear_line(&mut stream).await;
    assert!(info.starts_with("INFO {"), "{info}");
    let words = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\nPING\r\n";
    assert_eq!(say(&mut stream, words).await, "PONG\r");
    stream
}

/// Says something, and hears one line that is not the server's own question or news.
pub(crate) async fn say(stream: &mut TcpStream, words: &str) -> String {
    stream.write_all(words.as_bytes()).await.unwrap();
    loop {
        let line = raw::hear_line(stream).await;
        if line != "PING\r" && !line.starts_with("INFO {") {
            return line;
        }
    }
}
