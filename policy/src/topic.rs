//! What may be asked of a message broker: the rules of TopicPolicies, and the decision about one operation.
//!
//! A rule = (any `from`) and (any `to`). A clause of `to` that allows covers *all* that an operation names; one that denies
//! or audits fires when *any* of it is touched (`docs/topic-policies.md`).

mod caller_index;
mod clause;
mod nearest_miss;
mod own_names;
mod table;
mod verdict;

use std::sync::Arc;

use crate::rule::Source;
use crate::yaml::SourcePosition;

pub(crate) use clause::{ClauseField, OperationSet, TopicClause};
pub(crate) use table::MessageCaller;
pub use table::TopicTable;
pub use verdict::{MessageDenyReason, MessageVerdict};

/// One rule of a TopicPolicy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TopicRule {
    /// Where it stands in its file.
    pub(crate) mark: SourcePosition,
    /// Who asks; empty: anybody.
    pub(crate) from: Vec<Source>,
    /// What is asked; empty (DENY and AUDIT alone): anything.
    pub(crate) to: Vec<TopicClause>,
}

/// The rules of a policy, shared by the tables that it is in.
pub(crate) type TopicRules = Vec<Arc<TopicRule>>;

#[cfg(test)]
mod tests;
