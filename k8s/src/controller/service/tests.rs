#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;
use crate::controller::index::ResourceDocument;

#[test]
fn routes_are_told_in_parts() {
    let check = |row: &str, sizes: &[usize], expect: &[usize]| {
        let document = |size: &usize| {
            let document =
                ResourceDocument { version: "1".into(), bytes: vec![b' '; *size - 1].into() };
            ("r".to_owned(), Arc::new(document))
        };
        let changed = sizes.iter().map(document).collect();
        let parts = parts(TypeDelta { changed, removed: vec!["gone".into()] }, 10);
        let counts: Vec<usize> = parts.iter().map(|part| part.changed.len()).collect();
        assert_eq!(counts, expect, "{row}");
        let removed: usize = parts.iter().map(|part| part.removed.len()).sum();
        assert_eq!((removed, parts[0].removed.len()), (1, 1), "{row}");
    };
    check("nothing but what is gone", &[], &[0]);
    check("all in one", &[4, 6], &[2]);
    check("one byte more", &[4, 7], &[1, 1]);
    check("one that is larger than a part", &[4, 30, 4], &[1, 1, 1]);
    check("the largest first", &[30, 4, 6, 1], &[1, 2, 1]);
}
