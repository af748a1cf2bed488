//! An ordinary day: everything that the bank is for, once.

use bank::people::Role;
use postern_tests::{Answer, Bank, Table};
use serde_json::{Value, json};

/// The first account that is opened, and the second.
pub(crate) const ANNS: i64 = 1001;
pub(crate) const BOBS: i64 = 1002;

/// Something that was done, what was expected of it, and what was seen.
pub(crate) struct Done {
    pub(crate) who: &'static str,
    pub(crate) to: &'static str,
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) seen: String,
}

impl Done {
    pub(crate) fn is_good(&self) -> bool {
        self.seen == self.expected
    }
}

pub(crate) fn show(table: &mut Table, bank: &Bank) {
    for Done { who, to, what, expected, seen } in live(bank) {
        table.row(who, to, &what, &expected, &seen);
    }
}

/// Lives the day.
pub(crate) fn live(bank: &Bank) -> Vec<Done> {
    let mut day = Day { bank, done: Vec::new() };
    day.morning();
    day.accounts();
    day.transfers();
    day.evening();
    day.done
}

struct Day<'b> {
    bank: &'b Bank,
    done: Vec<Done>,
}

impl Day<'_> {
    fn morning(&mut self) {
        for (to, path) in [("web", "/"), ("login", "/jwks.json"), ("login", DISCOVERY)] {
            let seen = self.bank.ask(&self.bank.browser, path, &[]).words();
            self.did("browser", to, &format!("GET {path}"), "200", seen);
        }
        for (name, lifetime) in [("ann", 900), ("tess", 900), ("paula", 120), ("otto", 120)] {
            let answer = self.bank.log_in(name, None);
            let expected = format!("200 for {lifetime} s");
            let seen = format!("{} for {} s", answer.words(), field(&answer, "/expires_in"));
            self.did(name, "login", "POST /login", &expected, seen);
        }
        let wrong = self.bank.log_in("ann", Some("wrong password")).words();
        self.did("ann", "login", "POST /login, a wrong password", "401", wrong);
    }

    fn accounts(&mut self) {
        let tess = self.bank.token("tess", Role::Teller);
        for (owner, cents, number) in [("ann", 1_000_000, ANNS), ("bob", 0, BOBS)] {
            let opening = json!({"owner": owner, "cents": cents}).to_string();
            let answer = self.bank.ask_as(&tess, "/accounts", &["--json", &opening]);
            let seen = format!("{} {}", answer.words(), field(&answer, "/number"));
            let what = format!("POST /accounts, for {owner}");
            self.did("tess", "accounts", &what, &format!("201 {number}"), seen);
        }
        self.balance(1_000_000);
        let path = format!("/overview/{ANNS}");
        let answer = self.bank.ask_as(&self.bank.token("ann", Role::Customer), &path, &[]);
        let seen = format!("{} {}", answer.words(), field(&answer, "/account/cents"));
        let what = format!("GET {path}: it asks accounts as ann");
        self.did("ann", "web", &what, "200 1000000", seen);
    }

    fn transfers(&mut self) {
        let ann = self.bank.token("ann", Role::Customer);
        for (cents, what, expected) in [
            (2_500, "POST /transfers of 25.00: one person will do", "201 done"),
            (250_000, "POST /transfers of 2500.00: it needs another", "202 waiting"),
        ] {
            let answer = self.bank.transfer(&ann, &format!("rent-{cents}"), &order(cents));
            self.did("ann", "transfers", what, expected, state(&answer));
        }
        let seen = state(&self.bank.ask_as(&ann, "/transfers/2", &[]));
        self.did("ann", "transfers", "GET /transfers/2", "200 waiting", seen);
        let paula = self.bank.token("paula", Role::Approver);
        let answer = self.bank.ask_as(&paula, "/transfers", &[]);
        let seen = format!("{} transfer {}", answer.words(), field(&answer, "/waiting/0/id"));
        self.did("paula", "transfers", "GET /transfers: what waits", "200 transfer 2", seen);
        let approve = |path: &str| self.bank.ask_as(&paula, path, &["-X", "POST"]);
        let seen = state(&approve("/transfers/2/approve"));
        self.did("paula", "transfers", "POST /transfers/2/approve", "200 done", seen);
    }

    fn evening(&mut self) {
        self.balance(747_500);
        let ann = self.bank.token("ann", Role::Customer);
        let path = format!("/accounts/{ANNS}/statement");
        let answer = self.bank.ask_as(&ann, &path, &[]);
        let seen = format!("{} {}", answer.words(), field(&answer, "/movements/0/id"));
        self.did("ann", "accounts", &format!("GET {path}"), "200 transfer-2", seen);
        let otto = self.bank.token("otto", Role::Auditor);
        let answer = self.bank.ask_as(&otto, "/records", &[]);
        let seen = format!("{} by {}", answer.words(), field(&answer, "/records/0/person"));
        self.did("otto", "audit", "GET /records", "200 by tess", seen);
    }

    fn balance(&mut self, cents: i64) {
        let ann = self.bank.token("ann", Role::Customer);
        let path = format!("/accounts/{ANNS}");
        let answer = self.bank.ask_as(&ann, &path, &[]);
        let seen = format!("{} {}", answer.words(), field(&answer, "/cents"));
        self.did("ann", "accounts", &format!("GET {path}"), &format!("200 {cents}"), seen);
    }

    fn did(
        &mut self,
        who: &'static str,
        to: &'static str,
        what: &str,
        expected: &str,
        seen: String,
    ) {
        let (what, expected) = (what.to_owned(), expected.to_owned());
        self.done.push(Done { who, to, what, expected, seen });
    }
}

const DISCOVERY: &str = "/.well-known/openid-configuration";

/// From ann's account to bob's.
pub(crate) fn order(cents: i64) -> Value {
    json!({"from": ANNS, "to": BOBS, "cents": cents, "text": "rent"})
}

/// A status, and how far a transfer is.
pub(crate) fn state(answer: &Answer) -> String {
    format!("{} {}", answer.words(), field(answer, "/state")).trim().to_owned()
}

/// What an answer of JSON has at a pointer (RFC 6901); empty where it has nothing.
pub(crate) fn field(answer: &Answer, pointer: &str) -> String {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    body.pointer(pointer).map_or_else(String::new, |value| {
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    })
}
