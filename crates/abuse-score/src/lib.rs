//! Which callers abuse a service: those who are mostly refused, and those who look for many things that are not there.
//!
//! There is no clock and no socket in it: the time since an arbitrary start is handed in, so that every decision can be
//! repeated. All threads share *one* state; a lock is held for the length of one look-up, and never over a wait.
//!
//! - **[`AbuseRules`]**: what is too much, in which time, and how long a block lasts.
//! - **[`Callers`]**: what each caller was answered, told apart by a [`KeyDigest`](rate_limit::KeyDigest), and who is
//!   blocked. Memory is bounded by a number of callers. Where there is no room, the caller with the least against it gives
//!   way; one that is blocked never does, so that no flood of new callers ends a block.
//!
//! ```
//! use std::time::Duration;
//! use abuse_score::{AbuseRules, Answer, Callers};
//! use rate_limit::KeyDigests;
//!
//! let rules = AbuseRules {
//!     window: Duration::from_secs(60),
//!     requests: 20,
//!     refused_percent: 50,
//!     distinct_missing: 30,
//!     block_for: Duration::from_secs(300),
//! };
//! let callers = Callers::new(rules, 1_000);
//! let digests = KeyDigests::default();
//! let (ann, bob) = (digests.of(b"ann"), digests.of(b"bob"));
//!
//! let now = Duration::from_secs(1);
//! for id in 0..40_u32 {
//!     let path = digests.of(&id.to_be_bytes());
//!     callers.answered(ann, Answer::Missing(path), now, || "ann");
//! }
//! let blocked = callers.blocked(ann, now).expect("looked for too much that is not there");
//! assert_eq!(blocked.left, Duration::from_secs(300));
//! assert!(callers.blocked(bob, now).is_none());
//! ```

mod callers;
mod distinct;
mod standing;
mod window;

pub use callers::{Callers, Sweep};
pub use standing::{AbuseRules, Answer, Block, BlockCause, Blocked, MOST_REPEATED};
