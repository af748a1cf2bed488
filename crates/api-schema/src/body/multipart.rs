//! Bodies of `multipart/form-data` (RFC 7578): which parts there are. What is in them is the application's.

use memchr::memmem;

use crate::limits::JsonLimits;
use crate::refusal::SchemaRefusal;

/// The most parts of a body.
const MAX_PARTS: usize = 1_000;
/// The longest head of a part, in bytes.
const MAX_HEAD: usize = 8 << 10;

/// Which parts a body has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    /// The names of those that have to be there.
    pub(crate) required: Vec<Box<str>>,
    /// The names that are described, with whether a part of that name may stand more than once.
    pub(crate) known: Vec<(Box<str>, bool)>,
    /// Whether parts of other names are let through.
    pub(crate) others: bool,
}

impl Parts {
    /// Whether there is anything that a body could fail.
    pub(crate) fn say_something(&self) -> bool {
        !self.required.is_empty() || !self.others
    }

    /// Looks whether a body has the parts it is to have, and no others.
    pub(crate) fn check(
        &self,
        boundary: Option<&str>,
        body: &[u8],
        limits: &JsonLimits,
    ) -> Result<(), SchemaRefusal> {
        let refusal = |keyword| SchemaRefusal::mismatch("body", keyword);
        if body.len() > limits.max_bytes {
            return Err(refusal("maxBytes"));
        }
        let boundary = boundary
            .filter(|it| (1..=70).contains(&it.len()))
            .ok_or_else(|| refusal("boundary"))?;
        let names = names(boundary.as_bytes(), body).ok_or_else(|| refusal("multipart"))?;
        for name in &self.required {
            if !names.iter().any(|found| **found == **name) {
                return Err(SchemaRefusal::mismatch(format!("/body/{name}"), "required"));
            }
        }
        for (index, name) in names.iter().enumerate() {
            match self.known.iter().find(|(known, _)| **known == **name) {
                Some((_, true)) => {}
                Some((known, false)) if names.iter().take(index).any(|other| other == name) => {
                    return Err(SchemaRefusal::mismatch(format!("/body/{known}"), "repeated"));
                }
                Some(_) => {}
                None if self.others => {}
                None => return Err(refusal("additionalProperties")),
            }
        }
        Ok(())
    }
}

/// The names of all parts; `None` where the body is not well formed (RFC 2046, section 5.1.1).
fn names(boundary: &[u8], body: &[u8]) -> Option<Vec<String>> {
    let delimiter = [b"\r\n--", boundary].concat();
    let mut rest = body.strip_prefix(delimiter.get(2..)?)?;
    let mut names = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            // Readers that take a line end of one character for one would find parts in what is content here.
            let is_whole = memmem::find_iter(body, delimiter.get(2..)?).count() == names.len() + 1;
            return (is_whole && matches!(end, b"" | b"\r\n")).then_some(names);
        }
        rest = rest.strip_prefix(b"\r\n")?;
        let head_end = memmem::find(rest.get(..rest.len().min(MAX_HEAD))?, b"\r\n\r\n")?;
        if names.len() >= MAX_PARTS {
            return None;
        }
        names.push(name_of(rest.get(..head_end)?)?);
        // The line end of the head's last line may be the one before a delimiter.
        rest = rest.get(head_end + 2..)?;
        rest = rest.get(memmem::find(rest, &delimiter)? + delimiter.len()..)?;
    }
}

/// The name of a part by its one `Content-Disposition`; heads that are read in several ways are refused.
fn name_of(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let mut disposition = None;
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || value.contains(['\r', '\n']) {
            return None;
        }
        if name.eq_ignore_ascii_case("content-disposition")
            && disposition.replace(value.trim()).is_some()
        {
            return None;
        }
    }
    name_in(disposition?)
}

/// The name in a disposition (RFC 7578, section 4.2): `name` and `filename` once each and quoted, `filename*`, and nothing
/// else. Escapes are read in many ways.
fn name_in(disposition: &str) -> Option<String> {
    let blank = [' ', '\t'];
    let mut rest = disposition.strip_prefix("form-data")?.trim_start_matches(blank);
    let mut known: Vec<(String, &str)> = Vec::new();
    while !rest.is_empty() {
        let (parameter, value) = rest.strip_prefix(';')?.split_once('=')?;
        let parameter = parameter.trim_matches(blank).to_ascii_lowercase();
        if known.iter().any(|(other, _)| *other == parameter) {
            return None;
        }
        let (value, behind) = match parameter.as_str() {
            "name" | "filename" => value.strip_prefix('"')?.split_once('"')?,
            "filename*" => value.split_at(value.find(';').unwrap_or(value.len())),
            _ => return None,
        };
        if value.contains(['\\', '"']) {
            return None;
        }
        known.push((parameter, value));
        rest = behind.trim_start_matches(blank);
    }
    let (_, name) = known.into_iter().find(|(parameter, _)| parameter == "name")?;
    (!name.contains('%')).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_their_names() {
        let part = |name: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n")
        };
        let with = |parameters: &str| {
            format!("--b\r\nContent-Disposition: form-data; {parameters}\r\n\r\nx\r\n--b--")
        };
        let hidden = |end: &str| {
            let inner =
                format!("x{end}--b{end}Content-Disposition: form-data; name=\"admin\"{end}{end}1");
            with("name=\"file\"").replace("x\r\n--b--", &format!("{inner}\r\n--b--"))
        };
        let rows: Vec<(&str, String, Result<(), &str>)> = vec![
            ("all that is required", part("file") + "--b--\r\n", Ok(())),
            ("what is optional too", part("file") + &part("note") + "--b--", Ok(())),
            ("a list", part("file") + &part("tag") + &part("tag") + "--b--", Ok(())),
            ("nothing", "--b--\r\n".to_owned(), Err("required")),
            ("without the required one", part("note") + "--b--", Err("required")),
            ("an unknown one", part("file") + &part("admin") + "--b--", Err("additionalProperties")),
            ("one twice", part("file") + &part("file") + "--b--", Err("repeated")),
            ("no end", part("file"), Err("multipart")),
            ("something before", "x".to_owned() + &part("file") + "--b--", Err("multipart")),
            ("something behind", part("file") + "--b--\r\nx", Err("multipart")),
            ("a name with an escape", part("fi\\\"le") + "--b--", Err("multipart")),
            ("two names", part("file\"; name=\"note") + "--b--", Err("multipart")),
            ("an empty part", "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n\r\n--b--".to_owned(), Ok(())),
            ("a file's name is none", "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\r\n--b--".to_owned(), Ok(())),
            ("a part behind a line feed", hidden("\n"), Err("multipart")),
            ("a part behind a carriage return", hidden("\r"), Err("multipart")),
            ("a delimiter within a line", part("file").replace('x', "x--b") + "--b--", Err("multipart")),
            ("a name in pieces beside it", with("name*=utf-8''admin; name=\"file\""), Err("multipart")),
            ("a name without quotes beside it", with("name=admin; name=\"file\""), Err("multipart")),
            ("a name in capitals beside it", with("NAME=\"admin\"; name=\"file\""), Err("multipart")),
            ("a name in capitals", with("NAME=\"file\""), Ok(())),
            ("an unknown parameter", with("name=\"file\"; size=\"1\""), Err("multipart")),
            ("a file's name twice", with("name=\"file\"; filename=\"a\"; filename=\"b\""), Err("multipart")),
            ("a file's name in UTF-8", with("name=\"file\"; filename=\"a;b\"; filename*=UTF-8''a"), Ok(())),
            ("a line folded", with("name=\"file\"\r\n ; x=y"), Err("multipart")),
            ("a line feed in a head", with("name=\"file\"\nA: b"), Err("multipart")),
            ("no disposition", "--b\r\nA: b\r\n\r\nx\r\n--b--".to_owned(), Err("multipart")),
        ];
        let parts = Parts {
            required: vec!["file".into()],
            known: vec![("file".into(), false), ("note".into(), false), ("tag".into(), true)],
            others: false,
        };
        for (name, body, expect) in rows {
            let found = parts.check(Some("b"), body.as_bytes(), &JsonLimits::default());
            assert_eq!(
                found.map_err(|refusal| refusal.keyword),
                expect.map_err(str::to_owned),
                "{name}"
            );
        }
    }
}
