//! Rate limits that many proxies share: each decision is made in a Redis, within a bounded time, or is an error that
//! says why not. What to do then is the caller's to say.
//!
//! One decision is one atomic script over one key, on the clock of the Redis, so that proxies need neither locks nor
//! clocks that agree. The rule is the one of [`rate_limit`]: GCRA. There is no HTTP and no policy in it.
//!
//! | step | file | bound |
//! |---|---|---|
//! | a caller's key as a key of the store | `bucket` | 128 bits of SHA-256: keys of callers stay out of the store |
//! | which node | `nodes` | one, or a Cluster's: 64 nodes, learned from redirects |
//! | whether it is asked at all | `circuit` | open after 5 failures in a row, tried once a second |
//! | on to its connection | `link`, in a `thread` of its own | 1,024 that wait; one more is an error at once |
//! | many at once on one connection | `link::pipeline` | 1,024 under way; silence ends it |
//! | the script | `script`, `gcra.lua` | one key, which expires when it says nothing more |
//! | its answer | `reply` | 4 KiB; what is none ends the connection |
//! | all of it, connecting included | [`GlobalLimits::decide`] | [`StoreSettings::timeout`], 20 ms |
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::num::NonZeroU32;
//! use std::time::Duration;
//! use global_limits::{GlobalLimits, Quota, StoreSettings};
//!
//! let limits = GlobalLimits::start(StoreSettings::new(vec!["redis.infra:6379".parse()?]))?;
//! let hundred = NonZeroU32::new(100).ok_or("zero")?;
//! let quota = Quota { requests: hundred, per: Duration::from_secs(60), burst: hundred };
//! match limits.decide(b"shop/per-caller spiffe://shop/ns/shop/sa/frontend", &quota).await {
//!     Ok(decision) if decision.allowed => println!("{} more", decision.remaining),
//!     Ok(decision) => println!("come back in {:?}", decision.retry_after),
//!     Err(error) => println!("decide without the store: {error}"),
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod bucket;
mod circuit;
mod error;
mod limits;
mod link;
mod nodes;
pub mod reply;
mod script;
mod settings;
mod standing;
mod thread;

pub use address::{AddressError, StoreAddress};
pub use error::{SettingsError, StoreError};
pub use limits::GlobalLimits;
pub use rate_limit::{Decision, Quota};
pub use settings::{Dial, Dialled, StoreSettings, StoreTls, plain_dial};
