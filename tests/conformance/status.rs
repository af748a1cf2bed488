//! What is said of the rows' objects, as `postern-proxy check` says it.

use serde_json::Value;

/// The status of one object, or of one part of it.
pub(crate) struct Said {
    /// For people.
    what: String,
    /// What `$row` stands for.
    row: String,
    status: Value,
}

impl Said {
    /// The status of an object in the answer of `check --output json`; null where nothing is said of it.
    pub(crate) fn find(answer: &Value, row: &str, kind: &str, namespace: &str, name: &str) -> Self {
        let [namespace, name] = [namespace, name].map(|text| text.replace("$row", row));
        // Lists of objects, one for each kind or for several.
        let lists = answer["gateways"].as_object().into_iter().flat_map(|lists| lists.values());
        let mut all = lists.filter_map(Value::as_array).flatten();
        let is_meant = |object: &&Value| {
            object["kind"] == kind && object["namespace"] == namespace && object["name"] == name
        };
        let found = all.find(is_meant).map_or(Value::Null, |object| object["status"].clone());
        Self { what: format!("{kind} {namespace}/{name}"), row: row.to_owned(), status: found }
    }

    fn part(&self, what: &str, status: &Value) -> Self {
        let what = format!("{}{what}", self.what);
        Self { what, row: self.row.clone(), status: status.clone() }
    }

    /// Panics unless it has this condition; an empty reason stands for any.
    #[track_caller]
    pub(crate) fn says(&self, kind: &str, status: &str, reason: &str) {
        let found = self.list("conditions").iter().find(|condition| condition["type"] == kind);
        let found = found.unwrap_or_else(|| panic!("{}: no {kind} in {}", self.what, self.status));
        let is_right =
            found["status"] == status && (reason.is_empty() || found["reason"] == reason);
        assert!(is_right, "{}: expected {kind} {status} {reason}, got {found}", self.what);
    }

    /// Accepted, programmed, and where it refers to something, that is there.
    #[track_caller]
    pub(crate) fn is_good(&self) {
        self.says("Accepted", "True", "Accepted");
        self.says("Programmed", "True", "Programmed");
        if self.list("conditions").iter().any(|condition| condition["type"] == "ResolvedRefs") {
            self.says("ResolvedRefs", "True", "ResolvedRefs");
        }
    }

    /// The listener of this name, of a Gateway or a ListenerSet.
    #[track_caller]
    pub(crate) fn listener(&self, name: &str) -> Self {
        let found = self.list("listeners").iter().find(|listener| listener["name"] == name);
        let found =
            found.unwrap_or_else(|| panic!("{}: no listener {name}: {}", self.what, self.status));
        self.part(&format!(", listener {name}"), found)
    }

    /// How many routes a listener has.
    #[track_caller]
    pub(crate) fn attaches(&self, count: usize) {
        assert_eq!(self.status["attachedRoutes"], count, "{}: {}", self.what, self.status);
    }

    /// How many ListenerSets a Gateway has.
    #[track_caller]
    pub(crate) fn attaches_listener_sets(&self, count: usize) {
        assert_eq!(self.status["attachedListenerSets"], count, "{}: {}", self.what, self.status);
    }

    /// A listener takes routes of this kind.
    #[track_caller]
    pub(crate) fn has_kind(&self, kind: &str) {
        let has = self.list("supportedKinds").iter().any(|found| found["kind"] == kind);
        assert!(has, "{}: no {kind} in {}", self.what, self.status);
    }

    /// A listener takes no routes at all.
    #[track_caller]
    pub(crate) fn has_no_kinds(&self) {
        assert!(self.list("supportedKinds").is_empty(), "{}: {}", self.what, self.status);
    }

    /// What is said of a route at the parent of this name.
    #[track_caller]
    pub(crate) fn at(&self, parent: &str) -> Self {
        let (parents, parent) = (self.list("parents"), parent.replace("$row", &self.row));
        let found = parents.iter().find(|found| found["parentRef"]["name"] == parent);
        let found =
            found.unwrap_or_else(|| panic!("{}: no parent {parent}: {}", self.what, self.status));
        self.part(&format!(" at {parent}"), found)
    }

    /// How many parents a route has.
    #[track_caller]
    pub(crate) fn has_parents(&self, count: usize) {
        assert_eq!(self.list("parents").len(), count, "{}: {}", self.what, self.status);
    }

    /// What is said of a policy at its one gateway, or at the first of several, which say the same.
    #[track_caller]
    pub(crate) fn ancestor(&self) -> Self {
        let found = self.list("ancestors").first();
        let found = found.unwrap_or_else(|| panic!("{}: no ancestor: {}", self.what, self.status));
        self.part("", found)
    }

    fn list(&self, key: &str) -> &[Value] {
        self.status[key].as_array().map_or(&[], Vec::as_slice)
    }
}
