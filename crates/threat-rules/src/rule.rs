//! A rule as it is walked.

use std::borrow::Cow;

use regex::bytes::Regex;
use zentinel_modsec::parser::VariableName;

use crate::inspection::{RuleGroup, Severity};
use crate::operator::Operator;
use crate::pipeline::Node;
use crate::template::Template;

/// One rule, or one link of a chain of them.
pub(crate) struct Rule {
    /// None for all links of a chain but the first.
    pub(crate) id: Option<u32>,
    pub(crate) tags: Vec<String>,
    pub(crate) targets: Vec<Target>,
    /// Targets that the rule does not look at.
    pub(crate) exceptions: Vec<Target>,
    pub(crate) operator: Operator,
    pub(crate) negated: bool,
    /// The transformed value that is looked at; with `multiMatch` each stage of it.
    pub(crate) stages: Vec<Node>,
    /// Whether what the operator captured becomes `TX:0` to `TX:9`.
    pub(crate) captures: bool,
    /// What each match sets, at once.
    pub(crate) effects: Vec<Effect>,
    /// What each match changes of the walk itself.
    pub(crate) controls: Vec<Control>,
    /// Whether the next rule is the next link of this one's chain.
    pub(crate) chained: bool,
    /// Where the walk goes on after a match.
    pub(crate) then: Then,
    /// What a match means.
    pub(crate) about: About,
}

/// What a match of a rule means.
#[derive(Clone, Copy)]
pub(crate) struct About {
    pub(crate) group: RuleGroup,
    pub(crate) severity: Severity,
    /// Whether the rule refuses the request by itself, without a score of its own.
    pub(crate) refuses: bool,
}

/// Where the walk goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Next,
    /// After so many rules more.
    Skip(usize),
    /// At this place of the phase.
    Goto(usize),
    /// Nowhere: the request is allowed.
    End,
}

/// What a rule looks at.
pub(crate) struct Target {
    pub(crate) variable: VariableName,
    pub(crate) selector: Selector,
    /// Whether the number of values is looked at, instead of the values.
    pub(crate) counts: bool,
}

/// Which values of a collection.
pub(crate) enum Selector {
    All,
    /// Those of this name, in any case.
    Named(Vec<u8>),
    /// Those whose name matches.
    Like(Box<Regex>),
}

impl Target {
    /// Whether a value of this variable and name is meant.
    pub(crate) fn selects(&self, variable: VariableName, key: &[u8]) -> bool {
        covers(self.variable, variable) && self.selector.selects(key)
    }
}

impl Selector {
    pub(crate) fn selects(&self, key: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Named(name) => name.eq_ignore_ascii_case(key),
            Self::Like(pattern) => pattern.is_match(key),
        }
    }
}

/// Whether a variable of a rule stands for one of the request: `ARGS` for those of the query and of the body.
fn covers(rule: VariableName, fact: VariableName) -> bool {
    use VariableName as V;
    rule == fact
        || matches!(
            (rule, fact),
            (V::Args, V::ArgsGet | V::ArgsPost)
                | (V::ArgsNames, V::ArgsGetNames | V::ArgsPostNames)
        )
}

/// What a match sets in `TX`.
pub(crate) struct Effect {
    pub(crate) name: Template,
    pub(crate) change: Change,
}

pub(crate) enum Change {
    Set(Template),
    Add(Template),
    Subtract(Template),
    Delete,
}

/// What a match changes of the walk.
pub(crate) enum Control {
    /// No rule runs any more.
    Stop,
    RemoveRules(std::ops::RangeInclusive<u32>),
    RemoveTagged(String),
    RemoveTarget {
        rules: std::ops::RangeInclusive<u32>,
        target: Target,
    },
    RemoveTargetTagged {
        tag: String,
        target: Target,
    },
    /// The body is taken apart as this.
    BodyAs(String),
    /// The body is not looked at.
    NoBody,
}

/// The name of a variable in messages.
pub(crate) fn name_of(variable: VariableName) -> Cow<'static, str> {
    use VariableName as V;
    Cow::Borrowed(match variable {
        V::Args | V::ArgsGet | V::ArgsPost => "ARGS",
        V::ArgsNames | V::ArgsGetNames | V::ArgsPostNames => "ARGS_NAMES",
        V::RequestHeaders => "REQUEST_HEADERS",
        V::RequestHeadersNames => "REQUEST_HEADERS_NAMES",
        V::RequestCookies => "REQUEST_COOKIES",
        V::RequestCookiesNames => "REQUEST_COOKIES_NAMES",
        V::RequestUri => "REQUEST_URI",
        V::RequestUriRaw => "REQUEST_URI_RAW",
        V::RequestFilename => "REQUEST_FILENAME",
        V::RequestBasename => "REQUEST_BASENAME",
        V::RequestLine => "REQUEST_LINE",
        V::RequestMethod => "REQUEST_METHOD",
        V::RequestProtocol => "REQUEST_PROTOCOL",
        V::RequestBody => "REQUEST_BODY",
        V::QueryString => "QUERY_STRING",
        V::Files => "FILES",
        V::FilesNames => "FILES_NAMES",
        V::MultipartPartHeaders => "MULTIPART_PART_HEADERS",
        V::Xml => "XML",
        V::Tx => "TX",
        V::RemoteAddr => "REMOTE_ADDR",
        other => return Cow::Owned(shouted(&format!("{other:?}"))),
    })
}

/// `ReqBodyError` as `REQ_BODY_ERROR`.
fn shouted(name: &str) -> String {
    let mut shouted = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !shouted.is_empty() {
            shouted.push('_');
        }
        shouted.push(letter.to_ascii_uppercase());
    }
    shouted
}
