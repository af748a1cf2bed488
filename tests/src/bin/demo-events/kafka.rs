//! Orders, payments and an audit on Kafka, with librdkafka: each refusal is the library's own error.

use postern_tests::{Broker, BrokerKind, EventClient, Mesh, Pod, Table};
use serde_json::{Value, json};

use crate::seen::{said, soon, told};

const CONNECT: &str = include_str!("connect.yaml");
const TOPICS: &str = include_str!("topics.yaml");
const TOPIC_REFUSED: &str = "KafkaException TOPIC_AUTHORIZATION_FAILED";
const GROUP_REFUSED: &str = "KafkaException GROUP_AUTHORIZATION_FAILED";

struct Ledger {
    broker: Broker,
    orders: Pod,
    payments: Pod,
    audit: Pod,
    mesh: Mesh,
}

/// What its broker's proxy tells in the end.
pub(crate) fn show(table: &mut Table) -> String {
    table.step("Kafka: orders publishes, payments and audit listen, each in a group of its own");
    let ledger = Ledger::start();
    let orders = ledger.client(&ledger.orders, "orders");
    let payments = ledger.client(&ledger.payments, "payments");
    allowed(table, &orders, &payments);
    refusals(table, &ledger, &orders, &payments);
    edited(table, &ledger, &orders);
    told(ledger.broker.pod())
}

impl Ledger {
    fn start() -> Self {
        let mesh = Mesh::start();
        mesh.policy("connect", CONNECT);
        mesh.policy("topics", TOPICS);
        let pod = |name: &str| mesh.pod(name).namespace("ledger");
        let kind = BrokerKind::Tansu;
        let broker = Broker::start(kind, kind.protocol(), pod("broker"));
        let [orders, payments, audit] =
            ["orders", "payments", "audit"].map(|name| pod(name).start());
        Self { broker, orders, payments, audit, mesh }
    }

    fn client(&self, pod: &Pod, group: &str) -> EventClient {
        EventClient::confluent(pod, &self.broker.address(), &json!({"group.id": group}))
    }
}

fn allowed(table: &mut Table, orders: &EventClient, payments: &EventClient) {
    let seen = said(orders.order("create_topics", &json!({"topics": ["orders"]})));
    table.row("orders", "tansu", "creates orders", "{\"orders\":\"done\"}", &seen);
    let seen = produced(orders);
    table.row("orders", "tansu", "produces to orders", "sent", &seen);
    let seen = consumed(payments);
    table.row("payments", "tansu", "consumes orders in group payments", "an order", &seen);
}

fn refusals(table: &mut Table, ledger: &Ledger, orders: &EventClient, payments: &EventClient) {
    let seen = said(orders.order("create_topics", &json!({"topics": ["salaries"]})));
    let expected = "{\"salaries\":\"TOPIC_AUTHORIZATION_FAILED\"}";
    table.row("orders", "tansu", "creates salaries", expected, &seen);
    let seen = produced(payments);
    table.row("payments", "tansu", "produces to orders", TOPIC_REFUSED, &seen);
    let audit = ledger.client(&ledger.audit, "audit");
    let seen = consumed(&audit);
    table.row("audit", "tansu", "consumes orders in group audit", "an order", &seen);
    let taking = ledger.client(&ledger.audit, "payments");
    let seen = consumed(&taking);
    table.row("audit", "tansu", "consumes orders in group payments", GROUP_REFUSED, &seen);
}

/// What was allowed a moment ago is refused on the same connection.
fn edited(table: &mut Table, ledger: &Ledger, orders: &EventClient) {
    ledger.mesh.policy("topics", &TOPICS.replace("sa/orders]", "sa/nobody]"));
    let seen = soon(TOPIC_REFUSED, || produced(orders));
    table.row("orders", "tansu", "may no longer, and produces", TOPIC_REFUSED, &seen);
}

fn produced(client: &EventClient) -> String {
    let sent = client.order("produce", &json!({"topic": "orders", "value": "42"}));
    said(sent.map(|_| json!("sent")))
}

fn consumed(client: &EventClient) -> String {
    let begun = client.order("subscribe", &json!({"topics": ["orders"]}));
    let heard = begun.and_then(|_| client.order("consume", &json!({"seconds": 45})));
    let an_order =
        |heard: Value| json!(if heard[0]["value"] == "42" { "an order" } else { "nothing" });
    said(heard.map(an_order))
}
