//! The subjects that a client may answer to, because a message that was just delivered to it asks for an answer there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use message_access::Moment;

/// For how long an answer may come.
const WINDOW: Duration = Duration::from_secs(120);
/// How many answers may be awaited at once; the oldest is forgotten then.
const ANSWERS: usize = 1024;
/// The longest subject that is remembered.
const SUBJECT_BYTES: usize = 512;

/// The subjects, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    came: VecDeque<(Moment, Option<Arc<str>>)>,
    /// How many came before the first in `came`.
    before: u64,
    /// The places of each subject, the oldest first.
    places: HashMap<Arc<str>, VecDeque<u64>>,
    /// What all of them hold.
    bytes: usize,
}

/// What an entry holds beside its subject.
const ENTRY_BYTES: usize = 128;

impl Replies {
    /// How many bytes they hold.
    pub(crate) const fn held(&self) -> usize {
        self.bytes
    }

    /// A message came that asks for an answer.
    pub(crate) fn delivered(&mut self, subject: &str, now: Moment) {
        if subject.len() > SUBJECT_BYTES {
            return;
        }
        self.forget(now);
        if self.came.len() >= ANSWERS {
            self.forget_first();
        }
        let subject = self
            .places
            .get_key_value(subject)
            .map_or_else(|| subject.into(), |(key, _)| Arc::clone(key));
        let place = self.before.wrapping_add(self.came.len() as u64);
        self.bytes = self.bytes.saturating_add(ENTRY_BYTES + subject.len());
        self.came.push_back((now, Some(Arc::clone(&subject))));
        self.places.entry(subject).or_default().push_back(place);
    }

    /// Whether an answer may go there.
    pub(crate) fn awaits(&mut self, subject: &str, now: Moment) -> bool {
        self.forget(now);
        self.places.contains_key(subject)
    }

    /// An answer went there: one message, one answer.
    pub(crate) fn answered(&mut self, subject: &str) {
        let Some(places) = self.places.get_mut(subject) else {
            return;
        };
        let place = places.pop_front().map(|place| place.wrapping_sub(self.before));
        if places.is_empty() {
            self.places.remove(subject);
        }
        let entry = place.and_then(|place| self.came.get_mut(usize::try_from(place).ok()?));
        if let Some((_, subject)) = entry
            && let Some(subject) = subject.take()
        {
            self.bytes = self.bytes.saturating_sub(ENTRY_BYTES + subject.len());
        }
    }

    fn forget(&mut self, now: Moment) {
        let over = |(came, subject): &(Moment, Option<Arc<str>>)| {
            subject.is_none() || now.saturating_sub(*came) > WINDOW
        };
        while self.came.front().is_some_and(over) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some((_, subject)) = self.came.pop_front() else {
            return;
        };
        self.before = self.before.wrapping_add(1);
        let Some(subject) = subject else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(ENTRY_BYTES + subject.len());
        if let Some(places) = self.places.get_mut(&subject) {
            places.pop_front();
            if places.is_empty() {
                self.places.remove(&subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn once_for_each_message_within_two_minutes() {
        let mut replies = Replies::default();
        assert!(!replies.awaits("a", at(0)));
        replies.delivered("a", at(0));
        replies.delivered("a", at(1));
        replies.delivered("b", at(2));
        assert!(replies.awaits("a", at(2)));
        replies.answered("a");
        assert!(replies.awaits("a", at(121)), "the second message is awaited until 121");
        replies.answered("a");
        assert!(!replies.awaits("a", at(121)));
        assert!(replies.awaits("b", at(122)));
        assert!(!replies.awaits("b", at(123)));
        replies.answered("b");
        assert!(replies.awaits("b", at(122)) || replies.came.is_empty());
        assert_eq!((replies.places.len(), replies.held()), (0, 0));
    }

    #[test]
    fn as_many_as_are_remembered() {
        let mut replies = Replies::default();
        for number in 0..ANSWERS + 10 {
            replies.delivered(&format!("r.{number}"), at(0));
        }
        assert_eq!((replies.came.len(), replies.places.len()), (ANSWERS, ANSWERS));
        assert!(!replies.awaits("r.9", at(0)) && replies.awaits("r.10", at(0)));
        replies.delivered(&"x".repeat(SUBJECT_BYTES + 1), at(0));
        assert_eq!(replies.came.len(), ANSWERS);
    }
}
