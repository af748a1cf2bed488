//! The companion cert agent and the authority of Postern.
//!
//! Two programs, with a wall between them: [`agent`] makes keys and asks for certificates,
//! [`authority`] attests who asks and signs. They share the messages they exchange ([`api`]) and
//! nothing else, so that nothing of the signing side can be linked into a workload's pod by
//! accident. A test checks the wall.

pub mod agent;
pub mod api;
pub mod authority;
pub mod log;
pub mod page;
pub mod program;
