//! Where the fields of a document stand in its file.

use policy::yaml::{self, NodeKind, YamlNode};

/// The nodes of one document with their lines.
pub(crate) struct SourceLines {
    root: Option<YamlNode>,
    /// The line of the file on which the document's text begins, from 1.
    begins: usize,
}

impl SourceLines {
    /// Of a document's text. One that the resources' reader takes no place of (it has tighter limits) has its beginning
    /// alone.
    pub(crate) fn of(text: &str, begins: usize) -> Self {
        let documents = yaml::read(&"".into(), text.as_bytes(), &mut Vec::new());
        let root = documents.into_iter().find_map(|document| document.root);
        Self { root, begins }
    }

    /// The line of a field (a JSON pointer, RFC 6901), or of the nearest thing around it that is written.
    pub(crate) fn line(&self, pointer: &str) -> usize {
        let Some(root) = &self.root else { return self.begins };
        let (mut node, mut line) = (root, root.mark.line);
        for key in pointer.split('/').skip(1) {
            let key = key.replace("~1", "/").replace("~0", "~");
            let below = match &node.kind {
                NodeKind::Map(entries) => {
                    let entry = entries.iter().find(|(known, _)| *known.text == *key);
                    entry.map(|(known, value)| (known.mark.line, value))
                }
                NodeKind::List(items) => {
                    let item = key.parse().ok().and_then(|index: usize| items.get(index));
                    item.map(|item| (item.mark.line, item))
                }
                NodeKind::Scalar { .. } => None,
            };
            let Some(below) = below else { break };
            (line, node) = below;
        }
        let below = usize::try_from(line).unwrap_or_default().saturating_sub(1);
        self.begins.saturating_add(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_not_of_a_document() {
        let text = "---\n# a comment\nkind: Pod\nspec:\n  containers:\n  - image: a\n    ports:\n    - {name: x,\n       protocol: TCP}\n  - *again\n";
        let places = SourceLines::of(&text.replace("*again", "name: b"), 41);
        for (pointer, line) in [
            ("", 43),
            ("/kind", 43),
            ("/spec/containers", 45),
            ("/spec/containers/0", 46),
            ("/spec/containers/0/name", 46),
            ("/spec/containers/0/ports/0/protocol", 49),
            ("/spec/containers/1/name", 50),
            ("/spec/containers/7", 45),
            ("/nothing/like/it", 43),
        ] {
            assert_eq!(places.line(pointer), line, "{pointer}");
        }
        assert_eq!(SourceLines::of(text, 41).line("/kind"), 41, "an alias to nothing");
    }
}
