//! Which rule takes what.
