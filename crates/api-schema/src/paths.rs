//! Path templates, and which of them a path is.
//!
//! Templates are kept as a tree of segments, so that a path costs its segments and not the number of templates. A
//! concrete segment goes before a templated one (OpenAPI, "Path Templating Matching"), one with more text around its
//! parameters before one with less. Nothing is read into a path: a slash at its end is an empty segment.

use std::collections::HashMap;

use crate::percent;

/// The most parameters of one segment.
const MAX_PARAMETERS: usize = 8;

/// The most segments of a template, and of a base path.
const MAX_SEGMENTS: usize = 64;
/// The longest template, in bytes.
const MAX_LENGTH: usize = 8 << 10;

/// A segment that has parameters: text, name, text, name, …, text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// The text before the first parameter.
    before: Box<str>,
    /// Each parameter's name, and the text behind it.
    parameters: Vec<(Box<str>, Box<str>)>,
}

/// A segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Text(Box<str>),
    Pattern(Pattern),
}

/// A path template, read.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    segments: Vec<Segment>,
}

impl Template {
    /// Reads a template, which begins with a slash.
    pub(crate) fn read(template: &str) -> Result<Self, String> {
        let path = template.strip_prefix('/').ok_or("a path that does not begin with `/`")?;
        if path.contains(['?', '#']) {
            return Err("a path with a query or a fragment".to_owned());
        }
        // Each segment is a step down a tree, and steps down are calls within calls.
        if path.len() > MAX_LENGTH || path.split('/').nth(MAX_SEGMENTS).is_some() {
            return Err(format!("a path longer than 8 KiB or {MAX_SEGMENTS} segments"));
        }
        let segments = path.split('/').map(read_segment).collect::<Result<Vec<_>, _>>()?;
        let template = Self { segments };
        let names: Vec<&str> = template.parameters().collect();
        for (index, name) in names.iter().enumerate() {
            if names.iter().take(index).any(|other| other == name) {
                return Err(format!("the parameter `{name}` twice in one path"));
            }
        }
        Ok(template)
    }

    /// The names of its parameters, in their order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments
            .iter()
            .flat_map(|segment| match segment {
                Segment::Text(_) => [].iter(),
                Segment::Pattern(pattern) => pattern.parameters.iter(),
            })
            .map(|(name, _)| &**name)
    }
}

fn read_segment(segment: &str) -> Result<Segment, String> {
    let mut parts = segment.split('{');
    let before = literal(parts.next().unwrap_or_default())?;
    let mut parameters: Vec<(Box<str>, Box<str>)> = Vec::new();
    for part in parts {
        let (name, behind) = part.split_once('}').ok_or("a `{` without its `}`")?;
        if name.is_empty() {
            return Err("a parameter without a name".to_owned());
        }
        if parameters.last().is_some_and(|(_, behind)| behind.is_empty()) {
            return Err("two parameters with nothing between them".to_owned());
        }
        parameters.push((name.into(), literal(behind)?));
    }
    if parameters.len() > MAX_PARAMETERS {
        return Err(format!("more than {MAX_PARAMETERS} parameters in one segment"));
    }
    if parameters.is_empty() {
        return Ok(Segment::Text(before));
    }
    Ok(Segment::Pattern(Pattern { before, parameters }))
}

/// Text of a template in the spelling of a canonical path.
fn literal(text: &str) -> Result<Box<str>, String> {
    if text.contains('}') {
        return Err("a `}` without its `{`".to_owned());
    }
    let text = percent::decode(text).ok_or("a path whose escapes are broken")?;
    if text.contains('/') {
        return Err("an escaped slash".to_owned());
    }
    Ok(percent::encode(&text, percent::of_segment).into())
}

impl Pattern {
    /// The parameters' values; none of them is empty, and each ends where the text behind it first begins.
    fn values<'d, 'p>(&'d self, segment: &'p str, found: &mut Vec<(&'d str, &'p str)>) -> bool {
        let Some(mut rest) = segment.strip_prefix(&*self.before) else {
            return false;
        };
        for (index, (name, behind)) in self.parameters.iter().enumerate() {
            let last = index + 1 == self.parameters.len();
            let end = if last {
                rest.strip_suffix(&**behind).map(str::len)
            } else {
                // At least one character is the value.
                rest.char_indices()
                    .nth(1)
                    .and_then(|(first, _)| rest.get(first..)?.find(&**behind).map(|at| at + first))
            };
            let Some(value) = end.and_then(|end| rest.get(..end)).filter(|value| !value.is_empty())
            else {
                return false;
            };
            found.push((name, value));
            rest = rest.get(value.len() + behind.len()..).unwrap_or_default();
        }
        true
    }

    /// The same text at the same places: such templates mean the same paths.
    fn like(&self, other: &Self) -> bool {
        self.before == other.before
            && self.parameters.len() == other.parameters.len()
            && self.parameters.iter().zip(&other.parameters).all(|((_, a), (_, b))| a == b)
    }

    fn length_of_text(&self) -> usize {
        self.before.len() + self.parameters.iter().map(|(_, behind)| behind.len()).sum::<usize>()
    }
}

/// All templates.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    texts: HashMap<Box<str>, Node>,
    patterns: Vec<(Pattern, Node)>,
    /// What the templates that end here mean, by their place among all paths.
    end: Option<usize>,
}

impl Paths {
    /// Adds a template; an error when another one means the same paths.
    pub(crate) fn add(
        &mut self,
        base: &Template,
        template: &Template,
        meaning: usize,
    ) -> Result<(), String> {
        let mut node = &mut self.root;
        // A base path ends without a slash; `/` alone is one empty segment, and no base at all.
        let base = base
            .segments
            .iter()
            .filter(|segment| !matches!(segment, Segment::Text(text) if text.is_empty()));
        for segment in base.chain(&template.segments) {
            node = node.below(segment);
        }
        if node.end.is_some_and(|other| other != meaning) {
            return Err("another path of the description means the same".to_owned());
        }
        node.end = Some(meaning);
        Ok(())
    }

    /// What a path means, and the values of its parameters.
    pub(crate) fn find<'d, 'p>(
        &'d self,
        path: &'p str,
    ) -> Option<(usize, Vec<(&'d str, &'p str)>)> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let mut values = Vec::new();
        self.root.find(&segments, &mut values).map(|meaning| (meaning, values))
    }
}

impl Node {
    fn below(&mut self, segment: &Segment) -> &mut Self {
        match segment {
            Segment::Text(text) => self.texts.entry(text.clone()).or_default(),
            Segment::Pattern(pattern) => {
                // Names may differ from template to template, and are the same on the way to one end.
                let known = self.patterns.iter().position(|(known, _)| known == pattern);
                let at = known.unwrap_or_else(|| {
                    let length = pattern.length_of_text();
                    let at = self
                        .patterns
                        .partition_point(|(other, _)| other.length_of_text() >= length);
                    self.patterns.insert(at, (pattern.clone(), Self::default()));
                    at
                });
                &mut self.patterns[at].1
            }
        }
    }

    /// A node is met at one place of the path alone, so that a path costs at most the tree.
    fn find<'d, 'p>(
        &'d self,
        segments: &[&'p str],
        values: &mut Vec<(&'d str, &'p str)>,
    ) -> Option<usize> {
        let Some((segment, rest)) = segments.split_first() else {
            return self.end;
        };
        if let Some(found) = self.texts.get(*segment).and_then(|node| node.find(rest, values)) {
            return Some(found);
        }
        for (pattern, node) in &self.patterns {
            let known = values.len();
            if pattern.values(segment, values)
                && let Some(found) = node.find(rest, values)
            {
                return Some(found);
            }
            values.truncate(known);
        }
        None
    }

    /// Two ends whose templates differ in names alone.
    fn twins(&self) -> bool {
        let like = self.patterns.iter().enumerate().any(|(index, (pattern, node))| {
            self.patterns
                .iter()
                .take(index)
                .any(|(other, twin)| pattern.like(other) && node.shares_end(twin))
        });
        like || self.texts.values().any(Self::twins)
            || self.patterns.iter().any(|(_, node)| node.twins())
    }

    fn shares_end(&self, other: &Self) -> bool {
        self.end.is_some() && other.end.is_some()
            || self
                .texts
                .iter()
                .any(|(text, node)| other.texts.get(text).is_some_and(|twin| node.shares_end(twin)))
            || self.patterns.iter().any(|(pattern, node)| {
                other
                    .patterns
                    .iter()
                    .any(|(twin, below)| pattern.like(twin) && node.shares_end(below))
            })
    }
}

impl Paths {
    /// Whether two templates differ in the names of their parameters alone, which OpenAPI forbids.
    pub(crate) fn has_twins(&self) -> bool {
        self.root.twins()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    type Row<'a> = (&'a str, Option<(usize, &'a [(&'a str, &'a str)])>);

    fn paths(templates: &[&str]) -> Paths {
        let mut paths = Paths::default();
        for (index, template) in templates.iter().enumerate() {
            let base = Template::read("/v1").unwrap();
            paths.add(&base, &Template::read(template).unwrap(), index).unwrap();
        }
        paths
    }

    #[test]
    fn a_path_is_the_most_concrete_of_its_templates() {
        let paths = paths(&[
            "/pets",
            "/pets/mine",
            "/pets/{id}",
            "/pets/{id}.json",
            "/pets/{id}/owner",
            "/files/{name}.{kind}",
            "/pets/{id}:feed",
            "/{any}/mine/x",
            "/caf%C3%A9/a b",
            "/",
        ]);
        let rows: &[Row<'_>] = &[
            ("/v1/pets", Some((0, &[]))),
            ("/v1/pets/mine", Some((1, &[]))),
            ("/v1/pets/7", Some((2, &[("id", "7")]))),
            ("/v1/pets/a%2Fb", Some((2, &[("id", "a%2Fb")]))),
            ("/v1/pets/7.json", Some((3, &[("id", "7")]))),
            ("/v1/pets/7:feed", Some((6, &[("id", "7")]))),
            ("/v1/pets/mine/owner", Some((4, &[("id", "mine")]))),
            ("/v1/pets/mine/x", Some((7, &[("any", "pets")]))),
            ("/v1/files/a.tar.gz", Some((5, &[("name", "a"), ("kind", "tar.gz")]))),
            ("/v1/files/.gz", None),
            ("/v1/files/é.é", Some((5, &[("name", "é"), ("kind", "é")]))),
            ("/v1/caf%C3%A9/a%20b", Some((8, &[]))),
            ("/v1/", Some((9, &[]))),
            ("/v1", None),
            ("/pets", None),
            ("/v1/pets/", None),
            ("/v1//pets", None),
            ("/v1/Pets", None),
            ("v1/pets", None),
            ("", None),
            ("*", None),
        ];
        for (path, expect) in rows {
            let found = paths.find(path);
            let expect = expect.map(|(meaning, values)| (meaning, values.to_vec()));
            assert_eq!(found, expect, "{path}");
        }
    }

    #[test]
    fn templates_that_mean_the_same_are_told() {
        assert!(paths(&["/a/{id}", "/a/{name}"]).has_twins());
        assert!(paths(&["/a/{id}/b/{c}", "/a/{name}/b/{d}"]).has_twins());
        assert!(!paths(&["/a/{id}/b", "/a/{name}/c", "/b/{id}", "/a/{id}.x"]).has_twins());
    }

    #[test]
    fn templates_have_an_end() {
        for (row, segments, expect) in [
            ("the most segments", MAX_SEGMENTS, true),
            ("one more", MAX_SEGMENTS + 1, false),
            ("as many as a description has room for", 500_000, false),
        ] {
            assert_eq!(Template::read(&"/a".repeat(segments)).is_ok(), expect, "{row}");
        }
        assert!(Template::read(&format!("/{}", "a".repeat(MAX_LENGTH + 1))).is_err());
    }

    #[test]
    fn templates_that_are_none() {
        for template in ["a", "/{", "/}", "/{}", "/{a}{b}", "/{a}/{a}", "/a?b", "/%2F", "/%zz"] {
            assert!(Template::read(template).is_err(), "{template}");
        }
    }
}
