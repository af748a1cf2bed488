//! Chains, rules and verdicts, and how nft writes them.

use std::fmt::{self, Write as _};

/// One chain of the table.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    /// What hangs it into the kernel; `None` for a chain that another one goes to.
    pub(crate) base: Option<BaseChain>,
    pub(crate) rules: Vec<Rule>,
}

/// Where a base chain hangs. All of ours let pass what no rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BaseChain {
    pub(crate) kind: &'static str,
    pub(crate) hook: &'static str,
    pub(crate) priority: i64,
}

/// One rule: what it applies to, what happens then, and why.
#[derive(Debug)]
pub(crate) struct Rule {
    matches: String,
    counter: Option<&'static str>,
    pub(crate) verdict: Verdict,
    why: &'static str,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Return,
    Drop,
    /// Refused with a TCP reset.
    Reset,
    /// Refused with ICMP "administratively prohibited".
    Prohibit,
    Goto(&'static str),
    Redirect(u16),
}

pub(crate) fn rule(matches: impl Into<String>, verdict: Verdict, why: &'static str) -> Rule {
    Rule { matches: matches.into(), counter: None, verdict, why }
}

impl Rule {
    /// The rule also counts what it applies to.
    pub(crate) fn counted(mut self, counter: &'static str) -> Self {
        self.counter = Some(counter);
        self
    }

    /// The rule without its comment.
    pub(crate) fn body(&self) -> String {
        let mut body = self.matches.clone();
        if let Some(counter) = self.counter {
            let _ = write!(body, " counter name {counter}");
        }
        let _ = write!(body, " {}", self.verdict);
        body.trim_start().to_owned()
    }

    /// Why the rule is there, and a fingerprint of what it says. nft gives comments back as they
    /// were, while it rewrites rules; so this is what `verify` compares.
    pub(crate) fn comment(&self) -> String {
        format!("{} [{:08x}]", self.why, fingerprint(&self.body()))
    }
}

/// FNV-1a, 32 bits: it tells settings apart; it protects against nobody.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(BaseChain { kind, hook, priority }) = self.base {
            writeln!(f, "\t\ttype {kind} hook {hook} priority {priority}; policy accept;")?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{} comment \"{}\"", rule.body(), rule.comment())?;
        }
        writeln!(f, "\t}}\n")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Return => f.write_str("return"),
            Self::Drop => f.write_str("drop"),
            Self::Reset => f.write_str("reject with tcp reset"),
            Self::Prohibit => f.write_str("reject with icmpx type admin-prohibited"),
            Self::Goto(chain) => write!(f, "goto {chain}"),
            Self::Redirect(port) => write!(f, "redirect to :{port}"),
        }
    }
}
