//! Transfers and how far they are: a SQLite file.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Value, json};

use crate::order::Order;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS transfers (
        id INTEGER PRIMARY KEY,
        creator TEXT NOT NULL,
        key TEXT NOT NULL,
        source INTEGER NOT NULL, target INTEGER NOT NULL, cents INTEGER NOT NULL, text TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('waiting', 'approved', 'done')),
        approver TEXT,
        UNIQUE (creator, key)) STRICT;";

const COLUMNS: &str = "id, creator, source, target, cents, text, state, approver";

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// For a second person.
    Waiting,
    /// To be paid: it needs nobody any more.
    Approved,
    /// Paid.
    Done,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Done => "done",
        }
    }
}

/// A transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Its number.
    pub id: i64,
    /// Who made it.
    pub creator: String,
    /// What it is about.
    pub order: Order,
    /// How far it is.
    pub state: State,
    /// The second person, where there was one.
    pub approver: Option<String>,
}

impl Transfer {
    /// As callers see it.
    #[must_use]
    pub fn shown(&self) -> Value {
        let Order { from, to, cents, text } = &self.order;
        json!({
            "id": self.id, "state": self.state.name(), "created_by": self.creator,
            "approved_by": self.approver, "from": from, "to": to, "cents": cents, "text": text,
        })
    }
}

/// The transfers. Each statement takes microseconds: they share one connection.
pub struct TransferBook(Mutex<Connection>);

impl TransferBook {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be opened, or is no database.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(file)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// A new transfer; or the one that its creator has made with this key before, whatever is in it.
    ///
    /// # Errors
    /// The database's.
    pub fn add(&self, creator: &str, key: &str, order: &Order) -> anyhow::Result<Transfer> {
        let state = if order.needs_second_person() { State::Waiting } else { State::Approved };
        let Order { from, to, cents, text } = order;
        let connection = self.0.lock();
        connection.execute(
            "INSERT INTO transfers (creator, key, source, target, cents, text, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            params![creator, key, from, to, cents, text, state.name()],
        )?;
        let select = format!("SELECT {COLUMNS} FROM transfers WHERE creator = ?1 AND key = ?2");
        Ok(connection.query_row(&select, [creator, key], read)?)
    }

    /// The transfer with this number.
    ///
    /// # Errors
    /// The database's.
    pub fn find(&self, id: i64) -> anyhow::Result<Option<Transfer>> {
        let select = format!("SELECT {COLUMNS} FROM transfers WHERE id = ?1");
        Ok(self.0.lock().query_row(&select, [id], read).optional()?)
    }

    /// The hundred oldest that wait for a second person, who is not this one.
    ///
    /// # Errors
    /// The database's.
    pub fn waiting(&self, for_whom: &str) -> anyhow::Result<Vec<Transfer>> {
        let select = format!(
            "SELECT {COLUMNS} FROM transfers WHERE state = 'waiting' AND creator <> ?1
             ORDER BY id LIMIT 100"
        );
        let connection = self.0.lock();
        let mut select = connection.prepare(&select)?;
        let rows = select.query_map([for_whom], read)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Says that a second person wants it; false when it waits for none, or for another one than its creator.
    ///
    /// # Errors
    /// The database's.
    pub fn approve(&self, id: i64, approver: &str) -> anyhow::Result<bool> {
        let update = "UPDATE transfers SET state = 'approved', approver = ?2
            WHERE id = ?1 AND state = 'waiting' AND creator <> ?2";
        Ok(self.0.lock().execute(update, params![id, approver])? == 1)
    }

    /// Says that it is paid.
    ///
    /// # Errors
    /// The database's.
    pub fn done(&self, id: i64) -> anyhow::Result<()> {
        let update = "UPDATE transfers SET state = 'done' WHERE id = ?1 AND state = 'approved'";
        self.0.lock().execute(update, [id])?;
        Ok(())
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Transfer> {
    let order = Order { from: row.get(2)?, to: row.get(3)?, cents: row.get(4)?, text: row.get(5)? };
    let state = match row.get::<_, String>(6)?.as_str() {
        "done" => State::Done,
        "approved" => State::Approved,
        _ => State::Waiting,
    };
    Ok(Transfer { id: row.get(0)?, creator: row.get(1)?, order, state, approver: row.get(7)? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_large_transfer_waits_for_somebody_else() {
        let directory = tempfile::tempdir().unwrap();
        let book = TransferBook::open(&directory.path().join("transfers.db")).unwrap();
        let order = |cents| Order { from: 1, to: 2, cents, text: String::new() };
        let small = book.add("ann", "key-of-ann-1", &order(100)).unwrap();
        assert_eq!((small.state, small.approver), (State::Approved, None));
        let large = book.add("ann", "key-of-ann-2", &order(100_001)).unwrap();
        assert_eq!(large.state, State::Waiting);
        assert_eq!(book.add("ann", "key-of-ann-2", &order(5)).unwrap(), large);
        assert_ne!(book.add("bob", "key-of-ann-2", &order(5)).unwrap().id, large.id);
        let waiting = |name| book.waiting(name).unwrap().len();
        assert_eq!((waiting("ann"), waiting("paula")), (0, 1));
        for (who, expect) in [("ann", false), ("paula", true), ("pete", false)] {
            assert_eq!(book.approve(large.id, who).unwrap(), expect, "{who}");
        }
        book.done(large.id).unwrap();
        let found = book.find(large.id).unwrap().unwrap();
        assert_eq!((found.state, found.approver.as_deref()), (State::Done, Some("paula")));
    }
}
