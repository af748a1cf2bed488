//! Paths as a tree of segments, and the templates that stand for it.

use std::collections::{BTreeMap, BTreeSet};

use policy::resources::{check_method_pattern, check_path_pattern};

use super::identifier::is_identifier;

/// What stands for any one segment in a pattern.
const ANY: &str = "{*}";

/// True when some pattern stands for the path, and one for the method.
pub(super) fn can_be_named(method: &str, path: &str) -> bool {
    check_path_pattern(&template(path)).is_ok() && check_method_pattern(method).is_ok()
}

/// The path with identifiers replaced.
fn template(path: &str) -> String {
    let segments =
        path.split('/').map(|segment| if is_identifier(segment) { ANY } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

/// The paths of one caller on one port, each with the methods it was called by.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    methods: BTreeSet<String>,
    children: BTreeMap<String, PathTree>,
}

impl PathTree {
    pub(super) fn add(&mut self, path: &str, method: &str) {
        let template = template(path);
        let segments = template.split('/').skip(1);
        let node = segments
            .fold(self, |node, segment| node.children.entry(segment.to_owned()).or_default());
        node.methods.insert(method.to_owned());
    }

    /// Puts `{*}` for more than `most` different segments at one place, where what follows them is
    /// alike. Never for the first segment: that is where APIs differ. gRPC paths stay as they are.
    pub(super) fn generalise(&mut self, most: usize) {
        for (segment, child) in &mut self.children {
            let is_grpc = segment.contains('.') && child.children.values().all(Self::is_leaf);
            if !is_grpc {
                child.generalise_below(most);
                child.merge_alike(most);
            }
        }
    }

    fn generalise_below(&mut self, most: usize) {
        for child in self.children.values_mut() {
            child.generalise_below(most);
            child.merge_alike(most);
        }
    }

    fn merge_alike(&mut self, most: usize) {
        let mut kinds: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
        for (segment, child) in self.children.iter().filter(|(segment, _)| !segment.is_empty()) {
            kinds
                .entry(child.children.keys().cloned().collect())
                .or_default()
                .push(segment.clone());
        }
        for alike in kinds.into_values().filter(|alike| alike.len() > most) {
            let merged: Vec<Self> =
                alike.iter().filter_map(|segment| self.children.remove(segment)).collect();
            let any = self.children.entry(ANY.to_owned()).or_default();
            merged.into_iter().for_each(|child| any.merge(child));
        }
    }

    fn merge(&mut self, other: Self) {
        self.methods.extend(other.methods);
        for (segment, child) in other.children {
            self.children.entry(segment).or_default().merge(child);
        }
    }

    fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }

    /// The templates, grouped by the methods they are called by.
    pub(super) fn by_methods(&self) -> BTreeMap<BTreeSet<String>, BTreeSet<String>> {
        let mut groups = BTreeMap::new();
        self.collect("", &mut groups);
        groups
    }

    fn collect(&self, path: &str, groups: &mut BTreeMap<BTreeSet<String>, BTreeSet<String>>) {
        if !self.methods.is_empty() {
            groups.entry(self.methods.clone()).or_default().insert(path.to_owned());
        }
        for (segment, child) in &self.children {
            child.collect(&format!("{path}/{segment}"), groups);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(most: usize, calls: &[&str], expect: &[&str]) {
        let mut tree = PathTree::default();
        for call in calls {
            let (method, path) = call.split_once(' ').unwrap_or_default();
            tree.add(path, method);
        }
        tree.generalise(most);
        let join = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(",");
        let found: Vec<String> = tree
            .by_methods()
            .iter()
            .map(|(methods, paths)| format!("{} {}", join(methods), join(paths)))
            .collect();
        assert_eq!(found, expect, "{calls:?}");
    }

    #[test]
    fn templates() {
        check(8, &["GET /", "GET /a", "POST /a"], &["GET /", "GET,POST /a"]);
        check(8, &["GET /cart/1", "GET /cart/2", "GET /cart/x"], &["GET /cart/x,/cart/{*}"]);
        check(8, &["GET /a/", "GET /a"], &["GET /a,/a/"]);
        let users = ["GET /u/ann", "GET /u/bob", "PUT /u/eve"];
        check(2, &users, &["GET,PUT /u/{*}"]);
        check(3, &users, &["GET /u/ann,/u/bob", "PUT /u/eve"]);
        check(2, &["GET /a", "GET /b", "GET /c", "GET /d"], &["GET /a,/b,/c,/d"]);
        check(
            2,
            &["GET /u/ann/cart", "GET /u/bob/cart", "PUT /u/eve/cart", "GET /u/list"],
            &["GET /u/list", "GET,PUT /u/{*}/cart"],
        );
        check(
            1,
            &["POST /shop.v1.Pay/Charge", "POST /shop.v1.Pay/Refund", "POST /shop.v1.Pay/Follow"],
            &["POST /shop.v1.Pay/Charge,/shop.v1.Pay/Follow,/shop.v1.Pay/Refund"],
        );
    }

    #[test]
    fn s12_paths_that_no_pattern_can_name() {
        for (path, expect) in [
            ("/a", true),
            ("/a*b", true),
            ("/a//b", false),
            ("/a/%2Fb", false),
            ("/a%2Fb", true),
            ("/a/{x}/b", true),
        ] {
            assert_eq!(can_be_named("GET", path), expect, "{path}");
        }
        assert!(!can_be_named("get", "/a"));
    }
}
