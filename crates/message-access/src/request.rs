//! What is asked of a broker.

/// A protocol of brokers whose messages are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MessageProtocol {
    /// NATS, JetStream included.
    Nats,
    /// MQTT 3.1.1 and 5.
    Mqtt,
    /// Kafka.
    Kafka,
}

impl MessageProtocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nats, Self::Mqtt, Self::Kafka];

    /// The name in policies, configuration, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Mqtt => "mqtt",
            Self::Kafka => "kafka",
        }
    }
}

/// What a client wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Send messages to a topic.
    Publish,
    /// Receive messages of a topic.
    Subscribe,
    /// Make a topic or stream, or give it more room.
    Create,
    /// Remove a topic or stream, or messages of it.
    Delete,
    /// Administer a topic, or the broker where no topic is named.
    Admin,
    /// What brokers do among themselves. A policy can allow it, but what needs it is refused by most protocols anyway.
    Cluster,
    /// Know that a topic exists, and its offsets. No policy names it: publish, subscribe, create, delete and admin imply it.
    Describe,
    /// Open a session under a client id. No policy names it: `clientIds` say which ids a caller has beside its own.
    Connect,
}

impl Operation {
    /// The operations that policies name, in the order in which they are documented.
    pub const WRITTEN: [Self; 6] =
        [Self::Publish, Self::Subscribe, Self::Create, Self::Delete, Self::Admin, Self::Cluster];

    /// The name in policies, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Admin => "admin",
            Self::Cluster => "cluster",
            Self::Describe => "describe",
            Self::Connect => "connect",
        }
    }
}

/// One question: may the client do this? What is `None` is not named by what the client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessRequest<'a> {
    /// What the client wants to do.
    pub operation: Operation,
    /// The topic, subject or topic filter, in the protocol's own syntax: wildcards where the client wrote them.
    /// In Kafka, `*` stands for all topics, which no topic is called.
    pub topic: Option<&'a str>,
    /// The consumer group (Kafka), or the group of a shared subscription (MQTT).
    pub group: Option<&'a str>,
    /// The queue group of a NATS subscription.
    pub queue: Option<&'a str>,
    /// The JetStream stream.
    pub stream: Option<&'a str>,
    /// The MQTT client id.
    pub client_id: Option<&'a str>,
    /// The transactional id of a Kafka producer.
    pub transactional_id: Option<&'a str>,
    /// Whether this answers a message that was just delivered to the client, at the reply subject it carried.
    pub reply: bool,
}

impl<'a> AccessRequest<'a> {
    /// An operation that names nothing yet.
    #[must_use]
    pub const fn new(operation: Operation) -> Self {
        Self {
            operation,
            topic: None,
            group: None,
            queue: None,
            stream: None,
            client_id: None,
            transactional_id: None,
            reply: false,
        }
    }

    /// An operation on a topic.
    #[must_use]
    pub const fn on_topic(operation: Operation, topic: &'a str) -> Self {
        Self { topic: Some(topic), ..Self::new(operation) }
    }
}
