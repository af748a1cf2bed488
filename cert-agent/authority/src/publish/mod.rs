//! What everybody may know: the bundle of our own trust domain ([`bundles`]) and those of others ([`federation`]).

pub mod bundles;
pub mod federation;
