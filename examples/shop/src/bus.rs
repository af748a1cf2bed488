//! The shop's events: what has happened, for whoever wants to know. A shop without a broker tells nobody, and one whose
//! broker is away sells all the same.

#![allow(clippy::print_stderr, reason = "services that say what broke, for whoever runs them")]

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerError, Subscriber};
use serde_json::Value;

/// Where it is told that somebody has bought something: `{"number": …, "user": …, "amount": …}`.
pub const ORDERS_CREATED: &str = "orders.created";
/// How long an order waits for a broker that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection to the broker, which comes back by itself.
#[derive(Clone)]
pub struct Bus(Option<Client>);

impl Bus {
    /// Of the broker at this address (`nats://broker:4222`), for a service of this name; without one nobody is told.
    ///
    /// # Errors
    /// The address is none. A broker that does not answer is no error: it is tried again.
    pub async fn of(broker: Option<&str>, service: &str) -> anyhow::Result<Self> {
        let Some(broker) = broker else { return Ok(Self(None)) };
        let options = ConnectOptions::new().name(service).retry_on_initial_connect();
        // Answers to what a service asks come to a subject that is its own by its name.
        let options = options.custom_inbox_prefix(format!("_INBOX.shop.{service}"));
        let options = options.event_callback(|event| async move { say(&event) });
        Ok(Self(Some(options.connect(broker).await?)))
    }

    /// Tells it. Whether anybody listens, or may, is not for the one who tells.
    pub async fn tell(&self, subject: &'static str, what: &Value) {
        let Some(client) = &self.0 else { return };
        let told = client.publish(subject, what.to_string().into());
        match tokio::time::timeout(PATIENCE, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("{subject} was not told: {error}"),
            Err(_) => eprintln!("{subject} was not told: the broker takes nothing"),
        }
    }

    /// Listens to a subject as one of a group, each of which gets a part of what is told; none without a broker.
    ///
    /// # Errors
    /// The connection has ended for good.
    pub async fn listen(
        &self,
        subject: &'static str,
        group: &'static str,
    ) -> anyhow::Result<Option<Subscriber>> {
        let Some(client) = &self.0 else { return Ok(None) };
        Ok(Some(client.queue_subscribe(subject, group.to_owned()).await?))
    }
}

/// What the broker says beside messages: refusals come this way.
fn say(event: &Event) {
    match event {
        Event::ServerError(ServerError::Other(refusal)) => eprintln!("the broker says: {refusal}"),
        other => eprintln!("broker: {other}"),
    }
}
