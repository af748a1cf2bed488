//! Whoever stands beside a service, in the mesh or outside of it, with a good token or with forged headers.

use bank::people::Role;
use postern_tests::{Bank, Pod, Table};
use serde_json::json;

use crate::day::order;

pub(crate) fn show(table: &mut Table, bank: &Bank) {
    let ann = bank.token("ann", Role::Customer);
    let token = format!("authorization: Bearer {ann}");
    let payment = json!({"transfer": 99, "created_by": "ann", "order": order(100)}).to_string();
    let large = json!({"transfer": 98, "created_by": "bob", "order": order(300_000)}).to_string();
    let movement = json!({"id": "mine", "order": order(100)}).to_string();
    let (payments, movements) = ("http://payments:8080/payments", "http://accounts:8080/movements");
    let send = |from: &Pod, url: &str, body: &str, more: &[&str]| {
        from.curl_with(&[more, &["--json", body, url]].concat()).words()
    };
    let with_token = ["-H", &*token];
    for (from, to, what, seen, expected) in [
        (
            "web",
            "payments",
            "POST /payments with ann's token",
            send(&bank.web, payments, &payment, &with_token),
            "403 no_matching_allow",
        ),
        (
            "web",
            "accounts",
            "POST /movements with ann's token",
            send(&bank.web, movements, &movement, &with_token),
            "403 no_matching_allow",
        ),
        (
            "transfers",
            "accounts",
            "POST /movements, past the payments",
            send(&bank.transfers, movements, &movement, &with_token),
            "403 no_matching_allow",
        ),
        (
            "transfers",
            "payments",
            "POST /payments for nobody",
            send(&bank.transfers, payments, &payment, &[]),
            "403 policy_denied",
        ),
        (
            "transfers",
            "payments",
            "the same with x-user: pete, x-role: approver",
            send(
                &bank.transfers,
                payments,
                &payment,
                &["-H", "x-user: pete", "-H", "x-role: approver"],
            ),
            "403 policy_denied",
        ),
        (
            "transfers",
            "payments",
            "POST /payments of a large one with ann's token alone",
            send(&bank.transfers, payments, &large, &with_token),
            "403",
        ),
        (
            "payments",
            "the world",
            "a call outside of the mesh",
            bank.payments.curl(&format!("http://{}/", bank.stranger.at(8080))).words(),
            "403 egress_denied",
        ),
    ] {
        table.row(from, to, what, expected, &seen);
    }
    outside(table, bank, &payment);
}

/// Who is not in the mesh comes by the gateway or not at all.
fn outside(table: &mut Table, bank: &Bank, payment: &str) {
    for (pod, path) in [(&bank.payments, "/payments"), (&bank.accounts, "/movements")] {
        let seen = bank.ask(&bank.stranger, path, &["--json", payment]).words();
        let what = format!("POST {path}");
        table.row("stranger", "edge", &what, "404 route_not_found", &seen);
        let direct = format!("http://{}{path}", pod.at(8080));
        let seen = bank.stranger.curl_with(&["--json", payment, &direct]).words();
        let what = format!("POST {path} in plaintext, past the gateway");
        table.row("stranger", pod.name(), &what, "no answer", &seen);
    }
    let seen = bank.ask(&bank.stranger, "/accounts/1001", &["-H", "x-user: ann"]).words();
    let what = "GET /accounts/1001 without a token, with x-user: ann";
    table.row("stranger", "accounts", what, "403 policy_denied", &seen);
    let bob = bank.token("bob", Role::Customer);
    let seen = bank.ask_as(&bob, "/accounts/1001", &["-H", "x-user: ann"]).words();
    table.row("bob", "accounts", "GET /accounts/1001, ann's, with x-user: ann", "404", &seen);
}
