//! What an inspection says.

use std::fmt;

/// What the rules said about one request. It holds no value of the request, only names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The sum of the scores of all rules that matched; each rule counts once.
    pub score: u32,
    /// The rules that matched and have a score, in the order in which they ran; at most [`Inspection::MOST_MATCHES`].
    pub matches: Vec<RuleMatch>,
    /// What of the request the rules could not see as an application may; `None`: they saw all that was handed over.
    pub incomplete: Option<NotRead>,
}

/// Why a request, or a part of it, was not taken apart: an application may read it otherwise than the rules did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRead {
    /// The body is not what its content type says, or may be read in more than one way.
    Malformed,
    /// There are more arguments, cookies, values or levels than are taken apart.
    TooMany,
}

impl Inspection {
    /// So many matches are listed; the score counts those beyond, too.
    pub const MOST_MATCHES: usize = 32;
}

/// One rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMatch {
    /// The rule's id.
    pub rule: u32,
    /// What kind of attack it is about.
    pub group: RuleGroup,
    /// Which part of the request it matched first, `ARGS:name` for example: never the value. At most 64 bytes, with `?`
    /// in place of control characters, because a client chooses the names of arguments.
    pub variable: String,
    /// How bad a match of the rule is.
    pub severity: Severity,
    /// What the match adds to the score.
    pub score: u32,
}

/// How bad a match is, and by default what it adds to the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Unusual: 2.
    Notice,
    /// Suspicious: 3.
    Warning,
    /// Not what the protocol allows: 4.
    Error,
    /// An attack: 5.
    Critical,
}

impl Severity {
    /// What a match of a rule of this severity adds to the score, where the rule itself does not say it.
    pub fn score(self) -> u32 {
        match self {
            Self::Notice => 2,
            Self::Warning => 3,
            Self::Error => 4,
            Self::Critical => 5,
        }
    }

    /// The name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// What kind of attack a rule is about: the label of metrics, so there are few.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleGroup {
    /// The request is not what HTTP allows.
    Protocol,
    /// A tool that looks for weaknesses.
    Scanner,
    /// A path that leaves its directory, or a file that is nobody's business.
    PathTraversal,
    /// A file of another host, to be run or shown.
    RemoteFile,
    /// A command for a shell.
    Command,
    /// A piece of SQL.
    Sql,
    /// A script for somebody else's browser.
    Script,
    /// An expression for a template or a lookup.
    Template,
    /// An address that only the server can reach.
    ServerRequest,
    /// An object or code of the language the app is written in.
    Deserialization,
    /// A session chosen by the attacker.
    Session,
    /// Anything else.
    Other,
}

impl RuleGroup {
    /// All of them, for metrics that begin at zero.
    pub const ALL: [Self; 12] = [
        Self::Protocol,
        Self::Scanner,
        Self::PathTraversal,
        Self::RemoteFile,
        Self::Command,
        Self::Sql,
        Self::Script,
        Self::Template,
        Self::ServerRequest,
        Self::Deserialization,
        Self::Session,
        Self::Other,
    ];

    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Scanner => "scanner",
            Self::PathTraversal => "path_traversal",
            Self::RemoteFile => "remote_file",
            Self::Command => "command",
            Self::Sql => "sql",
            Self::Script => "script",
            Self::Template => "template",
            Self::ServerRequest => "server_request",
            Self::Deserialization => "deserialization",
            Self::Session => "session",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for RuleGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
