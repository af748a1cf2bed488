//! Rate limits that many proxies share: each decision is made in a Redis, within a bounded time, or is an error that
//! says why not. What to do then is the caller's to say.
//!
//! One decision is one atomic script over one key, on the clock of the Redis, so that proxies need neither locks nor
//! clocks that agree. The rule is the one of [`rate_limit`]: GCRA. There is no HTTP and no policy in it.
//!
//! | step | file | bound |
//! |---|---|---|
//! | a caller's key as a key of the store | `bucket` | 128 bits of SHA-256: keys of callers stay out of the store |
//! | the script | `script`, `gcra.lua` | one key, which expires when it says nothing more |
//! | to the store and back, connecting included | [`redis_link`] | [`StoreSettings::timeout`], 20 ms |
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

mod bucket;
mod limits;
mod script;

pub use limits::GlobalLimits;
pub use rate_limit::{Decision, Quota};
pub use redis_link::{
    AddressError, Dial, Dialled, SettingsError, StoreAddress, StoreError, StoreSettings, StoreTls,
    plain_dial,
};
