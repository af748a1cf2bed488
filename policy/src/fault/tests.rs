//! Which requests a fault takes.
