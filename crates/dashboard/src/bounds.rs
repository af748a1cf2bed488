//! How much of everything the page shows. A person reads no more, and a browser draws no more; the pages behind it
//! (`/decisions`, `/services`, `/metrics`) have all of it.

use serde::{Deserialize, Serialize};

/// Groups of denials.
pub const DENIALS: usize = 100;
/// Different requests told of one group.
pub const EXAMPLES: usize = 5;
/// Pairs of caller and called.
pub const EDGES: usize = 200;
/// Reasons with their counts.
pub const REFUSALS: usize = 100;
/// Policies with their counts.
pub const POLICIES: usize = 200;
/// Certificates.
pub const CERTIFICATES: usize = 100;
/// Limits of callers.
pub const LIMITS: usize = 100;
/// Services.
pub const SERVICES: usize = 100;
/// Endpoints of one service.
pub const ENDPOINTS: usize = 20;
/// Routes with their counts.
pub const ROUTES: usize = 200;
/// Listeners of a gateway.
pub const LISTENERS: usize = 100;
/// Detections of threats.
pub const DETECTIONS: usize = 100;
/// Rules told of one detection.
pub const DETECTED_RULES: usize = 8;
/// Callers that are blocked.
pub const BLOCKS: usize = 100;
/// Bytes of one text; a path may have 64 KiB.
pub const TEXT: usize = 512;
/// Bytes of a question to `explain`; where it is longer, the page refers to `/decisions`.
pub const EXPLAIN_LINE: usize = 4096;

/// The first entries of a list, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// Those that are shown.
    pub shown: Vec<T>,
    /// How many were left out.
    pub left_out: usize,
}

impl<T> Listed<T> {
    /// The first `most` of these.
    #[must_use]
    pub fn first(most: usize, all: impl IntoIterator<Item = T>) -> Self {
        let mut all = all.into_iter();
        let shown = all.by_ref().take(most).collect();
        Self { shown, left_out: all.count() }
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { shown: Vec::new(), left_out: 0 }
    }
}

/// A text of at most [`TEXT`] bytes; a longer one ends in `…`.
#[must_use]
pub fn shortened(text: &str) -> String {
    if text.len() <= TEXT {
        return text.to_owned();
    }
    let end = (0..=TEXT - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        let check = |name: &str, text: &str, expect: &str| {
            let cut = shortened(text);
            assert_eq!(cut, expect, "{name}");
            assert!(cut.len() <= TEXT, "{name}: {}", cut.len());
        };
        check("short", "/cart", "/cart");
        check("as long as may be", &"x".repeat(TEXT), &"x".repeat(TEXT));
        check("longer", &"x".repeat(TEXT + 1), &format!("{}…", "x".repeat(TEXT - 3)));
        check("in a character", &"é".repeat(TEXT), &format!("{}…", "é".repeat((TEXT - 4) / 2)));
    }

    #[test]
    fn a_list_says_how_much_it_leaves_out() {
        assert_eq!(Listed::first(2, 0..5), Listed { shown: vec![0, 1], left_out: 3 });
        assert_eq!(Listed::first(2, 0..1), Listed { shown: vec![0], left_out: 0 });
    }
}
