//! The session of each protocol, and what holds for it.

use kafka_session::KafkaSession;
use message_access::{MessageProtocol, Session, SessionSettings};
use mqtt_session::MqttSession;
use nats_session::NatsSession;

use super::BrokerConnection;

impl BrokerConnection<'_> {
    /// What holds for sessions of this port.
    pub(super) fn session_settings(&self) -> SessionSettings {
        let settings = &self.worker.state.settings;
        let limits = &settings.limits;
        let message_bytes = match self.protocol {
            MessageProtocol::Nats => limits.nats_message_bytes,
            MessageProtocol::Mqtt => limits.mqtt_packet_bytes,
            MessageProtocol::Kafka => limits.kafka_request_bytes,
        };
        let count = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        SessionSettings {
            message_bytes: count(message_bytes.0),
            in_flight: count(limits.events_in_flight),
            subscriptions: count(limits.event_subscriptions),
            stamp_source: settings.inbound.message_source,
            advertised: self
                .advertised
                .into_iter()
                .flatten()
                .map(|(node, address)| (*node, *address))
                .collect(),
            hide_servers: self.advertised.is_some(),
        }
    }
}

/// A session of the protocol, before its first byte.
pub(super) fn begin(protocol: MessageProtocol, settings: &SessionSettings) -> Box<dyn Session> {
    match protocol {
        MessageProtocol::Nats => Box::new(NatsSession::new(settings)),
        MessageProtocol::Mqtt => Box::new(MqttSession::new(settings, fastrand::u64(..))),
        MessageProtocol::Kafka => Box::new(KafkaSession::new(settings)),
    }
}
