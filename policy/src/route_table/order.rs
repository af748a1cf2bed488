//! Which of two rules comes first where both would take a request.
//!
//! Gateway API: the more specific host, an exact path, the longest prefix, a method, the most header fields, the most
//! parameters, the oldest route, the first by `namespace/name`, the first rule. Ours: regular expressions stand below
//! prefixes, the longest first; routes without a timestamp (of files) after those with one.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::gateway::ObjectName;
use crate::route::{PathMatch, Route, RouteMatch, TextMatch};

/// The part of the order that the index does not keep by itself: among matches of one host and one path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence {
    path: PathPrecedence,
    without_method: bool,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    age: Arc<ObjectAge>,
    /// The place of the rule in its route.
    rule: usize,
    /// The place of the match in its rule: of no consequence, and the same on every run.
    at: usize,
}

/// Which of two objects is the older one: those without a timestamp (of files) after those with one, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ObjectAge {
    without_timestamp: bool,
    created: Option<Arc<str>>,
    namespace: Arc<str>,
    name: Arc<str>,
}

/// Paths in order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathPrecedence {
    Exact,
    Prefix(Reverse<usize>),
    Pattern(Reverse<usize>),
    /// The longest service, then the longest method.
    Grpc(Reverse<usize>, Reverse<usize>),
}

impl ObjectAge {
    pub(super) fn of(route: &Route) -> Self {
        Self {
            without_timestamp: route.created.is_none(),
            created: route.created.clone(),
            namespace: Arc::clone(&route.id.namespace),
            name: Arc::clone(&route.id.name),
        }
    }

    /// Of an object that is no route.
    pub(crate) fn new(created: Option<&Arc<str>>, id: &ObjectName) -> Self {
        Self {
            without_timestamp: created.is_none(),
            created: created.cloned(),
            namespace: Arc::clone(&id.namespace),
            name: Arc::clone(&id.name),
        }
    }
}

impl Precedence {
    pub(super) fn new(
        condition: &RouteMatch,
        age: &Arc<ObjectAge>,
        rule: usize,
        at: usize,
    ) -> Self {
        Self {
            path: path(&condition.path),
            without_method: condition.method.is_none(),
            headers: Reverse(condition.headers.len()),
            query: Reverse(condition.query.len()),
            age: Arc::clone(age),
            rule,
            at,
        }
    }

    /// Of a rule that takes whole connections.
    pub(super) fn of_connections(age: &Arc<ObjectAge>, rule: usize) -> Self {
        Self {
            path: PathPrecedence::Exact,
            without_method: true,
            headers: Reverse(0),
            query: Reverse(0),
            age: Arc::clone(age),
            rule,
            at: 0,
        }
    }
}

fn path(path: &PathMatch) -> PathPrecedence {
    match path {
        PathMatch::Exact(_) => PathPrecedence::Exact,
        PathMatch::Prefix(prefix) => PathPrecedence::Prefix(Reverse(prefix.len())),
        PathMatch::Pattern(pattern) => PathPrecedence::Pattern(Reverse(pattern.as_str().len())),
        PathMatch::Grpc { service, method } => {
            let length =
                |text: &Option<TextMatch>| Reverse(text.as_ref().map_or(0, TextMatch::written_len));
            PathPrecedence::Grpc(length(service), length(method))
        }
    }
}
