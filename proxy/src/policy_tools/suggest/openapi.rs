//! From the operations of a description to the skeleton of a policy: what may be called stands there, by whom is for people
//! to say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use api_schema::{ApiDescription, DescriptionProblem, Operation};
use data_plane::control::config::read_file;
use policy::Workload;
use policy::resources::{check_method_pattern, check_path_pattern};
use serde_json::Value;

use super::yaml::{list, scalar, selector};
use super::{SuggestArgs, SuggestedPolicy};

/// One rule: what has a tag and asks for the same scopes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RuleKey {
    tag: String,
    /// All of them must be in the token.
    scopes: BTreeSet<String>,
    /// Whether there must be a token at all.
    token: bool,
}

/// How a security scheme of the description proves who calls, by its name.
type TokenSchemes = BTreeMap<String, bool>;

/// Methods that are allowed on the same paths.
type Operations = BTreeMap<BTreeSet<String>, BTreeSet<String>>;

pub(super) fn suggest(
    file: &Path,
    workload: Option<&Workload>,
    args: &SuggestArgs,
) -> anyhow::Result<SuggestedPolicy> {
    let bytes = read_file(file)?.bytes;
    let text = String::from_utf8(bytes).with_context(|| format!("{}: no UTF-8", file.display()))?;
    let description = ApiDescription::read(&text).map_err(|all| unread(file, &all))?;
    let base_path = args.base_path.clone().unwrap_or_else(|| first_base_path(&text));
    let mut suggested = SuggestedPolicy::default();
    let schemes = token_schemes(&text);
    let base_path = base_path.trim_end_matches('/');
    let rules = rules_of(&description, base_path, &schemes, &mut suggested.remarks);
    if rules.is_empty() {
        suggested.remarks.push("it describes no operation that a policy can name".to_owned());
        return Ok(suggested);
    }
    let given = workload_of(args);
    let workload = workload.unwrap_or(&given);
    suggested.policy = Some(policy(workload, &rules, args));
    Ok(suggested)
}

fn unread(file: &Path, problems: &[DescriptionProblem]) -> anyhow::Error {
    let lines: Vec<_> = problems.iter().map(|p| format!("{}: {p}", file.display())).collect();
    anyhow::anyhow!("{}", lines.join("\n"))
}

/// The path of the first of its `servers` (OpenAPI 3.1.1, section 4.8.5), which is relative or a URL.
fn first_base_path(text: &str) -> String {
    let read: Value = serde_saphyr::from_str(text).unwrap_or_default();
    let url = read.pointer("/servers/0/url").and_then(Value::as_str).unwrap_or_default();
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => url,
    };
    path.to_owned()
}

/// Whether each of its security schemes is a token that a rule can ask for: the others are the app's to look at.
fn token_schemes(text: &str) -> TokenSchemes {
    let read: Value = serde_saphyr::from_str(text).unwrap_or_default();
    let schemes = read.pointer("/components/securitySchemes").and_then(Value::as_object);
    let is_token = |scheme: &Value| match scheme.get("type").and_then(Value::as_str) {
        Some("oauth2" | "openIdConnect") => true,
        Some("http") => scheme
            .get("scheme")
            .and_then(Value::as_str)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")),
        _ => false,
    };
    schemes.into_iter().flatten().map(|(name, scheme)| (name.clone(), is_token(scheme))).collect()
}

fn workload_of(args: &SuggestArgs) -> Workload {
    let account = args.service_account.clone();
    let labels = account.iter().map(|name| ("app".to_owned(), name.clone())).collect();
    let service_account = account.unwrap_or_else(|| "default".to_owned());
    Workload { namespace: args.namespace.clone(), service_account, labels }
}

/// The rules by tag and scopes; in each, what is allowed by the methods on it.
fn rules_of(
    description: &ApiDescription,
    base_path: &str,
    schemes: &TokenSchemes,
    remarks: &mut Vec<String>,
) -> BTreeMap<RuleKey, Operations> {
    let mut methods: BTreeMap<(RuleKey, String), BTreeSet<String>> = BTreeMap::new();
    for operation in description.operations() {
        let method = operation.method().as_str();
        let path = pattern_of(base_path, operation.path(), remarks);
        // A `*` of its own would be a pattern in a rule, and take more.
        let has_star = operation.path().split('/').any(has_literal_star);
        if has_star || check_path_pattern(&path).is_err() || check_method_pattern(method).is_err() {
            remarks
                .push(format!("left out: {method} {}, which no rule can name", operation.path()));
            continue;
        }
        for key in keys_of(operation, schemes, remarks) {
            let methods = methods.entry((key, path.clone())).or_default();
            methods.insert(method.to_owned());
            if method == "GET" {
                // What is read may be asked about (RFC 9110, section 9.3.2).
                methods.insert("HEAD".to_owned());
            }
        }
    }
    let mut rules: BTreeMap<RuleKey, Operations> = BTreeMap::new();
    for ((key, path), methods) in methods {
        rules.entry(key).or_default().entry(methods).or_default().insert(path);
    }
    rules
}

/// Whether there is a `*` outside of a segment's parameters.
fn has_literal_star(segment: &str) -> bool {
    segment.split('{').any(|part| part.rsplit('}').next().is_some_and(|text| text.contains('*')))
}

/// The template as policies write one: a segment with a parameter is any segment.
fn pattern_of(base_path: &str, template: &str, remarks: &mut Vec<String>) -> String {
    let segments = template.split('/').map(|segment| {
        let has_parameter = segment.contains('{');
        let is_parameter = segment.starts_with('{') && segment.find('}') == Some(segment.len() - 1);
        if has_parameter && !is_parameter {
            remarks.push(format!("in {template}, {segment} becomes {{*}}, which takes more"));
        }
        if has_parameter { "{*}" } else { segment }
    });
    let path: Vec<_> = segments.collect();
    format!("{base_path}{}", path.join("/"))
}

/// One for each way in which a caller may prove itself: all scopes of a way must be there. A way that a rule cannot ask for
/// is left out where there is another one: it would allow whoever proves nothing.
fn keys_of(
    operation: &Operation,
    schemes: &TokenSchemes,
    remarks: &mut Vec<String>,
) -> BTreeSet<RuleKey> {
    let tag = operation.tags().first().cloned().unwrap_or_else(|| "untagged".to_owned());
    let key = |scopes: BTreeSet<String>, token| RuleKey { tag: tag.clone(), scopes, token };
    let mut keys = BTreeSet::new();
    for way in operation.security() {
        let is_token = |name: &str| schemes.get(name).copied().unwrap_or(false);
        for (name, _) in way.schemes.iter().filter(|(name, _)| !is_token(name)) {
            remarks.push(format!(
                "{} {} may be called with `{name}`, which no rule can ask for: look at it in the app",
                operation.method(),
                operation.path()
            ));
        }
        let tokens = || way.schemes.iter().filter(|(name, _)| is_token(name));
        if way.schemes.is_empty() || tokens().next().is_some() {
            let scopes = tokens().flat_map(|(_, scopes)| scopes.iter().cloned()).collect();
            keys.insert(key(scopes, !way.schemes.is_empty()));
        }
    }
    match keys.is_empty() {
        true => [key(BTreeSet::new(), false)].into(),
        false => keys,
    }
}

fn policy(
    workload: &Workload,
    rules: &BTreeMap<RuleKey, Operations>,
    args: &SuggestArgs,
) -> String {
    let default = || format!("{}-allow", workload.service_account);
    let name = args.name.clone().unwrap_or_else(default);
    let mut out = String::from(
        "# Suggested by `postern-proxy policy suggest --openapi`. Read every line before it is enforced.\n",
    );
    if args.from.is_empty() {
        out.push_str("# Fill in who calls: a rule that names <callers of …> is refused.\n");
    }
    out.push_str("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  name: {}", scalar(&name));
    let _ = writeln!(out, "  namespace: {}", scalar(&workload.namespace));
    if args.dry_run {
        out.push_str("  annotations: {istio.io/dry-run: \"true\"}\n");
    }
    out.push_str("spec:\n");
    out.push_str(&selector(workload));
    out.push_str("  action: ALLOW\n  rules:\n");
    for (key, operations) in rules {
        write_rule(&mut out, key, operations, &args.from);
    }
    out
}

fn write_rule(out: &mut String, key: &RuleKey, operations: &Operations, from: &[String]) {
    let callers = match from.is_empty() {
        true => [format!("<callers of {}>", key.tag)].into(),
        false => from.iter().cloned().collect(),
    };
    let _ = writeln!(out, "    # {}", key.tag.replace(char::is_control, " "));
    // A scope is in a token, too.
    let any_token = key.token && key.scopes.is_empty();
    let token = if any_token { ", requestPrincipals: [\"*\"]" } else { "" };
    let callers = list(&callers);
    let _ = writeln!(out, "    - from:\n        - source: {{principals: {callers}{token}}}");
    out.push_str("      to:\n");
    for (methods, paths) in operations {
        let (methods, paths) = (list(methods), list(paths));
        let _ = writeln!(out, "        - operation: {{methods: {methods}, paths: {paths}}}");
    }
    if !key.scopes.is_empty() {
        out.push_str("      when:\n");
    }
    for scope in &key.scopes {
        let scope = scalar(scope);
        let _ =
            writeln!(out, "        - {{key: \"request.auth.claims[scope]\", values: [{scope}]}}");
    }
}

#[cfg(test)]
mod tests;
