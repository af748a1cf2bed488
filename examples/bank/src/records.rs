//! The record: a SQLite file to which lines are added, and in which none is changed. Each line holds the hash of the one
//! before it, so that somebody who changed the file would have to change all that follows.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, params};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS records (
        number INTEGER PRIMARY KEY, time INTEGER NOT NULL,
        person TEXT NOT NULL, event TEXT NOT NULL, subject TEXT NOT NULL,
        hash TEXT NOT NULL) STRICT;
    CREATE TRIGGER IF NOT EXISTS never_changed BEFORE UPDATE ON records
        BEGIN SELECT raise(ABORT, 'a record is never changed'); END;
    CREATE TRIGGER IF NOT EXISTS never_removed BEFORE DELETE ON records
        BEGIN SELECT raise(ABORT, 'a record is never removed'); END;";

/// What is before the first line.
const NOTHING: &str = "";

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number: 1, 2, 3 …
    pub number: i64,
    /// When, in seconds of Unix time.
    pub time: i64,
    /// Who.
    pub person: String,
    /// What.
    pub event: String,
    /// To what.
    pub subject: String,
    /// Of all of this, and of the hash before it.
    pub hash: String,
}

/// The record. Each statement takes microseconds: they share one connection.
pub struct Records(Mutex<Connection>);

impl Records {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be opened, or is no database.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(file)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Adds a line; its number.
    ///
    /// # Errors
    /// The database's.
    pub fn add(&self, time: i64, person: &str, event: &str, subject: &str) -> anyhow::Result<i64> {
        let connection = self.0.lock();
        let select = "SELECT number, hash FROM records ORDER BY number DESC LIMIT 1";
        let last = connection.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)));
        let (number, before): (i64, String) = last.optional()?.unwrap_or((0, NOTHING.to_owned()));
        let number = number + 1;
        let hash = hash(&before, number, time, [person, event, subject]);
        let insert = "INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        connection.execute(insert, params![number, time, person, event, subject, hash])?;
        Ok(number)
    }

    /// At most a hundred lines after this number, the oldest first.
    ///
    /// # Errors
    /// The database's.
    pub fn after(&self, number: i64) -> anyhow::Result<Vec<Record>> {
        let connection = self.0.lock();
        let mut select = connection.prepare(
            "SELECT number, time, person, event, subject, hash FROM records
             WHERE number > ?1 ORDER BY number LIMIT 100",
        )?;
        let rows = select.query_map([number], |row| {
            Ok(Record {
                number: row.get(0)?,
                time: row.get(1)?,
                person: row.get(2)?,
                event: row.get(3)?,
                subject: row.get(4)?,
                hash: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Whether these lines follow one another, from the first one on.
#[must_use]
pub fn is_whole(records: &[Record]) -> bool {
    let mut before = NOTHING;
    records.iter().all(|record| {
        let Record { number, time, person, event, subject, hash: said } = record;
        let fits = *said == hash(before, *number, *time, [person, event, subject]);
        before = said;
        fits
    })
}

/// None of the texts has a line feed in it, so that they cannot be taken for one another.
fn hash(before: &str, number: i64, time: i64, texts: [&str; 3]) -> String {
    let line = format!("{before}\n{number}\n{time}\n{}", texts.join("\n"));
    HEXLOWER.encode(digest(&SHA256, line.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_are_added_and_never_changed() {
        let directory = tempfile::tempdir().unwrap();
        let records = Records::open(&directory.path().join("audit.db")).unwrap();
        assert_eq!(records.add(10, "ann", "transfer", "transfer-1").unwrap(), 1);
        assert_eq!(records.add(11, "paula", "approval", "transfer-1").unwrap(), 2);
        for change in ["UPDATE records SET person = 'bob'", "DELETE FROM records"] {
            assert!(records.0.lock().execute(change, []).is_err(), "{change}");
        }
        let mut all = records.after(0).unwrap();
        assert_eq!(records.after(1).unwrap(), all[1..]);
        assert!(is_whole(&all));
        all[0].person = "bob".to_owned();
        assert!(!is_whole(&all));
    }
}
