//! How many sign-ins a client may complete: each is remembered for minutes and asks the provider, before anybody is known
//! ([1091]).
//!
//! [1091]: ../../../../../docs/decisions/1091-callbacks-are-limited-by-address.md

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rate_limit::{Buckets, KeyBudget, KeyDigests, Quota};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Sign-ins of one address at once, after a pause: the people of an office behind one, at nine in the morning.
const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();
/// And so many each second.
const EACH_SECOND: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Addresses that are told apart; the others share one bucket.
const MOST_ADDRESSES: usize = 10_000;
/// Codes that are redeemed at a time: half of what all calls to providers may be, so that refreshes and keys have theirs.
const MOST_CODES: usize = 32;
/// How long a code waits for its turn. A person waits.
const TURN: Duration = Duration::from_secs(5);

/// What clients may do before anybody knows them.
pub(super) struct CallbackLimit {
    buckets: Buckets,
    digests: KeyDigests,
    start: Instant,
    codes: Semaphore,
}

impl Default for CallbackLimit {
    fn default() -> Self {
        let quota = Quota { requests: EACH_SECOND, per: Duration::from_secs(1), burst: BURST };
        Self {
            buckets: Buckets::new(quota, Arc::new(KeyBudget::new(MOST_ADDRESSES))),
            digests: KeyDigests::default(),
            start: Instant::now(),
            codes: Semaphore::new(MOST_CODES),
        }
    }
}

impl CallbackLimit {
    /// Whether one more callback of this client is within its share; counted, if so.
    pub(super) fn admits(&self, client: IpAddr, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.start);
        let decision = match client.to_canonical() {
            IpAddr::V4(address) => self.buckets.decide(self.digests.of(&address.octets()), since),
            // The first 64 bits: one client has all of the others (RFC 4291 §2.5.1).
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64;
                self.buckets.decide(self.digests.of(&network.to_be_bytes()), since)
            }
        };
        decision.allowed
    }

    /// The right to redeem a code, for as long as it is held; `None`: too many others do.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        tokio::time::timeout(TURN, self.codes.acquire()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_address_has_its_share_and_takes_nobody_elses() {
        let limit = CallbackLimit::default();
        let start = limit.start;
        let of = |address: &str, at: Instant| limit.admits(address.parse().unwrap(), at);
        let admitted = (0..1_000).filter(|_| of("192.0.2.1", start)).count();
        assert_eq!(admitted, 100);
        let later = start + Duration::from_secs(1);
        for (row, address, at, expect) in [
            ("it is over", "192.0.2.1", start, false),
            ("as IPv6 has it", "::ffff:192.0.2.1", start, false),
            ("another", "192.0.2.2", start, true),
            ("a second later", "192.0.2.1", later, true),
        ] {
            assert_eq!(of(address, at), expect, "{row}");
        }
        let admitted = (0..1_000).filter(|n| of(&format!("2001:db8::{n:x}"), start)).count();
        assert_eq!(admitted, 100, "one network");
        assert!(of("2001:db8:0:1::1", start), "another one");
    }

    #[test]
    fn s48_floods_from_everywhere_are_bounded() {
        let limit = CallbackLimit::default();
        let (start, mut admitted) = (limit.start, 0);
        for number in 0..2 * u32::try_from(MOST_ADDRESSES).unwrap() {
            admitted += usize::from(limit.admits(IpAddr::V4(number.into()), start));
        }
        assert_eq!(limit.buckets.len(), MOST_ADDRESSES);
        assert_eq!(admitted, MOST_ADDRESSES + 100, "the others share one");
    }
}
