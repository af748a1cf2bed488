//! Loads the rule sets that ThreatPolicies name, and follows their files while the proxy runs. A set with anything wrong in it
//! changes nothing: the last good one stays, and what is wrong is told by file, line and rule.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use policy::ThreatTable;
use policy::threat::RuleSetSource;
use threat_rules::RuleSet;
pub use threat_rules::RuleSetProblem;

use crate::control::directory_watch::DirectoryWatch;
use crate::traffic::state::ProxyState;
use crate::traffic::threats::rule_sets::KnownRuleSet;

/// The most rule sets of one proxy: each takes megabytes. Policies that name others find none.
const MAX_RULE_SETS: usize = 16;
/// The most files of a directory that are looked at.
const MAX_FILES: usize = 1024;
/// So many directories lie in one another, at most, that are looked at.
const MAX_DEPTH: usize = 3;
/// Problems that one log line lists; `check` lists all.
const MAX_LOGGED_PROBLEMS: usize = 20;

/// Reads a rule set.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(source: &RuleSetSource) -> Result<RuleSet, Vec<RuleSetProblem>> {
    match source {
        RuleSetSource::Builtin => RuleSet::builtin(),
        RuleSetSource::Files { path, allow_unsupported } => RuleSet::read(path, allow_unsupported),
    }
}

/// Loads what policies name and is not known yet. Before they are in force: until then nothing could look through a request.
pub(super) fn prepare(state: &ProxyState, threats: &ThreatTable) {
    for rule in threats.policies().filter(|rule| !threats.may_name_its_rules(rule)) {
        let policy = &*rule.policy;
        tracing::error!(
            policy,
            "of another namespace than the gateway's: its `ruleSet` may be builtin alone, and is not read"
        );
    }
    let mut known = (*state.threats.rule_sets.known()).clone();
    for source in threats.rule_sets() {
        if known.contains_key(source) {
            continue;
        }
        if known.len() >= MAX_RULE_SETS {
            tracing::error!(%source, most = MAX_RULE_SETS, "too many rule sets are named; this one is not read");
            continue;
        }
        let fingerprint = fingerprint(source);
        let loaded = load(source);
        known.insert(source.clone(), taken(state, source, loaded, None, fingerprint));
    }
    install(state, known);
}

/// Forgets what no policy in force names.
pub(super) fn keep_only(state: &ProxyState, threats: &ThreatTable) {
    let mut known = (*state.threats.rule_sets.known()).clone();
    let named = threats.rule_sets();
    known.retain(|source, _| named.contains(source));
    install(state, known);
}

fn install(state: &ProxyState, known: BTreeMap<RuleSetSource, KnownRuleSet>) {
    let stale = known.values().filter(|set| !set.problems.is_empty()).count();
    state.metrics.threat_rule_sets_stale.set(i64::try_from(stale).unwrap_or(i64::MAX));
    state.threats.rule_sets.install(known);
}

/// What is known after a reading: of a bad one the rules of before.
fn taken(
    state: &ProxyState,
    source: &RuleSetSource,
    loaded: Result<RuleSet, Vec<RuleSetProblem>>,
    before: Option<Arc<RuleSet>>,
    fingerprint: u64,
) -> KnownRuleSet {
    state.metrics.threat_rule_set_update(loaded.is_ok());
    match loaded {
        Ok(rules) => {
            tracing::info!(%source, rules = rules.rules(), "threat rules in force");
            KnownRuleSet { rules: Some(Arc::new(rules)), problems: Vec::new(), fingerprint }
        }
        Err(problems) => {
            let told = problems.iter().take(MAX_LOGGED_PROBLEMS).map(ToString::to_string);
            let problems: Vec<_> = told.collect();
            let error = problems.join("; ");
            match before {
                Some(_) => {
                    tracing::error!(%source, error, "threat rules refused; the last good set stays in force")
                }
                None => tracing::error!(%source, error, "threat rules refused, and there are none"),
            }
            KnownRuleSet { rules: before, problems, fingerprint }
        }
    }
}

/// Follows the files of rule sets for ever.
pub(super) async fn follow(state: Arc<ProxyState>, poll: Duration) {
    loop {
        let directories = directories(&state);
        let watched = directories.iter().map(PathBuf::as_path);
        let mut changes = DirectoryWatch::of_directories(watched, poll, is_rule_file);
        loop {
            // At once: what has changed before anything was watched is not to wait for the poll.
            look(&state).await;
            tokio::select! {
                () = changes.next() => {}
                () = state.threats.rule_sets.changed() => break,
            }
        }
    }
}

fn is_rule_file(name: &OsStr) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|extension| extension == "conf" || extension == "data")
}

fn directories(state: &ProxyState) -> Vec<PathBuf> {
    let known = state.threats.rule_sets.known();
    known.keys().filter_map(directory).map(Path::to_owned).collect()
}

/// The directory in which the files of a set lie: rules name files of words beside them.
fn directory(source: &RuleSetSource) -> Option<&Path> {
    match source {
        RuleSetSource::Builtin => None,
        RuleSetSource::Files { path, .. } if path.is_dir() => Some(path),
        RuleSetSource::Files { path, .. } => path.parent(),
    }
}

async fn look(state: &Arc<ProxyState>) {
    let known = state.threats.rule_sets.known();
    for (source, set) in known.iter() {
        let now = fingerprint(source);
        if now == set.fingerprint {
            continue;
        }
        let reading = source.clone();
        // It takes a core for a moment, which the control thread has not.
        let Ok(loaded) = tokio::task::spawn_blocking(move || load(&reading)).await else {
            continue;
        };
        let mut changed = (*state.threats.rule_sets.known()).clone();
        if let Some(set) = changed.get_mut(source) {
            *set = taken(state, source, loaded, set.rules.clone(), now);
            install(state, changed);
        }
    }
}

/// Tells the files of a set from what they were, without reading them.
fn fingerprint(source: &RuleSetSource) -> u64 {
    let mut hasher = DefaultHasher::new();
    let stamps = directory(source).map(|directory| {
        let mut stamps = Vec::new();
        stamp(directory, 0, &mut stamps).map(|()| stamps)
    });
    match stamps {
        None => {}
        Some(Ok(mut stamps)) => {
            stamps.sort();
            stamps.hash(&mut hasher);
        }
        Some(Err(error)) => error.kind().to_string().hash(&mut hasher),
    }
    hasher.finish()
}

type Stamp = (PathBuf, u64, u64, u64, [i64; 4]);

/// Of the entries of a directory, and of the rules in those below it, which are included by their paths.
fn stamp(directory: &Path, depth: usize, stamps: &mut Vec<Stamp>) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.take(MAX_FILES) {
        let path = entry?.path();
        // A link that leads nowhere is no file.
        let Ok(found) = fs::metadata(&path) else { continue };
        if stamps.len() >= MAX_FILES {
            break;
        }
        if found.is_dir() && depth < MAX_DEPTH {
            // One that cannot be read is none that can be included.
            let _ = stamp(&path, depth + 1, stamps);
        }
        if depth > 0 && !path.file_name().is_some_and(is_rule_file) {
            continue;
        }
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        stamps.push((path, found.dev(), found.ino(), found.len(), times));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use policy::{PolicyDefaults, Resources, Snapshot, SourceFile, Workload};

    use super::*;
    use crate::control::config::Config;

    fn table(path: &Path) -> Arc<ThreatTable> {
        let text = format!(
            "apiVersion: policy.postern.dev/v1alpha1\nkind: ThreatPolicy\nmetadata: {{name: p, namespace: shop}}\n\
             spec: {{ruleSet: {{path: '{}'}}}}\n",
            path.display()
        );
        let file = SourceFile { name: "r".into(), bytes: text.into_bytes() };
        let resources = Resources::parse(&[file], "postern-system").unwrap();
        let (namespace, service_account) = ("shop".into(), "cart".into());
        let workload = Workload { namespace, service_account, labels: BTreeMap::new() };
        Snapshot::build(&resources, &workload, &PolicyDefaults::default()).threats().clone()
    }

    fn state() -> Arc<ProxyState> {
        let text = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\n";
        let config = Config::parse("p", text.as_bytes()).unwrap();
        ProxyState::new(config.traffic_settings(), 1).unwrap()
    }

    const GOOD: &str = "SecRule ARGS \"@rx evil\" \"id:1,phase:2,deny,severity:'CRITICAL'\"\n";

    #[tokio::test]
    async fn a_broken_file_leaves_the_last_good_set() {
        let directory = tempfile::tempdir().unwrap();
        let put = |text: &str| {
            let (new, path) = (directory.path().join("new"), directory.path().join("a.conf"));
            fs::write(&new, text).unwrap();
            fs::rename(new, path).unwrap();
        };
        let (state, table) = (state(), table(&directory.path().join("a.conf")));
        let source = table.rule_sets().into_iter().next().unwrap().clone();
        prepare(&state, &table);
        assert!(state.threats.rule_sets.get(&source).is_none(), "there is no file yet");
        for (row, text, is_good) in [
            ("it comes", GOOD, true),
            ("it breaks", "SecRule ARGS \"@no-such-operator\" \"id:1,phase:2,deny\"\n", false),
            ("it is emptied", "", false),
            (
                "it is mended",
                "SecRule ARGS \"@rx good\" \"id:2,phase:2,deny,severity:'CRITICAL'\"\n",
                true,
            ),
        ] {
            let before = state.threats.rule_sets.get(&source);
            put(text);
            look(&state).await;
            let now = state.threats.rule_sets.get(&source).unwrap();
            let is_same = before.is_some_and(|before| Arc::ptr_eq(&before, &now));
            assert_eq!(is_same, !is_good, "{row}");
            let known = state.threats.rule_sets.known();
            assert_eq!(known[&source].problems.is_empty(), is_good, "{row}");
            assert_eq!(state.metrics.threat_rule_sets_stale.get(), i64::from(!is_good), "{row}");
        }
        keep_only(&state, &ThreatTable::default());
        assert!(state.threats.rule_sets.get(&source).is_none());
    }
}
