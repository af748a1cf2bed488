//! Whether a request looks like an attack: a rule set in the field's own language (SecLang), read strictly and walked
//! over one request at a time. Pure but for the reading of rule files: no socket, no clock, no task.
//!
//! ```text
//! RuleSet::builtin() ─┐
//! RuleSet::read(path) ┴─► RuleSet ── inspect(request, settings) ──► Inspection { score, matches, incomplete }
//! ```
//!
//! What follows from a score (to log it, to refuse the request) is the caller's to decide.

mod builtin;
mod facts;
mod inspection;
mod operator;
mod pipeline;
mod problem;
mod read;
mod request;
mod rule;
mod rule_set;
mod template;
mod transform;
mod walk;

pub use inspection::{Inspection, NotRead, RuleGroup, RuleMatch, Severity};
pub use problem::RuleSetProblem;
pub use request::{InspectedRequest, InspectionSettings, RuleExclusion};
pub use rule_set::RuleSet;
