//! The two sides of re-authentication in place; what passes between them is in [`crate::connection::reauth`].

mod client;
mod server;

pub(crate) use client::keep;
pub(crate) use server::answer;
