//! `servers`: below which paths a description is served. Hosts are routed elsewhere, and are not looked at.

use serde_json::Value;

use crate::paths::Template;
use crate::reader::{Part, Reader};

/// The most base paths of one list of servers.
const MAX_BASES: usize = 64;

/// A base path that somebody else has said.
pub(super) fn fixed(reader: &mut Reader<'_>, base: &str) -> Vec<Template> {
    read(reader, "", base).into_iter().collect()
}

/// The base paths of a part's servers; the root where it has none.
pub(super) fn bases(reader: &mut Reader<'_>, part: &Part<'_>) -> Vec<Template> {
    let servers = part.field("servers").map(|servers| servers.items()).unwrap_or_default();
    if servers.is_empty() {
        return read(reader, "", "/").into_iter().collect();
    }
    let mut bases: Vec<String> = Vec::new();
    let mut templates = Vec::new();
    for server in servers {
        reader.fields(&server, &["url", "description", "variables"]);
        for url in urls(reader, &server) {
            match base_of(&url) {
                Ok(base) if bases.contains(&base) => {}
                Ok(base) if bases.len() < MAX_BASES => {
                    templates.extend(read(reader, &server.pointer, &base));
                    bases.push(base);
                }
                Ok(_) => reader
                    .problem(&part.below("servers"), format!("more than {MAX_BASES} base paths")),
                Err(message) => reader.problem(&server.pointer, message),
            }
        }
    }
    templates
}

fn read(reader: &mut Reader<'_>, pointer: &str, base: &str) -> Option<Template> {
    match Template::read(base) {
        Ok(template) if template.parameters().next().is_none() => Some(template),
        Ok(_) => {
            reader.problem(pointer, "a base path with a variable that has no value");
            None
        }
        Err(message) => {
            reader.problem(pointer, format!("no base path: {message}"));
            None
        }
    }
}

/// A server's URL with all values of its variables.
fn urls(reader: &mut Reader<'_>, server: &Part<'_>) -> Vec<String> {
    let Some(url) = reader.text(server, "url") else {
        return Vec::new();
    };
    let mut urls = vec![url.to_owned()];
    for (name, variable) in server.field("variables").map(|all| all.entries()).unwrap_or_default() {
        reader.fields(&variable, &["enum", "default", "description"]);
        let values: Vec<&str> = match variable.value.get("enum") {
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            _ => reader.text(&variable, "default").into_iter().collect(),
        };
        let hole = format!("{{{name}}}");
        urls = urls
            .iter()
            .flat_map(|url| values.iter().map(|value| url.replace(&hole, value)))
            .take(MAX_BASES)
            .collect();
    }
    urls
}

/// The path of a URL, without the slash at its end.
fn base_of(url: &str) -> Result<String, String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None if url.starts_with('/') && !url.starts_with("//") => url,
        None => {
            return Err(format!("the server `{url}`, which is neither a path from `/` nor a URL"));
        }
    };
    let trimmed = path.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/" } else { trimmed }.to_owned())
}
