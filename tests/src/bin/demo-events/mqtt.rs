//! The bank on MQTT: payments tells of what it has paid, the record listens, and nobody else does either.

use bank::people::Role;
use postern_tests::{Bank, Broker, EventClient, Mesh, Pod, Table, shipped_topics};
use serde_json::{Value, json};

use crate::seen::{said, soon, told};
use crate::suggested::{self, Recorded};

const PAID: &str = "payments/done";

/// What its broker's proxy tells in the end.
pub(crate) fn show(table: &mut Table) -> String {
    table.step("MQTT: the bank, whose broker lets the bank do everything and writes it down");
    let mesh = Mesh::with_authority();
    let (bank, broker) =
        Bank::start_with_events(&mesh, &suggested::everything("bank", "mqtt", "#"));
    open_accounts(&bank);
    a_payment(table, &bank, 1);
    let recorded = Recorded { mesh: &mesh, broker: broker.pod(), example: "bank" };
    suggested::show(table, &recorded);
    a_payment(table, &bank, 2);
    refusals(table, &bank, &broker);
    edited(table, &mesh, &bank, &broker);
    told(broker.pod())
}

fn open_accounts(bank: &Bank) {
    let tess = bank.token("tess", Role::Teller);
    for (owner, cents) in [("ann", 1_000_000), ("bob", 0)] {
        let opening = json!({"owner": owner, "cents": cents}).to_string();
        bank.ask_as(&tess, "/accounts", &["--json", &opening]).expect(201);
    }
}

/// An allowed publish and an allowed subscription, by the bank's own programs.
fn a_payment(table: &mut Table, bank: &Bank, number: u32) {
    let (ann, otto) = (bank.token("ann", Role::Customer), bank.token("otto", Role::Auditor));
    let order = json!({"from": 1001, "to": 1002, "cents": 2_500, "text": "rent"});
    let _ = bank.transfer(&ann, &format!("the-rent-{number}"), &order);
    let expected = format!("transfer-{number} by ann");
    let seen = soon(&expected, || {
        let records = bank.ask_as(&otto, "/records", &[]).body;
        let records: Value = serde_json::from_str(&records).unwrap_or_default();
        let mut records = records["records"].as_array().into_iter().flatten();
        let last = records.rfind(|record| record["event"] == "paid");
        last.map_or_else(
            || "nothing".to_owned(),
            |record| format!("{} by {}", text(&record["subject"]), text(&record["person"])),
        )
    });
    table.row("payments", "audit", "a transfer is paid: payments/done", &expected, &seen);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn refusals(table: &mut Table, bank: &Bank, broker: &Broker) {
    let (audit, payments) = (&bank.audit, &bank.payments);
    let paho = connected(audit, broker, "bank.audit.demo");
    let tell = json!({"topic": PAID, "payload": "{}"});
    let seen = said(paho.order("publish", &tell));
    table.row("audit", "mosquitto", "publishes payments/done", "Refused Not authorized", &seen);
    let paho = connected(payments, broker, "bank.payments.demo");
    for (filter, what) in [(PAID, "listens to payments/done"), ("#", "listens to everything")] {
        let seen = said(paho.order("subscribe", &json!({"filters": [filter]})));
        table.row("payments", "mosquitto", what, "[\"Not authorized\"]", &seen);
    }
    let seen = connects(payments, broker, "bank.audit").1;
    let what = "connects as bank.audit, to take over its session";
    table.row("payments", "mosquitto", what, "Client identifier not valid", &seen);
    let seen = connects(&bank.web, broker, "bank.web").1;
    let good = seen != "Success";
    table.judged("web", "mosquitto", "connects", "no connection", &seen, good);
}

/// A subscription ends while it is open; in MQTT that is the end of the connection.
fn edited(table: &mut Table, mesh: &Mesh, bank: &Bank, broker: &Broker) {
    let paho = connected(&bank.audit, broker, "bank.audit.demo");
    let seen = said(paho.order("subscribe", &json!({"filters": [PAID]})));
    table.row("audit", "mosquitto", "listens to payments/done", "[\"Granted QoS 1\"]", &seen);
    mesh.policy("topics", &shipped_topics("bank").replace("sa/audit]", "sa/nobody]"));
    let seen = said(paho.order("end", &json!({"seconds": 45})));
    let what = "may no longer, while it listens";
    table.row("audit", "mosquitto", what, "Not authorized", &seen);
}

fn connected(pod: &Pod, broker: &Broker, client_id: &str) -> EventClient {
    let (client, seen) = connects(pod, broker, client_id);
    assert_eq!(seen, "Success", "{client_id}");
    client
}

fn connects(pod: &Pod, broker: &Broker, client_id: &str) -> (EventClient, String) {
    let client = EventClient::paho(pod);
    let to = json!({"host": broker.host(), "port": 1883, "client_id": client_id});
    let seen = said(client.order("connect", &to));
    (client, seen)
}
