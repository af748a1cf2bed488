//! Whether one more request of a caller is within its limit.
//!
//! There is no clock and no socket in it: the time since an arbitrary start is handed in, so that every decision can be
//! repeated. All threads share *one* state; a lock is held for the length of one look-up, and never over a wait.
//!
//! - **[`Quota`]**: how many requests in which time, and how many at once. The rule is GCRA (the generic cell rate
//!   algorithm, ITU-T I.371): a bucket of `burst` that is filled again evenly, kept as one number.
//! - **[`Buckets`]**: one bucket a caller, told apart by a [`KeyDigest`]. What they take of memory is bounded by a
//!   [`KeyBudget`]: a full bucket says nothing and is dropped; where there is no room for another, all callers that are
//!   new share *one* bucket. A known caller keeps its own. A flood of callers never gets a fresh bucket each.
//! - **[`Underway`]**: how many requests of a caller may be under way at once.
//!
//! ```
//! use std::num::NonZeroU32;
//! use std::sync::Arc;
//! use std::time::Duration;
//! use rate_limit::{Buckets, KeyBudget, KeyDigests, Quota};
//!
//! let two = NonZeroU32::new(2).expect("not zero");
//! let quota = Quota { requests: two, per: Duration::from_secs(60), burst: two };
//! let buckets = Buckets::new(quota, Arc::new(KeyBudget::new(1_000)));
//! let digests = KeyDigests::default();
//!
//! let now = Duration::from_secs(1);
//! let ann = digests.of(b"ann");
//! assert!(buckets.decide(ann, now).allowed);
//! assert!(buckets.decide(ann, now).allowed);
//! let refused = buckets.decide(ann, now);
//! assert!(!refused.allowed);
//! assert_eq!(refused.retry_after, Duration::from_secs(30));
//! assert!(buckets.decide(digests.of(b"bob"), now).allowed);
//! ```

mod buckets;
mod budget;
mod digest;
mod quota;
mod underway;

pub use buckets::Buckets;
pub use budget::KeyBudget;
pub use digest::{ByDigest, DigestHasher, KeyDigest, KeyDigests};
pub use quota::{Decision, Quota};
pub use underway::{Underway, UnderwayGuard};
