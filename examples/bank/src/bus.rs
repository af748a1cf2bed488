//! The bank's events, over MQTT 5: what was paid, for whoever wants to know. A bank without a broker tells nobody, and one
//! whose broker is away pays all the same.

#![allow(clippy::print_stderr, reason = "services that say what broke, for whoever runs them")]

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use serde_json::Value;

/// Where it is told that a transfer was paid: `{"transfer": …, "by": …, "cents": …}`.
pub const PAYMENTS_DONE: &str = "payments/done";
/// Events that wait for the broker; the next ones are told to nobody.
const WAITING: usize = 1000;
/// Between two tries to reach the broker.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the broker keeps what a service that is away has to hear, in seconds.
const KEPT: u32 = 24 * 3600;

/// Where to tell what has happened.
pub struct Bus(Option<AsyncClient>);

impl Bus {
    /// Of the broker at this address (`broker:1883`), for a service of this name; without one nobody is told.
    ///
    /// # Errors
    /// The address is none.
    pub fn of(broker: Option<&str>, service: &str) -> anyhow::Result<Self> {
        let Some(broker) = broker else { return Ok(Self(None)) };
        let (client, events) = connection(broker, service)?;
        tokio::spawn(async move { carry(events, None, |_| Ok(())).await });
        Ok(Self(Some(client)))
    }

    /// Tells it, as soon as the broker takes it.
    pub fn tell(&self, topic: &str, what: &Value) {
        let Some(client) = &self.0 else { return };
        if let Err(error) = client.try_publish(topic, QoS::AtLeastOnce, false, what.to_string()) {
            eprintln!("{topic} was not told: {error}");
        }
    }
}

/// Listens to a topic until the program ends, and hands on what is told there.
///
/// # Errors
/// The address is none.
pub fn listen(
    broker: &str,
    service: &str,
    topic: &'static str,
    hear: impl FnMut(&[u8]) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let (client, events) = connection(broker, service)?;
    tokio::spawn(async move { carry(events, Some((client, topic)), hear).await });
    Ok(())
}

/// A service is known to the broker as `bank.NAME`: in the mesh, a name that is its own.
fn connection(broker: &str, service: &str) -> anyhow::Result<(AsyncClient, EventLoop)> {
    let address = broker.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = address.ok_or_else(|| anyhow::anyhow!("{broker} is not HOST:PORT"))?;
    let mut options = MqttOptions::new(format!("bank.{service}"), host, port);
    options.set_clean_start(false).set_session_expiry_interval(Some(KEPT));
    Ok(AsyncClient::new(options, WAITING))
}

/// Keeps the connection, and subscribes anew whenever it has come back.
async fn carry(
    mut events: EventLoop,
    listener: Option<(AsyncClient, &'static str)>,
    mut hear: impl FnMut(&[u8]) -> anyhow::Result<()>,
) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if let Some((client, topic)) = &listener {
                    // The client takes it: it has just sent all that waited.
                    let _ = client.try_subscribe(*topic, QoS::AtLeastOnce);
                }
            }
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                for code in answer.return_codes {
                    if !matches!(code, SubscribeReasonCode::Success(_)) {
                        eprintln!("the broker does not let us listen: {code:?}");
                    }
                }
            }
            Ok(Event::Incoming(Packet::Publish(told))) => {
                if let Err(error) = hear(&told.payload) {
                    eprintln!(
                        "an event of {} is none: {error:#}",
                        String::from_utf8_lossy(&told.topic)
                    );
                }
            }
            Ok(_) => {}
            Err(error) => {
                eprintln!("broker: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
