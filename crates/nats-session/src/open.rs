//! The subscriptions that are open, by the id that the client gave each.

use std::collections::BTreeMap;
use std::ops::Bound;

use message_access::{AccessRequest, SessionEnd};

use crate::line::malformed;
use crate::subject;

/// What is open.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    by_sid: BTreeMap<Box<str>, Subscription>,
    /// Up to which id they have been judged again, while others are left.
    judged: Option<Box<str>>,
    revoked: usize,
    /// How many pings the client has sent, and how many of them the broker has answered.
    pings: u64,
    pongs: u64,
    limit: usize,
    /// What all of them hold.
    bytes: usize,
}

/// What an entry holds beside its names.
const ENTRY_BYTES: usize = 128;

/// How many are judged again in one go: with hundreds of rules, a few milliseconds of work.
const TURN: usize = 256;

/// One of them.
#[derive(Debug)]
struct Subscription {
    subject: Box<str>,
    queue: Option<Box<str>>,
    /// How many messages came, and after how many the client wants no more.
    delivered: usize,
    at_most: Option<usize>,
    /// After how many pings policy took it back. It stays here until the broker answers a later one, so that what is under
    /// way is not delivered, not even to a new subscription of the same id.
    revoked: Option<u64>,
}

impl Subscription {
    fn request(&self) -> AccessRequest<'_> {
        subject::subscription(&self.subject, self.queue.as_deref())
    }

    fn held(&self, sid: &str) -> usize {
        ENTRY_BYTES
            + sid.len()
            + self.subject.len()
            + self.queue.as_ref().map_or(0, |queue| queue.len())
    }
}

/// A subscription that policy took back.
pub(crate) struct Revoked {
    pub(crate) sid: Box<str>,
    pub(crate) subject: Box<str>,
    pub(crate) queue: Option<Box<str>>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The client gets it.
    Passes,
    /// The client gets it, and wanted no more than that: the subscription is closed.
    Last,
    /// The subscription is closed or was taken back.
    Dropped,
}

impl Subscriptions {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            by_sid: BTreeMap::new(),
            judged: None,
            revoked: 0,
            pings: 0,
            pongs: 0,
            limit,
            bytes: 0,
        }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.by_sid.len().saturating_sub(self.revoked)
    }

    /// How many bytes they hold.
    pub(crate) const fn held(&self) -> usize {
        self.bytes
    }

    /// Whether another may be opened under this id.
    ///
    /// # Errors
    /// Too many are open; or the id is in use, where a server keeps the old subscription and says nothing.
    pub(crate) fn may_open(&self, sid: &str) -> Result<(), SessionEnd> {
        if self.by_sid.contains_key(sid) {
            return Err(malformed("a SUB with the id of another subscription"));
        }
        if self.len() >= self.limit {
            return Err(SessionEnd::Limit("maximum subscriptions exceeded".to_owned()));
        }
        Ok(())
    }

    pub(crate) fn open(&mut self, sid: &str, subject: &str, queue: Option<&str>) {
        let subscription = Subscription {
            subject: subject.into(),
            queue: queue.map(Into::into),
            delivered: 0,
            at_most: None,
            revoked: None,
        };
        self.bytes = self.bytes.saturating_add(subscription.held(sid));
        self.by_sid.insert(sid.into(), subscription);
    }

    /// The client wants no more, or none after so many of all that came and will come. Whether it stays open for those.
    pub(crate) fn unsubscribe(&mut self, sid: &str, messages: Option<usize>) -> bool {
        let Some(subscription) = self.by_sid.get_mut(sid).filter(|open| open.revoked.is_none())
        else {
            return false;
        };
        match messages.filter(|messages| *messages > subscription.delivered) {
            Some(messages) => {
                subscription.at_most = Some(messages);
                true
            }
            None => {
                self.close(sid);
                false
            }
        }
    }

    /// A message came.
    pub(crate) fn delivered(&mut self, sid: &str) -> Delivery {
        let Some(subscription) = self.by_sid.get_mut(sid).filter(|open| open.revoked.is_none())
        else {
            return Delivery::Dropped;
        };
        subscription.delivered = subscription.delivered.saturating_add(1);
        if subscription.at_most == Some(subscription.delivered) {
            self.close(sid);
            return Delivery::Last;
        }
        Delivery::Passes
    }

    /// The client asks whether the broker is there.
    pub(crate) fn ping(&mut self) {
        self.pings = self.pings.saturating_add(1);
    }

    /// The broker is there: it has done all that was sent to it before the ping, and what it delivers comes after that.
    pub(crate) fn pong(&mut self) {
        let pongs = self.pongs.saturating_add(1).min(self.pings);
        self.pongs = pongs;
        if self.revoked == 0 {
            return;
        }
        let bytes = &mut self.bytes;
        self.by_sid.retain(|sid, open| {
            let over = open.revoked.is_some_and(|pings| pings < pongs);
            if over {
                *bytes = bytes.saturating_sub(open.held(sid));
            }
            !over
        });
        self.revoked = self.by_sid.values().filter(|open| open.revoked.is_some()).count();
    }

    fn close(&mut self, sid: &str) {
        if let Some(subscription) = self.by_sid.remove(sid) {
            self.bytes = self.bytes.saturating_sub(subscription.held(sid));
        }
    }

    /// Takes back what is not allowed any more, of the next few in turn.
    pub(crate) fn revoke(
        &mut self,
        mut may_stay: impl FnMut(&AccessRequest<'_>) -> bool,
    ) -> Vec<Revoked> {
        let judged = self.judged.take();
        let behind = judged.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut left = self.by_sid.range_mut::<str, _>((behind, Bound::Unbounded));
        let (mut last, mut taken) = (None, Vec::new());
        for (sid, open) in left.by_ref().take(TURN) {
            last = Some(sid);
            if open.revoked.is_some() || may_stay(&open.request()) {
                continue;
            }
            open.revoked = Some(self.pings);
            self.revoked += 1;
            let (subject, queue) = (open.subject.clone(), open.queue.clone());
            taken.push(Revoked { sid: sid.clone(), subject, queue });
        }
        self.judged = last.filter(|_| left.next().is_some()).cloned();
        taken
    }

    /// Whether some are left to be judged again.
    pub(crate) const fn has_unjudged(&self) -> bool {
        self.judged.is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;

    #[test]
    fn f12_policy_tightened_or_removed_many_subscriptions_are_judged_in_turns_each_once() {
        for many in [0, 1, TURN - 1, TURN, TURN + 1, 10_000] {
            let mut open = Subscriptions::new(20_000);
            for number in 0..many {
                open.open(&format!("s{number}"), &format!("orders.{number}"), None);
            }
            let (mut asked, mut taken, mut turns) = (0, 0, 0);
            loop {
                let before = asked;
                let revoked = open.revoke(|request| {
                    asked += 1;
                    request.topic.is_some_and(|topic| topic.ends_with('7'))
                });
                taken += revoked.len();
                turns += 1;
                assert!(asked - before <= TURN, "{many}: {} in one go", asked - before);
                if !open.has_unjudged() {
                    break;
                }
                // What comes and goes meanwhile costs nobody else its turn.
                open.unsubscribe(&format!("s{}", turns * 5), None);
                if turns == 2 {
                    open.open("zz", "new.7", None);
                }
            }
            assert!(turns <= many / TURN + 1, "{many}: {turns} turns");
            assert!(asked <= many + 1, "{many}: {asked} questions");
            let stays = open.by_sid.values().filter(|open| open.revoked.is_none());
            assert!(stays.clone().all(|open| open.subject.ends_with('7')), "{many}");
            assert_eq!(stays.count(), open.len(), "{many}");
            assert!(taken >= open.revoked, "{many}");
        }
    }
}
