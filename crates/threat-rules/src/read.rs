//! Reading a rule set: files, directives, rules. Everything that is wrong is said at once, with file, line and rule.

mod actions;
mod assemble;
mod directives;
mod files;
mod groups;
mod operators;
mod rules;
mod targets;

use std::path::{Path, PathBuf};

use crate::problem::RuleSetProblem;
use crate::rule::{Change, Rule};

pub(crate) use assemble::Assembled;

/// So many rules are read at most, links of chains included.
pub(crate) const MOST_RULES: usize = 5_000;

/// The rules of a file, or of the `*.conf` of a directory.
pub(crate) fn from_path(path: &Path, allowed: &[u32]) -> Result<Assembled, Vec<RuleSetProblem>> {
    let directives = files::directives(path)?;
    let set = assemble::assemble(directives, allowed)?;
    // An emptied file is no rule set: whoever reads it keeps the one before.
    if !set.phases.iter().flatten().any(may_score) {
        let message = "there is no rule in it that looks at requests and refuses or scores";
        return Err(vec![RuleSetProblem {
            file: path.to_owned(),
            line: 1,
            rule: None,
            message: message.to_owned(),
        }]);
    }
    Ok(set)
}

fn may_score(rule: &Rule) -> bool {
    rule.about.refuses || rule.effects.iter().any(|effect| matches!(effect.change, Change::Add(_)))
}

/// The rules of texts that are part of the program.
pub(crate) fn from_texts(texts: &[(&str, &str)]) -> Result<Assembled, Vec<RuleSetProblem>> {
    let read = |(name, text): &(&str, &str)| directives::split(Path::new(name), text);
    let directives: Result<Vec<_>, _> = texts.iter().map(read).collect();
    assemble::assemble(directives.map_err(|problem| vec![problem])?.concat(), &[])
}

/// One directive as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directive {
    pub(crate) file: PathBuf,
    /// The line on which it begins.
    pub(crate) line: u32,
    pub(crate) name: String,
    /// Its words, without the quotes around them.
    pub(crate) words: Vec<String>,
}

impl Directive {
    fn problem(&self, rule: Option<u32>, message: impl Into<String>) -> RuleSetProblem {
        RuleSetProblem { file: self.file.clone(), line: self.line, rule, message: message.into() }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

#[cfg(test)]
mod tests;
