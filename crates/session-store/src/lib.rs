//! What the proxies of a gateway remember together of users who signed in: sealed sessions, who refreshes one just now,
//! which ones have ended early, and which single-use values were used. In the memory of one process, or in a Redis.
//!
//! Sessions come sealed and are never looked into: who reads the store learns when people are signed in, not who they
//! are, and who writes into it makes no session. There is no HTTP in it, and no OpenID Connect.
//!
//! | what | file | bound |
//! |---|---|---|
//! | keys: 32 bytes, or a digest of what names something | `key` | fixed |
//! | values that end by themselves, the next to end first | `ending` | as many as its owner says |
//! | sessions, leases and single-use values of one process | `memory` | [`MemoryBounds`]; full is an error, nothing is forgotten early |
//! | revocations, known without asking anybody | `revoked` | [`MOST_REVOKED`]: the next to end goes when it is full |
//! | a right to refresh | [`Lease`] | ends by itself |
//! | the same in a Redis, for many processes | `redis`, over [`redis_link`] | [`StoreSettings::timeout`] for each answer |
//! | what others revoked | `redis::follow`, [`page`] | known within two seconds; 800 at a time |
//! | all of them | [`SessionStore`] | – |

mod ending;
mod error;
mod key;
mod lease;
mod memory;
mod redis;
mod revoked;
mod store;

pub use error::SessionStoreError;
pub use key::{RevokedKey, StoreKey};
pub use lease::Lease;
pub use memory::MemoryBounds;
pub use redis::page;
pub use redis_link::{Dial, SettingsError, StoreAddress, StoreError, StoreSettings, StoreTls};
pub use revoked::{MOST_REVOKED, Revocation};
pub use store::{MOST_SEALED, SessionStore};
