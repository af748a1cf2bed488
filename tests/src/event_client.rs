//! Clients of message brokers in Python, each in the words of its own library: `tests/peers/events`.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::binaries::{repository, target_directory};
use crate::driven::Driven;
use crate::pod::Pod;

/// How long an answer may take; the scripts themselves give up after a third of it, and say more.
const DEADLINE: Duration = Duration::from_secs(60);

/// A client in a pod, with one connection or several, as its library makes them. It ends when this is dropped.
pub struct EventClient {
    driven: Mutex<Driven>,
}

/// What a client's own library said: its exception, and its own code of what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventError {
    /// The class of the exception, such as `KafkaException` or `TopicAuthorizationFailedError`.
    pub class: String,
    /// The code that the exception carries, such as `TOPIC_AUTHORIZATION_FAILED` or `29`; nothing where it has none.
    pub code: String,
    /// The exception as text.
    pub message: String,
}

impl EventClient {
    /// librdkafka by PyPI's confluent-kafka, for the brokers at `servers`, with settings in its own words.
    #[must_use]
    #[track_caller]
    pub fn confluent(pod: &Pod, servers: &str, settings: &Value) -> Self {
        let client = Self::start(pod, "confluent");
        let mut all = json!({"servers": servers});
        crate::config::overlay(&mut all, settings);
        client.done("configure", &all);
        client
    }

    /// aiokafka, for the brokers at `servers`; `settings` has those of a `producer` and of a `consumer`.
    #[must_use]
    #[track_caller]
    pub fn aiokafka(pod: &Pod, servers: &str, settings: &Value) -> Self {
        let client = Self::start(pod, "aiokafka");
        let mut all = json!({"servers": servers});
        crate::config::overlay(&mut all, settings);
        client.done("configure", &all);
        client
    }

    /// Eclipse Paho, not connected yet: `connect` is among its orders.
    #[must_use]
    pub fn paho(pod: &Pod) -> Self {
        Self::start(pod, "paho")
    }

    fn start(pod: &Pod, library: &str) -> Self {
        let python = target_directory().join("peers/events/bin/python");
        assert!(python.exists(), "{} is missing: run `tests/setup test`", python.display());
        let mut command = pod.place().command(pod.directory(), Path::new(&python));
        // Without the bytecode that Python would write beside its sources.
        command.arg("-B").arg(repository().join("tests/peers/events/drive.py")).arg(library);
        let driven = Driven::start(library, command, pod.directory(), DEADLINE);
        Self { driven: Mutex::new(driven) }
    }

    /// Has it do something: `order` is a method of its class in `tests/peers/events`, `arguments` an object of what it
    /// takes.
    ///
    /// # Errors
    /// What the library raised.
    #[track_caller]
    pub fn order(&self, order: &str, arguments: &Value) -> Result<Value, EventError> {
        let mut all = json!({"do": order});
        crate::config::overlay(&mut all, arguments);
        let mut driven = self.driven.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = driven.ask(&all);
        let Some(error) = answer.get("error") else { return Ok(answer["done"].take()) };
        let text = |name: &str| match &error[name] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        Err(EventError { class: text("class"), code: text("code"), message: text("message") })
    }

    /// The same; panics with what the library raised.
    #[track_caller]
    pub fn done(&self, order: &str, arguments: &Value) -> Value {
        self.order(order, arguments)
            .unwrap_or_else(|error| panic!("{order} {arguments} failed: {error:?}"))
    }

    /// The same where the library is to raise something; panics when it does not.
    #[track_caller]
    pub fn refused(&self, order: &str, arguments: &Value) -> EventError {
        match self.order(order, arguments) {
            Err(error) => error,
            Ok(done) => panic!("{order} {arguments} was done: {done}"),
        }
    }
}
