//! The files of a rule set, and what they include: bounded in number, size and depth.

use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{Directive, directives};
use crate::problem::RuleSetProblem;

/// A file of rules or phrases is no larger; the largest of the field has 300 KiB.
const MOST_BYTES: u64 = 4 << 20;
/// So many files make up a set, at most.
const MOST_FILES: usize = 256;
/// So many files include one another, at most.
const DEEPEST: usize = 8;

/// All directives of a file, or of the `*.conf` of a directory in the order of their names, `Include` followed.
pub(super) fn directives(path: &Path) -> Result<Vec<Directive>, Vec<RuleSetProblem>> {
    let mut reading = Reading { files: 0, directives: Vec::new(), problems: Vec::new() };
    let roots = if path.is_dir() { matching(path, "*.conf") } else { Ok(vec![path.to_owned()]) };
    match roots {
        Ok(files) if files.is_empty() => reading.refuse(path, "the directory holds no file *.conf"),
        Ok(files) => files.iter().for_each(|file| reading.read(file, 0)),
        Err(message) => reading.refuse(path, &message),
    }
    if reading.problems.is_empty() { Ok(reading.directives) } else { Err(reading.problems) }
}

struct Reading {
    files: usize,
    directives: Vec<Directive>,
    problems: Vec<RuleSetProblem>,
}

impl Reading {
    fn refuse(&mut self, file: &Path, message: &str) {
        let problem = RuleSetProblem {
            file: file.to_owned(),
            line: 0,
            rule: None,
            message: message.to_owned(),
        };
        self.problems.push(problem);
    }

    fn read(&mut self, file: &Path, depth: usize) {
        self.files += 1;
        if self.files > MOST_FILES || depth > DEEPEST {
            return self
                .refuse(file, "too many files, or files that include one another too deeply");
        }
        let text = match text_of(file) {
            Ok(text) => text,
            Err(message) => return self.refuse(file, &message),
        };
        match directives::split(file, &text) {
            Ok(directives) => {
                directives.into_iter().for_each(|directive| self.take(directive, depth))
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    fn take(&mut self, directive: Directive, depth: usize) {
        // Enough is enough: what is wrong with the first hundred lines is wrong with the rest.
        if self.problems.len() > 100 {
            return;
        }
        if !directive.is("Include") {
            return self.directives.push(directive);
        }
        let [pattern] = directive.words.as_slice() else {
            return self
                .problems
                .push(directive.problem(None, "Include takes one file or pattern"));
        };
        match included(&directive.file, pattern) {
            Ok(files) => files.iter().for_each(|file| self.read(file, depth + 1)),
            Err(message) => self.problems.push(directive.problem(None, message)),
        }
    }
}

/// The files of an `Include`, relative to the one that includes: one file, or a `*` within the name.
fn included(from: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let whole = from.parent().unwrap_or(Path::new("")).join(pattern);
    let name = whole.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !name.contains('*') {
        return Ok(vec![whole]);
    }
    let files = matching(whole.parent().unwrap_or(Path::new("")), name)?;
    if files.is_empty() {
        Err(format!("Include {pattern}: there is no such file"))
    } else {
        Ok(files)
    }
}

/// The files of a directory whose names match a pattern with one `*`, sorted.
fn matching(directory: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let (before, after) = pattern.split_once('*').unwrap_or((pattern, ""));
    let entries =
        fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let fits = name.len() >= before.len() + after.len()
            && name.starts_with(before)
            && name.ends_with(after);
        if fits && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The phrases of a data file beside the file that names it: one a line, `#` begins a comment.
pub(super) fn phrases(from: &Path, name: &str) -> Result<Vec<String>, String> {
    let relative = Path::new(name);
    let plain = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !plain {
        return Err(format!("the data file {name} has to stand beside the rules"));
    }
    let text = text_of(&from.parent().unwrap_or(Path::new("")).join(relative))
        .map_err(|error| format!("{name}: {error}"))?;
    let lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

fn text_of(path: &Path) -> Result<String, String> {
    let file = opened(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read =
        file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if u64::try_from(read).is_ok_and(|read| read <= MOST_BYTES) {
        Ok(text)
    } else {
        Err(format!("larger than {} MiB", MOST_BYTES >> 20))
    }
}

/// A regular file: opening or reading a pipe waits for whoever is at its other end.
fn opened(path: &Path) -> io::Result<fs::File> {
    const WITHOUT_WAITING: i32 = 0o4000; // O_NONBLOCK of Linux
    let regular = |found: fs::Metadata| match found.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    };
    regular(fs::metadata(path)?)?;
    let file = fs::OpenOptions::new().read(true).custom_flags(WITHOUT_WAITING).open(path)?;
    // It may be another one by now.
    regular(file.metadata()?)?;
    Ok(file)
}
