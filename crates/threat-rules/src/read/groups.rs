//! What kind of attack a rule is about, by its tags.

use crate::inspection::RuleGroup;

/// The group of the first tag that says it, in the words that rule sets of the field use.
pub(super) fn of_tags<'a>(tags: impl Iterator<Item = &'a str>) -> RuleGroup {
    tags.filter_map(of_tag).next().unwrap_or(RuleGroup::Other)
}

fn of_tag(tag: &str) -> Option<RuleGroup> {
    let kind = tag.strip_prefix("attack-")?;
    Some(match kind {
        "protocol" | "multipart-header" | "http" | "deprecated-header" => RuleGroup::Protocol,
        "reputation-scanner" | "reputation-crawler" | "reputation-scripting" => RuleGroup::Scanner,
        "lfi" | "disclosure" => RuleGroup::PathTraversal,
        "rfi" => RuleGroup::RemoteFile,
        "rce" => RuleGroup::Command,
        "sqli" => RuleGroup::Sql,
        "xss" => RuleGroup::Script,
        "ssti" => RuleGroup::Template,
        "ssrf" => RuleGroup::ServerRequest,
        "deserialization" | "injection-php" | "injection-java" | "injection-generic"
        | "generic" => RuleGroup::Deserialization,
        "fixation" => RuleGroup::Session,
        _ => return None,
    })
}
