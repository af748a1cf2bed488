//! A connection to a Redis, or to the nodes of a Redis Cluster: a command is answered within a bounded time, or there is
//! an error that says why not. What a command means, and what to do without an answer, is the caller's to say.
//!
//! | step | file | bound |
//! |---|---|---|
//! | the slot of a key | `slot` | – |
//! | which node | `nodes` | one, or a Cluster's: 64 nodes, learned from redirects |
//! | whether it is asked at all | `circuit` | open after 5 failures in a row, tried once a second |
//! | on to its connection | `link`, in a `thread` of its own | 1,024 that wait; one more is an error at once |
//! | many at once on one connection | `link::pipeline` | 1,024 under way; silence ends it |
//! | a command, a script by its name or with its text | `command` | – |
//! | its answer | `reply` | 4 KiB, a string 64 KiB; what is none ends the connection |
//! | all of it, connecting and redirects included | [`RedisLink::ask`] | [`StoreSettings::timeout`], 20 ms |
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use redis_link::{Command, RedisLink, Slot, StoreSettings, reply::Reply};
//!
//! let settings = StoreSettings::new(vec!["redis.infra:6379".parse()?]);
//! // The probe: what has to work before the store counts as there.
//! let link = RedisLink::start(settings, "visits", &Command::Plain(&[b"INCR", b"probe"]))?;
//! let visits = Command::Plain(&[b"INCR", b"visits"]);
//! let number = |reply| match reply {
//!     Reply::Numbers(numbers) => numbers.first().copied(),
//!     _ => None,
//! };
//! match link.ask(Slot::of(b"visits"), visits, number).await {
//!     Ok(visits) => println!("{visits} so far"),
//!     Err(error) => println!("go on without it: {error}"),
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod circuit;
mod command;
mod error;
mod link;
mod nodes;
mod redis_link;
pub mod reply;
mod settings;
mod slot;
mod standing;
mod thread;

pub use address::{AddressError, StoreAddress};
pub use command::{Command, Script};
pub use error::{SettingsError, StoreError};
pub use redis_link::RedisLink;
pub use settings::{Dial, Dialled, StoreSettings, StoreTls, plain_dial};
pub use slot::Slot;
