//! What ThreatPolicies find in requests, and what is done about it; see `docs/threats.md`.

pub mod detections;
