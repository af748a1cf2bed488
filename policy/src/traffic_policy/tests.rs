//! Which rule holds for a call.
