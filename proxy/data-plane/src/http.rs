//! HTTP, one message at a time: what is let in, how it is served and sent. Knows nothing of policies, services or workers.

mod api_refusal;
mod block_refusal;
pub mod body;
pub mod error;
mod field_set;
pub mod gate;
pub(crate) mod grpc_channel;
pub mod h2_client;
pub mod h2_connect;
pub(crate) mod h2_pool;
mod h2_send;
pub(crate) mod head;
pub mod headers;
pub mod http1_client;
pub(crate) mod interim;
pub(crate) mod keep_alive;
mod limit_refusal;
pub mod original_version;
pub(crate) mod query;
pub mod serve;
pub(crate) mod shared_connection;
mod sign_in_refusal;
mod threat_refusal;
mod token_refusal;
pub mod trace_headers;
pub mod tunnel;

pub use api_refusal::{ApiRefusal, ApiRefusalKind};
pub use block_refusal::BlockRefusal;
pub(crate) use h2_send::send_body;
pub use limit_refusal::{LimitRefusal, LimitRefusalKind, whole_seconds};
pub use sign_in_refusal::SignInRefusal;
pub use threat_refusal::ThreatRefusal;
pub use token_refusal::TokenRefusal;
