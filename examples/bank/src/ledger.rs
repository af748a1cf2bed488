//! Accounts and what moved between them: a SQLite file. A balance is the sum of movements, and is written nowhere else.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use crate::order::Order;

/// The bank's own account, from which new accounts get their money. It alone may have less than nothing.
pub const VAULT: i64 = 1000;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA foreign_keys = ON;
    CREATE TABLE IF NOT EXISTS accounts (number INTEGER PRIMARY KEY, owner TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS movements (
        id TEXT PRIMARY KEY,
        source INTEGER NOT NULL REFERENCES accounts (number),
        target INTEGER NOT NULL REFERENCES accounts (number),
        cents INTEGER NOT NULL CHECK (cents > 0),
        text TEXT NOT NULL) STRICT;
    CREATE INDEX IF NOT EXISTS movements_source ON movements (source);
    CREATE INDEX IF NOT EXISTS movements_target ON movements (target);
    INSERT INTO accounts VALUES (1000, 'bank') ON CONFLICT DO NOTHING;";

/// What became of a movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The money moved.
    Now,
    /// The same movement was made before; nothing moved.
    Before,
    /// Another movement has this id.
    Other,
    /// One of the accounts does not exist.
    NoAccount,
    /// There is not enough in the account that pays.
    TooLittle,
}

/// The accounts. Each statement takes microseconds: they share one connection.
pub struct Ledger(Mutex<Connection>);

impl Ledger {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be opened, or is no database.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(file)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Opens an account with this much in it; its number.
    ///
    /// # Errors
    /// The database's.
    pub fn add(&self, owner: &str, cents: i64) -> anyhow::Result<i64> {
        let mut connection = self.0.lock();
        let transaction = connection.transaction()?;
        transaction.execute("INSERT INTO accounts (owner) VALUES (?1)", [owner])?;
        let number = transaction.last_insert_rowid();
        if cents > 0 {
            let order = Order { from: VAULT, to: number, cents, text: "opening".to_owned() };
            insert(&transaction, &format!("opening-{number}"), &order)?;
        }
        transaction.commit()?;
        Ok(number)
    }

    /// Whose account this is; none when there is no such account.
    ///
    /// # Errors
    /// The database's.
    pub fn owner(&self, number: i64) -> anyhow::Result<Option<String>> {
        let select = "SELECT owner FROM accounts WHERE number = ?1";
        Ok(self.0.lock().query_row(select, [number], |row| row.get(0)).optional()?)
    }

    /// How much is in it, in cents.
    ///
    /// # Errors
    /// The database's.
    pub fn balance(&self, number: i64) -> anyhow::Result<i64> {
        balance(&self.0.lock(), number)
    }

    /// The last hundred movements of an account, the newest first, each with its id.
    ///
    /// # Errors
    /// The database's.
    pub fn statement(&self, number: i64) -> anyhow::Result<Vec<(String, Order)>> {
        let connection = self.0.lock();
        let mut select = connection.prepare(
            "SELECT id, source, target, cents, text FROM movements
             WHERE source = ?1 OR target = ?1 ORDER BY rowid DESC LIMIT 100",
        )?;
        let rows = select.query_map([number], |row| {
            let order =
                Order { from: row.get(1)?, to: row.get(2)?, cents: row.get(3)?, text: row.get(4)? };
            Ok((row.get(0)?, order))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Moves money, once for each id.
    ///
    /// # Errors
    /// The database's.
    pub fn move_money(&self, id: &str, order: &Order) -> anyhow::Result<Moved> {
        let mut connection = self.0.lock();
        let transaction = connection.transaction()?;
        let moved = moved(&transaction, id, order)?;
        transaction.commit()?;
        Ok(moved)
    }
}

fn moved(transaction: &Transaction<'_>, id: &str, order: &Order) -> anyhow::Result<Moved> {
    let select = "SELECT source = ?2 AND target = ?3 AND cents = ?4 FROM movements WHERE id = ?1";
    let values = params![id, order.from, order.to, order.cents];
    let before: Option<bool> =
        transaction.query_row(select, values, |row| row.get(0)).optional()?;
    if let Some(same) = before {
        return Ok(if same { Moved::Before } else { Moved::Other });
    }
    let select = "SELECT count(*) FROM accounts WHERE number IN (?1, ?2)";
    let known: i64 = transaction.query_row(select, [order.from, order.to], |row| row.get(0))?;
    if known != 2 {
        return Ok(Moved::NoAccount);
    }
    if order.from != VAULT && balance(transaction, order.from)? < order.cents {
        return Ok(Moved::TooLittle);
    }
    insert(transaction, id, order)?;
    Ok(Moved::Now)
}

fn insert(connection: &Connection, id: &str, order: &Order) -> anyhow::Result<()> {
    let insert = "INSERT INTO movements VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.execute(insert, params![id, order.from, order.to, order.cents, order.text])?;
    Ok(())
}

fn balance(connection: &Connection, number: i64) -> anyhow::Result<i64> {
    let select = "SELECT coalesce(sum(iif(target = ?1, cents, -cents)), 0) FROM movements
        WHERE source = ?1 OR target = ?1";
    Ok(connection.query_row(select, [number], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn money_moves_once_and_never_comes_from_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&directory.path().join("bank.db")).unwrap();
        let (ann, bob) = (ledger.add("ann", 500).unwrap(), ledger.add("bob", 0).unwrap());
        let order = |from, to, cents| Order { from, to, cents, text: String::new() };
        for (id, order, expect) in [
            ("1", order(ann, bob, 300), Moved::Now),
            ("1", order(ann, bob, 300), Moved::Before),
            ("1", order(ann, bob, 200), Moved::Other),
            ("2", order(ann, bob, 201), Moved::TooLittle),
            ("2", order(ann, 77, 1), Moved::NoAccount),
            ("2", order(ann, bob, 200), Moved::Now),
        ] {
            assert_eq!(ledger.move_money(id, &order).unwrap(), expect, "{id} {order:?}");
        }
        let balances = [VAULT, ann, bob].map(|number| ledger.balance(number).unwrap());
        assert_eq!(balances, [-500, 0, 500]);
        assert_eq!(ledger.statement(bob).unwrap().len(), 2);
        assert_eq!(ledger.owner(ann).unwrap().as_deref(), Some("ann"));
    }
}
