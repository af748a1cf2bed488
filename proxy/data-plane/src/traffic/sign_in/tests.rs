//! A browser, a gateway and a provider in one process: what a SignIn does with requests, whole.
#![allow(clippy::unwrap_used, clippy::panic)]

mod logouts;
mod provider;
mod scene;
mod sessions;
mod sign_ins;
