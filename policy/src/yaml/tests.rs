//! Tree and reader together: what is taken, and what is said about the rest.
#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::yaml;

/// Reads `{port: 1..65535, name: text, on: boolean, kind: a|b, list: [text]}` and gives back the diagnostics as lines.
fn diagnostics(text: &[u8]) -> String {
    let file: Arc<str> = "f.yaml".into();
    let mut found = Vec::new();
    let documents = yaml::read(&file, text, &mut found);
    let mut reader = YamlReader::new(file);
    for document in &documents {
        let Some(root) = &document.root else { continue };
        let Some(mut map) = reader.mapping(YamlValue { node: root, name: "" }) else { continue };
        if let Some(value) = map.require(&mut reader, "port") {
            reader.port(value);
        }
        if let Some(value) = map.take("name") {
            reader.text(value);
        }
        if let Some(value) = map.take("on") {
            reader.boolean(value);
        }
        if let Some(value) = map.take("kind") {
            reader.choice(value, &[("STRICT", 1), ("DISABLE", 2)]);
        }
        if let Some(items) = map.take("list").and_then(|value| reader.filled_list(value, 2)) {
            for item in items {
                reader.text(item);
            }
        }
        map.finish(&mut reader);
    }
    found.extend(reader.into_diagnostics());
    found.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(diagnostics(text.as_bytes()), expect, "{text}");
}

#[test]
fn good_files() {
    for text in [
        "port: 8080\nname: cart\non: true\nkind: STRICT\nlist: [a, b]\n",
        "port: 8080\r\nname: \"8080\"\r\n",
        "\u{feff}port: 1\n",
        "# nothing\n",
        "---\n---\nport: 1\n...\n",
        "{port: 1, name: 'yes', list: [!!str 1]}",
        "port: &p 80\nname: &n x\nlist: [*n, *n]\n",
    ] {
        check(text, "");
    }
}

#[test]
fn f10_every_mistake_at_once() {
    check(
        "name: 8080\non: maybe\nkind: strict\nlist: []\nprot: 80\nname: x\n",
        "f.yaml:6:1: found the key `name` again; expected each key once; `name` stands already at line 1; remove one\n\
         f.yaml:1:1: found no `port` in the document; expected the key `port`\n\
         f.yaml:1:7: found the number 8080 for `name`; expected text; write \"8080\" in quotes\n\
         f.yaml:2:5: found the text \"maybe\" for `on`; expected true or false\n\
         f.yaml:3:7: found the text \"strict\" for `kind`; expected one of STRICT, DISABLE; did you mean STRICT?\n\
         f.yaml:4:7: found an empty list for `list`; expected at least one item; remove `list`, or name at least one\n\
         f.yaml:5:1: found the unknown key `prot` in the document; expected one of port, name, on, kind, list; did you mean `port`?\n",
    );
}

#[test]
fn wrong_types() {
    check(
        "port: 0",
        "f.yaml:1:7: found the number 0 for `port`; expected a whole number from 1 to 65535\n",
    );
    check(
        "port: 1.5",
        "f.yaml:1:7: found the number 1.5 for `port`; expected a whole number from 1 to 65535\n",
    );
    check(
        "port: '80'",
        "f.yaml:1:7: found the text \"80\" for `port`; expected a whole number from 1 to 65535; write 80 without quotes\n",
    );
    check(
        "port: 99999999999999999999999",
        "f.yaml:1:7: found the number 99999999999999999999999 for `port`; expected a whole number from 1 to 65535\n",
    );
    check(
        "port: {}",
        "f.yaml:1:7: found a mapping for `port`; expected a whole number from 1 to 65535\n",
    );
    check("port: 1\nname:", "f.yaml:2:5: found nothing for `name`; expected text\n");
    check(
        "port: 1\nname: ''",
        "f.yaml:2:7: found the text \"\" for `name`; expected text that is not empty\n",
    );
    check("- a", "f.yaml:1:1: found a list for the document; expected a mapping\n");
    check("port: 1\nlist: [a, b, c]", "f.yaml:2:7: found 3 items for `list`; expected at most 2\n");
    check(
        "port: 1\nlist: [a, 5]",
        "f.yaml:2:11: found the number 5 for `list`; expected text; write \"5\" in quotes\n",
    );
}

#[test]
fn f10_broken_files() {
    check(
        "port: [1",
        "f.yaml:1:7: found broken YAML (unclosed bracket '['); expected valid YAML 1.2\n",
    );
    check(
        "port: *p",
        "f.yaml:1:7: found the alias *p; expected an anchor of that name before it\n",
    );
    check(
        "a: &a [*a]",
        "f.yaml:1:8: found an alias to a node it is part of; expected an alias to a finished node\n",
    );
    check(
        "port: 1\n<<: {a: 1}",
        "f.yaml:2:1: found a merge key; expected plain keys; write the keys out\n",
    );
    check(
        "port: 1\n? [a]\n: b",
        "f.yaml:2:3: found a list or mapping as a key; expected a text key\n",
    );
    check(
        "port: !mine 1",
        "f.yaml:1:13: found the tag !mine; expected no tag of your own; remove it\nf.yaml:1:13: found the text \"1\" for `port`; expected a whole number from 1 to 65535; write 1 without quotes\n",
    );
    assert_eq!(
        diagnostics(b"port: 1\nname: \xff"),
        "f.yaml:2:7: found bytes that are not UTF-8; expected UTF-8 text\n"
    );
    let deep = format!("{}{}", "[".repeat(60), "]".repeat(60));
    assert!(diagnostics(deep.as_bytes()).contains("nest"), "{}", diagnostics(deep.as_bytes()));
    let large = vec![b'#'; yaml::MAX_FILE_BYTES + 1];
    assert!(diagnostics(&large).contains("at most 4 MiB"));
}

#[test]
fn s52_a_files_words_cannot_move_a_cursor_nor_fill_a_log() {
    let found = diagnostics(b"port: 1\n\"\\e[2J\": x\n");
    assert!(found.contains("the unknown key `\\u{1b}[2J`"), "{found}");
    let long = format!("port: 1\n{}: x\n", "k".repeat(1000));
    assert!(diagnostics(long.as_bytes()).len() < 1300);
    let many: String = (0..30).map(|n| format!("k{n}: x\n")).collect();
    let file = crate::SourceFile { name: "f".into(), bytes: many.into_bytes() };
    let diagnostics = crate::Resources::parse(&[file], "root").unwrap_err();
    let first = diagnostics.first(20);
    assert_eq!(first.lines().count(), 21);
    assert!(first.ends_with("and 13 more"), "{first}");
    assert_eq!(diagnostics.first(100), diagnostics.to_string());
}

#[test]
fn f10_alias_bomb() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..20 {
        let row = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    assert!(diagnostics(bomb.as_bytes()).contains("too many nodes"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// S-53: whatever a file holds, reading it ends in documents or diagnostics.
    #[test]
    fn s53_panics_no_file_ends_in_one(text in "([a-z0]|[-:{}\\[\\],&*!|>'\"%@#?~<. \n\t]|é|\u{feff}|- |: |--- |\n  ){0,60}") {
        let mut found = Vec::new();
        let documents = yaml::read(&"f".into(), text.as_bytes(), &mut found);
        prop_assert!(documents.len() <= text.len() + 1);
        let file = crate::SourceFile { name: "f".into(), bytes: text.into_bytes() };
        let _ = crate::Resources::parse(&[file], "root");
    }
}
