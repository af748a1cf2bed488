//! What is not as a service's description says never reaches the service: its sidecar answers.

use bank::people::Role;
use postern_tests::{Bank, Table};
use serde_json::{Value, json};

use crate::day::order;
use crate::two_people::balance;

pub(crate) fn show(table: &mut Table, bank: &Bank) {
    let ann = bank.token("ann", Role::Customer);
    let before = seen_by_the_bank(bank, &ann);
    for (what, body, expected) in bodies() {
        let key = "idempotency-key: not-as-described";
        let seen = bank.ask_as(&ann, "/transfers", &["-H", key, "--json", &body]).words();
        table.row("ann", "transfers", what, expected, &seen);
    }
    let body = order(100).to_string();
    let seen = bank.ask_as(&ann, "/transfers", &["--json", &body]).words();
    table.row("ann", "transfers", "no idempotency-key", "422 schema_mismatch", &seen);
    let form = ["-H", "idempotency-key: a-form-of-1", "-d", "from=1001&to=1002&cents=100"];
    let seen = bank.ask_as(&ann, "/transfers", &form).words();
    table.row("ann", "transfers", "a form", "415 content_type_unexpected", &seen);
    let seen = bank.ask_as(&ann, "/transfers/first", &[]).words();
    table.row("ann", "transfers", "GET /transfers/first", "422 schema_mismatch", &seen);
    let otto = bank.token("otto", Role::Auditor);
    let seen = bank.ask_as(&otto, "/records?before=5", &[]).words();
    table.row("otto", "audit", "GET /records?before=5", "422 schema_mismatch", &seen);
    neighbour(table, bank);
    let same = seen_by_the_bank(bank, &ann) == before;
    let seen = if same { "nothing" } else { "something" };
    table.row("-", "the bank", "what has come of all this", "nothing", seen);
}

/// What a sidecar of the mesh sends is looked at as well.
fn neighbour(table: &mut Table, bank: &Bank) {
    let token = format!("authorization: Bearer {}", bank.token("pete", Role::Approver));
    let payment = json!({"transfer": 97, "created_by": "ann", "order": order(100), "fee": 5});
    let payment = ["-H", &*token, "--json", &payment.to_string(), "http://payments:8080/payments"];
    let seen = bank.transfers.curl_with(&payment).words();
    let what = "POST /payments with a field that nobody described";
    table.row("transfers", "payments", what, "422 schema_mismatch", &seen);
}

/// Bodies of transfers, and what becomes of them.
fn bodies() -> Vec<(&'static str, String, &'static str)> {
    let with = |name: &str, value: Value| {
        let mut order = order(100);
        order[name] = value;
        order.to_string()
    };
    let raw = |cents: &str| order(100).to_string().replace(":100", &format!(":{cents}"));
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    vec![
        ("an amount below nothing", with("cents", json!(-5)), "422 schema_mismatch"),
        ("an amount that is a text", with("cents", json!("100")), "422 schema_mismatch"),
        ("an amount of half a cent", with("cents", json!(0.5)), "422 schema_mismatch"),
        ("an amount of 9,000 digits", raw(&"9".repeat(9_000)), "400 json_limits"),
        ("an amount of 1e999999", raw("1e999999"), "400 json_limits"),
        ("a field that nobody described", with("fee", json!(5)), "422 schema_mismatch"),
        ("an amount twice", raw("1,\"cents\":100000"), "400 json_limits"),
        ("40 lists in each other", raw(&deep), "400 json_limits"),
        ("no JSON", "{\"from\":".to_owned(), "400 json_limits"),
        ("no account", order(100).to_string().replace("\"from\":1001,", ""), "422 schema_mismatch"),
    ]
}

/// What a service would have changed: the balance, and how much is written down.
fn seen_by_the_bank(bank: &Bank, ann: &str) -> (String, usize) {
    let otto = bank.token("otto", Role::Auditor);
    let records = bank.ask_as(&otto, "/records", &[]).expect(200).body;
    (balance(bank, ann), records.len())
}
