//! A large transfer takes two people: the mesh sees to it that the second one is an approver with a fresh token, and the
//! bank that it is another person.

use bank::people::Role;
use postern_tests::{Answer, Bank, Table};

use crate::day::{ANNS, field, order, state};

pub(crate) fn show(table: &mut Table, bank: &Bank) {
    let (ann, tess) = (bank.token("ann", Role::Customer), bank.token("tess", Role::Teller));
    let large = bank.transfer(&ann, "a-large-one", &order(300_000));
    let what = "POST /transfers of 3000.00";
    table.row("ann", "transfers", what, "202 waiting", &state(&large));
    let path = format!("/transfers/{}/approve", field(&large, "/id"));
    let approve = |token: &str| bank.ask_as(token, &path, &["-X", "POST"]);
    for (who, what, token, expected) in [
        ("ann", "approves it herself", ann.clone(), "403 policy_denied"),
        ("tess", "a teller approves it", tess.clone(), "403 policy_denied"),
        ("otto", "an auditor approves it", bank.token("otto", Role::Auditor), "403 policy_denied"),
        (
            "paula",
            "approves it with a token of an hour ago",
            bank.old_token("paula", Role::Approver),
            "401 token_expired",
        ),
        (
            "stranger",
            "approves it with a token of one's own making",
            bank.strangers_token("paula", Role::Approver),
            "401 token_key_unknown",
        ),
    ] {
        table.row(who, "transfers", what, expected, &approve(&token).words());
    }
    let promoted = bank.token("ann", Role::Approver);
    let what = "was made an approver, and approves her own";
    table.row("ann", "transfers", what, "403", &approve(&promoted).words());
    let pete = bank.token("pete", Role::Approver);
    table.row("pete", "transfers", "approves it", "200 done", &state(&approve(&pete)));
    table.row("pete", "transfers", "approves it again", "409", &approve(&pete).words());
    let what = "an approver makes a transfer";
    let made = bank.transfer(&pete, "petes-own-1", &order(100)).words();
    table.row("pete", "transfers", what, "403 policy_denied", &made);
    again(table, bank, &ann);
    let bob = bank.token("bob", Role::Customer);
    let stolen = bank.transfer(&bob, "not-my-money", &order(100)).words();
    table.row("bob", "transfers", "pays from ann's account", "404", &stolen);
    let sum = format!("balance {}", balance(bank, &ann));
    table.row("ann", "accounts", "what all of this has cost", "balance 442500", &sum);
}

/// The same request again is the same transfer.
fn again(table: &mut Table, bank: &Bank, ann: &str) {
    let first = bank.transfer(ann, "only-once-please", &order(5_000));
    let again = bank.transfer(ann, "only-once-please", &order(5_000));
    let same = field(&first, "/id") == field(&again, "/id");
    let seen = format!("{}, {}", state(&again), if same { "the same" } else { "another" });
    let what = "the same request twice";
    table.row("ann", "transfers", what, "201 done, the same", &seen);
    let other = bank.transfer(ann, "only-once-please", &order(6_000)).words();
    table.row("ann", "transfers", "another one with its key", "409", &other);
}

pub(crate) fn balance(bank: &Bank, token: &str) -> String {
    let answer: Answer = bank.ask_as(token, &format!("/accounts/{ANNS}"), &[]);
    field(&answer, "/cents")
}
