//! A NATS client in a pod: async-nats, and what it says of refusals.

use std::sync::mpsc::Sender;

use async_nats::{Client, ConnectOptions, Subscriber};
use futures_util::StreamExt as _;
use postern_tests::{Pod, Task, wait};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// Events of a client that wait to be looked at; the next ones are lost.
const EVENTS_KEPT: usize = 100;

/// What a client does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Publish(&'static str),
    Subscribe(&'static str),
}

/// Connects from a pod, does it, and waits for what the library says then.
pub(crate) fn says(pod: &Pod, address: String, act: Act) -> String {
    pod.run(async move {
        let (client, mut events) = match connect(&address).await {
            Ok(connected) => connected,
            Err(error) => return format!("no connection: {error}"),
        };
        // Kept: what is dropped is no subscription.
        let _subscription = match act {
            Act::Publish(subject) => {
                client.publish(subject, "{}".into()).await.expect("the client takes it");
                None
            }
            Act::Subscribe(subject) => {
                Some(client.subscribe(subject).await.expect("the client takes it"))
            }
        };
        violation(&mut events).await
    })
}

/// Listens from a pod, tells of each message, and ends with what the library says when it may no longer.
pub(crate) fn listen(
    pod: &Pod,
    address: String,
    subject: &'static str,
    tell: Sender<()>,
) -> Task<String> {
    pod.spawn(async move {
        let (client, mut events) = connect(&address).await.expect("it may connect");
        let messages = client.subscribe(subject).await.expect("the client takes it");
        tokio::spawn(hear(messages, tell));
        violation(&mut events).await
    })
}

async fn hear(mut messages: Subscriber, tell: Sender<()>) {
    while messages.next().await.is_some() {
        // Nobody waits for the later ones.
        let _ = tell.send(());
    }
}

async fn connect(address: &str) -> Result<(Client, Receiver<String>), String> {
    let (tell, events) = channel(EVENTS_KEPT);
    let options = ConnectOptions::new().event_callback(move |event| {
        let tell = tell.clone();
        async move {
            // Nobody waits for the later ones.
            let _ = tell.try_send(event.to_string());
        }
    });
    let connected = timeout(wait::PATIENCE, options.connect(address)).await;
    match connected {
        Ok(Ok(client)) => Ok((client, events)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("nobody answers".to_owned()),
    }
}

async fn violation(events: &mut Receiver<String>) -> String {
    let refused = async {
        while let Some(event) = events.recv().await {
            if let Some(refusal) = event.strip_prefix("server error: nats: ") {
                return refusal.to_owned();
            }
        }
        "the client has ended".to_owned()
    };
    timeout(wait::PATIENCE * 2, refused).await.unwrap_or_else(|_| "nothing".to_owned())
}
