//! What people are told about their orders: a letter for each event, in memory, and as many as fit.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Letters that are kept; the oldest is forgotten first.
const LETTERS_KEPT: usize = 1000;

/// What somebody was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The number of the order.
    pub number: u64,
    /// Who bought.
    pub user: String,
    /// In cents.
    pub amount: u64,
}

/// All of them.
#[derive(Default)]
pub struct Notices(Mutex<VecDeque<Letter>>);

impl Notices {
    /// Writes to whom an event is about.
    ///
    /// # Errors
    /// The event is none.
    pub fn write(&self, event: &[u8]) -> anyhow::Result<()> {
        let letter = serde_json::from_slice(event)?;
        let mut letters = self.0.lock();
        letters.push_back(letter);
        while letters.len() > LETTERS_KEPT {
            letters.pop_front();
        }
        Ok(())
    }

    /// What somebody was told, the oldest first.
    #[must_use]
    pub fn of(&self, user: &str) -> Vec<Letter> {
        self.0.lock().iter().filter(|letter| letter.user == user).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_an_event() {
        let notices = Notices::default();
        for (event, fine) in [
            (r#"{"number": 1001, "user": "ann", "amount": 100}"#, true),
            (r#"{"number": 1002, "user": "bob", "amount": 200}"#, true),
            (r#"{"number": 1003}"#, false),
            ("", false),
        ] {
            assert_eq!(notices.write(event.as_bytes()).is_ok(), fine, "{event}");
        }
        let letter = Letter { number: 1001, user: "ann".to_owned(), amount: 100 };
        assert_eq!(notices.of("ann"), [letter]);
        assert!(notices.of("eve").is_empty());
    }
}
