//! The record: everything is in it, auditors read it, and nobody changes it. What cannot be written down is not done.

use bank::people::Role;
use bank::records::{Record, is_whole};
use postern_tests::{Answer, Bank, Table};
use serde_json::Value;

use crate::day::order;
use crate::two_people::balance;

pub(crate) fn show(table: &mut Table, bank: &Bank) {
    let otto = bank.token("otto", Role::Auditor);
    let records = records(&bank.ask_as(&otto, "/records", &[]));
    let (approval, whole) = (records.iter().any(is_petes_approval), is_whole(&records));
    let seen = format!(
        "{}, {}",
        if whole { "whole" } else { "not whole" },
        if approval { "pete's approval in it" } else { "no approval of pete's" }
    );
    let what = "GET /records: each line has the hash of the last";
    table.row("otto", "audit", what, "whole, pete's approval in it", &seen);
    for (name, role) in [("ann", Role::Customer), ("tess", Role::Teller), ("paula", Role::Approver)]
    {
        let seen = bank.ask_as(&bank.token(name, role), "/records", &[]).words();
        let what = format!("GET /records as {}", role.name());
        table.row(name, "audit", &what, "403 policy_denied", &seen);
    }
    let line = r#"{"event": "nothing", "subject": "nobody"}"#;
    let seen = bank.ask_as(&otto, "/records", &["--json", line]).words();
    table.row("otto", "audit", "POST /records", "403", &seen);
    let seen = bank.ask_as(&otto, "/records", &["-X", "DELETE"]).words();
    table.row("otto", "audit", "DELETE /records", "403 no_matching_allow", &seen);
    without(table, bank);
}

/// While the record is away, nothing is done.
fn without(table: &mut Table, bank: &Bank) {
    let ann = bank.token("ann", Role::Customer);
    let before = balance(bank, &ann);
    bank.audit.app().take();
    let seen = bank.transfer(&ann, "off-the-record", &order(100));
    let same = balance(bank, &ann) == before;
    let seen = format!("{}xx, {}", seen.status / 100, if same { "nothing moved" } else { "paid" });
    let what = "POST /transfers while the record is down";
    table.row("ann", "transfers", what, "5xx, nothing moved", &seen);
}

fn is_petes_approval(record: &Record) -> bool {
    record.event == "approval" && record.person == "pete"
}

fn records(answer: &Answer) -> Vec<Record> {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let records = body["records"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let record = |value: &Value| Record {
        number: value["number"].as_i64().unwrap_or_default(),
        time: value["time"].as_i64().unwrap_or_default(),
        person: text(&value["person"]),
        event: text(&value["event"]),
        subject: text(&value["subject"]),
        hash: text(&value["hash"]),
    };
    records.iter().map(record).collect()
}
