//! Who has an account, and which tokens were taken back: a SQLite file.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::revocations::Revoked;

/// Tokens that are revoked one by one, and people of whom all are, at most: what is written of them has to have an end, and
/// whoever is listed stays listed.
const MOST_REVOKED: i64 = 10_000;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, password TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS revoked_tokens (id TEXT PRIMARY KEY, ends INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS revoked_users
        (name TEXT PRIMARY KEY, issued_before INTEGER NOT NULL, ends INTEGER NOT NULL) STRICT;";

/// The accounts. Each statement takes microseconds: they share one connection.
pub struct Accounts(Mutex<Connection>);

impl Accounts {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// It cannot be opened, or is no database.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(file)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// A new account; false when the name is taken.
    ///
    /// # Errors
    /// The database's.
    pub fn add(&self, name: &str, password: &str) -> anyhow::Result<bool> {
        let insert = "INSERT INTO users (name, password) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        Ok(self.0.lock().execute(insert, params![name, password])? == 1)
    }

    /// The hash of somebody's password; none when there is no such person.
    ///
    /// # Errors
    /// The database's.
    pub fn password(&self, name: &str) -> anyhow::Result<Option<String>> {
        let select = "SELECT password FROM users WHERE name = ?1";
        Ok(self.0.lock().query_row(select, [name], |row| row.get(0)).optional()?)
    }

    /// Takes one token back, until it ends by itself.
    ///
    /// # Errors
    /// The database's, and a list that is full.
    pub fn revoke_token(&self, id: &str, ends: i64, now: i64) -> anyhow::Result<()> {
        let connection = self.0.lock();
        connection.execute("DELETE FROM revoked_tokens WHERE ends < ?1", [now])?;
        let count = "SELECT count(*) FROM revoked_tokens";
        let many: i64 = connection.query_row(count, [], |row| row.get(0))?;
        anyhow::ensure!(many < MOST_REVOKED, "{many} tokens are revoked already");
        let insert = "INSERT INTO revoked_tokens VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        connection.execute(insert, params![id, ends])?;
        Ok(())
    }

    /// Takes back every token of a person that was issued before this moment. They have all ended by `ends`.
    ///
    /// # Errors
    /// The database's, and a list that is full.
    pub fn revoke_user(&self, name: &str, issued_before: i64, ends: i64) -> anyhow::Result<()> {
        let connection = self.0.lock();
        connection.execute("DELETE FROM revoked_users WHERE ends < ?1", [issued_before])?;
        let count = "SELECT count(*) FROM revoked_users WHERE name <> ?1";
        let many: i64 = connection.query_row(count, [name], |row| row.get(0))?;
        anyhow::ensure!(many < MOST_REVOKED, "the tokens of {many} people are revoked already");
        let insert = "INSERT INTO revoked_users VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE
            SET issued_before = max(issued_before, ?2), ends = max(ends, ?3)";
        connection.execute(insert, params![name, issued_before, ends])?;
        Ok(())
    }

    /// The first moment at which a token of this person may be issued.
    ///
    /// # Errors
    /// The database's.
    pub fn issued_from(&self, name: &str, now: i64) -> anyhow::Result<i64> {
        let select = "SELECT issued_before FROM revoked_users WHERE name = ?1";
        let from = self.0.lock().query_row(select, [name], |row| row.get(0)).optional()?;
        Ok(from.unwrap_or(now).max(now))
    }

    /// Everything that is taken back and has not ended by itself.
    ///
    /// # Errors
    /// The database's.
    pub fn revoked(&self, now: i64) -> anyhow::Result<Revoked> {
        let connection = self.0.lock();
        let mut tokens = connection
            .prepare("SELECT id, ends FROM revoked_tokens WHERE ends >= ?1 ORDER BY ends, id")?;
        let tokens = tokens.query_map([now], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut users = connection.prepare(
            "SELECT name, issued_before FROM revoked_users WHERE ends >= ?1 ORDER BY name",
        )?;
        let users = users.query_map([now], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Revoked {
            tokens: tokens.collect::<Result<_, _>>()?,
            users: users.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn empty() -> (tempfile::TempDir, Accounts) {
        let directory = tempfile::tempdir().unwrap();
        let accounts = Accounts::open(&directory.path().join("social.db")).unwrap();
        (directory, accounts)
    }

    #[test]
    fn a_name_is_given_once_and_outlives_the_program() {
        let (directory, accounts) = empty();
        assert!(accounts.add("ann", "hash of ann").unwrap());
        assert!(!accounts.add("ann", "hash of a stranger").unwrap());
        drop(accounts);
        let again = Accounts::open(&directory.path().join("social.db")).unwrap();
        assert_eq!(again.password("ann").unwrap().as_deref(), Some("hash of ann"));
        assert_eq!(again.password("ann' OR '1'='1").unwrap(), None);
    }

    #[test]
    fn a_full_list_refuses_who_comes_next_and_keeps_who_is_there() {
        let (_directory, accounts) = empty();
        {
            let mut connection = accounts.0.lock();
            let together = connection.transaction().unwrap();
            for number in 0..MOST_REVOKED {
                let (token, name) = (format!("t{number}"), format!("u{number}"));
                together.execute("INSERT INTO revoked_tokens VALUES (?1, 100)", [token]).unwrap();
                together.execute("INSERT INTO revoked_users VALUES (?1, 50, 100)", [name]).unwrap();
            }
            together.commit().unwrap();
        }
        assert!(accounts.revoke_token("new", 200, 60).is_err());
        assert!(accounts.revoke_user("new", 60, 200).is_err());
        accounts.revoke_user("u7", 60, 200).unwrap();
        assert_eq!(accounts.revoked(60).unwrap().tokens.len(), 10_000);
        accounts.revoke_token("new", 300, 101).unwrap();
        accounts.revoke_user("new", 101, 300).unwrap();
        let revoked = accounts.revoked(101).unwrap();
        assert_eq!((revoked.tokens.len(), revoked.users.len()), (1, 2));
    }

    #[test]
    fn what_is_taken_back_is_forgotten_when_it_has_ended() {
        let (_directory, accounts) = empty();
        accounts.revoke_token("a", 100, 10).unwrap();
        accounts.revoke_token("b", 200, 10).unwrap();
        accounts.revoke_user("ann", 50, 150).unwrap();
        accounts.revoke_user("ann", 40, 140).unwrap();
        let revoked = accounts.revoked(60).unwrap();
        assert_eq!(revoked.tokens, [("a".to_owned(), 100), ("b".to_owned(), 200)]);
        assert_eq!(revoked.users, [("ann".to_owned(), 50)]);
        assert_eq!(
            (accounts.issued_from("ann", 45).unwrap(), accounts.issued_from("bob", 45).unwrap()),
            (50, 45)
        );
        let later = accounts.revoked(160).unwrap();
        assert_eq!((later.tokens.len(), later.users.len()), (1, 0));
    }
}
