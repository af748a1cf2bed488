#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;

use http::{HeaderMap, Version};

use crate::{InspectedRequest, InspectionSettings, RuleExclusion, RuleSet, RuleSetProblem};

/// A directory of its own for each test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("threat-rules-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn read(name: &str, text: &str) -> Result<RuleSet, Vec<RuleSetProblem>> {
    let directory = Directory::new(name);
    RuleSet::read(&directory.write("rules.conf", text), &[])
}

fn fired(rules: &RuleSet, target: &str, exclusions: &[RuleExclusion]) -> Vec<u32> {
    let headers = HeaderMap::new();
    let request = InspectedRequest {
        method: "GET",
        target,
        version: Version::HTTP_11,
        headers: &headers,
        body: b"",
        body_complete: true,
        client: [192, 0, 2, 1].into(),
    };
    rules.fired(&request, &InspectionSettings { paranoia: 2, exclusions })
}

/// Who writes a policy chooses the file.
#[test]
fn a_file_without_rules_is_not_told_of_and_a_pipe_is_not_waited_for() {
    for (row, text) in [("a token", "eyJhbGci.abc\n"), ("a word", "secretary\n")] {
        let problems = read("no-rules", text).err().unwrap();
        let told: String = problems.iter().map(ToString::to_string).collect();
        assert!(told.ends_with("rules.conf:1: the line begins with no directive"), "{row}: {told}");
    }
    let problems = RuleSet::read(std::path::Path::new("/dev/null"), &[]).err().unwrap();
    assert!(problems[0].to_string().contains("not a regular file"), "{problems:?}");
}

/// What is not supported is refused with rule and line, never passed over.
#[test]
fn what_is_wrong_is_said_by_rule_and_line() {
    let rows: &[(&str, &str, Option<u32>, u32, &str)] = &[
        (
            "look-around",
            "\nSecRule ARGS \"@rx (?=a)\" \"id:7,deny\"",
            Some(7),
            2,
            "pattern is not supported",
        ),
        (
            "back-reference",
            r#"SecRule ARGS "@rx (a)\1" "id:7,deny""#,
            Some(7),
            1,
            "pattern is not supported",
        ),
        (
            "operator",
            "SecRule ARGS \"@geoLookup\" \"id:7,deny\"",
            Some(7),
            1,
            "GeoLookup is not supported",
        ),
        ("no operator", "SecRule ARGS \"@what a\" \"id:7,deny\"", Some(7), 1, "unknown operator"),
        (
            "variable",
            "SecRule SESSION:a \"a\" \"id:7,deny\"",
            Some(7),
            1,
            "SESSION is not supported",
        ),
        ("no variable", "SecRule ARG \"a\" \"id:7,deny\"", Some(7), 1, "unknown variable"),
        (
            "transformation",
            "SecRule ARGS \"a\" \"id:7,deny,t:md5\"",
            Some(7),
            1,
            "t:md5 is not supported",
        ),
        (
            "action",
            "SecRule ARGS \"a\" \"id:7,deny,exec:/bin/x\"",
            Some(7),
            1,
            "exec is not supported",
        ),
        ("no action", "SecRule ARGS \"a\" \"id:7,denny\"", Some(7), 1, "unknown action"),
        (
            "collection",
            "SecRule ARGS \"a\" \"id:7,pass,setvar:ip.a=1\"",
            Some(7),
            1,
            "ip is not supported",
        ),
        (
            "control",
            "SecRule ARGS \"a\" \"id:7,pass,ctl:hashEngine=On\"",
            Some(7),
            1,
            "hashEngine is not supported",
        ),
        ("XPath", "SecRule XML:/a/b \"a\" \"id:7,deny\"", Some(7), 1, "XPath"),
        (
            "directive",
            "# a comment\n\nSecRuleScript a.lua",
            None,
            3,
            "SecRuleScript is not supported",
        ),
        ("no id", "SecRule ARGS \"a\" \"deny\"", None, 1, "needs an id"),
        (
            "same id",
            "SecRule ARGS \"a\" \"id:7,deny\"\nSecRule ARGS \"b\" \"id:7,deny\"",
            Some(7),
            2,
            "same id",
        ),
        (
            "no end of a chain",
            "SecRule ARGS \"a\" \"id:7,deny,chain\"",
            Some(7),
            1,
            "chain has no end",
        ),
        ("no marker", "SecRule ARGS \"a\" \"id:7,pass,skipAfter:X\"", Some(7), 1, "no marker X"),
        ("a quote without end", "SecRule ARGS \"a", None, 1, "quote does not end"),
        (
            "data elsewhere",
            "SecRule ARGS \"@pmFromFile ../a.data\" \"id:7,deny\"",
            Some(7),
            1,
            "beside the rules",
        ),
        ("no data", "SecRule ARGS \"@pmFromFile a.data\" \"id:7,deny\"", Some(7), 1, "a.data"),
        ("no file", "Include b.conf", None, 0, "No such file"),
        ("words left over", "SecRule ARGS \"a\" \"id:7,deny\" \"id:8\"", Some(7), 1, ""),
    ];
    for (name, text, rule, line, message) in rows {
        let problems = read(&name.replace(' ', "-"), text).map(|_| ()).expect_err(name);
        let first = problems.first().unwrap();
        assert!(first.message.contains(message), "{name}: {first}");
        assert_eq!(first.line, *line, "{name}: {first}");
        if !message.is_empty() {
            assert_eq!(first.rule, *rule, "{name}: {first}");
        }
    }
}

#[test]
fn a_rule_that_is_allowed_to_be_unsupported_is_left_out_with_its_chain() {
    let directory = Directory::new("allowed");
    let text = "SecRule ARGS \"a\" \"id:7,deny,chain\"\nSecRule SESSION \"b\" \"chain\"\nSecRule ARGS \"a\" \"t:none\"\nSecRule ARGS \"a\" \"id:8,deny\"";
    let path = directory.write("rules.conf", text);
    assert!(RuleSet::read(&path, &[]).is_err());
    let rules = RuleSet::read(&path, &[7]).unwrap();
    assert_eq!(rules.rules(), 1);
    assert_eq!(fired(&rules, "/?x=a", &[]), [8]);
}

#[test]
fn a_directory_is_read_in_the_order_of_names_with_what_it_includes() {
    let directory = Directory::new("directory");
    directory.write(
        "20.conf",
        "SecRule ARGS \"@pmFromFile words.data\" \"id:2,deny\"\nInclude more/*.inc",
    );
    directory.write("10.conf", "SecRule ARGS \"a\" \"id:1,deny\"");
    directory.write("words.data", "# words\nalpha\n\nbeta\n");
    directory.write("ignored.txt", "nonsense");
    fs::create_dir_all(directory.0.join("more")).unwrap();
    directory.write("more/a.inc", "SecRule ARGS \"@streq ALPHA\" \"id:3,deny\"");
    let rules = RuleSet::read(&directory.0, &[]).unwrap();
    assert_eq!(fired(&rules, "/?x=alpha", &[]), [1, 2]);
    assert_eq!(fired(&rules, "/?x=ALPHA", &[]), [2, 3]);
}

#[test]
fn files_that_include_themselves_end() {
    let directory = Directory::new("circle");
    let path = directory.write("a.conf", "Include a.conf");
    assert!(RuleSet::read(&path, &[]).unwrap_err().first().unwrap().message.contains("too deeply"));
}

#[test]
fn chains_skips_markers_and_variables_are_walked() {
    let text = r#"
SecAction "id:1,phase:1,pass,nolog,setvar:tx.limit=2,setvar:'tx.words=|alpha|beta|'"
SecRule TX:DETECTION_PARANOIA_LEVEL "@lt 3" "id:2,phase:2,pass,nolog,skipAfter:END"
SecRule ARGS "@contains a" "id:3,phase:2,deny"
SecMarker END
SecRule &ARGS "@gt %{tx.limit}" "id:4,phase:2,deny"
SecRule ARGS:word "!@within %{tx.words}" "id:5,phase:2,deny"
SecRule ARGS "@rx ^n(\d+)$" "id:6,phase:2,pass,capture,setvar:'tx.seen_%{MATCHED_VAR_NAME}=%{tx.1}',chain"
  SecRule TX:1 "@eq 7" "setvar:tx.inbound_anomaly_score_pl1=+3"
SecRule ARGS:a|ARGS:b "@streq x" "id:7,phase:2,deny,chain"
  SecRule MATCHED_VARS_NAMES "@streq ARGS:b" "t:none"
SecRule TX:/^seen_/ "@rx ." "id:8,phase:2,pass,nolog"
SecRule ARGS|!ARGS:free "@streq bad" "id:9,phase:2,deny"
SecRule ARGS "@streq %{request_method}" "id:10,phase:2,deny"
SecRuleUpdateTargetById 9 "!ARGS:also"
SecRule ARGS "@streq gone" "id:11,phase:2,deny"
SecRuleRemoveById 11-12
"#;
    let rules = read("walk", text).unwrap();
    let rows: &[(&str, &str, &[u32])] = &[
        ("a marker is jumped to", "/?q=a", &[2]),
        ("values are counted", "/?q=1&r=2&s=3", &[2, 4]),
        ("a list is looked into", "/?word=gamma", &[2, 5]),
        ("a word of the list", "/?word=alpha", &[2]),
        ("a chain that holds", "/?q=n7", &[2, 6, 8]),
        ("a chain that breaks has set what it set", "/?q=n8", &[2, 8]),
        ("the value that matched", "/?b=x", &[2, 7]),
        ("another value that matched", "/?a=x", &[2]),
        ("an exception", "/?free=bad&also=bad", &[2]),
        ("none", "/?other=bad", &[2, 9]),
        ("a place of the request", "/?q=GET", &[2, 10]),
        ("a rule that was removed", "/?q=gone", &[2]),
    ];
    for (name, target, expected) in rows {
        let found: Vec<_> = fired(&rules, target, &[]).into_iter().filter(|id| *id != 1).collect();
        assert_eq!(found, *expected, "{name}");
    }
}

#[test]
fn a_rule_counts_once_and_says_what_it_matched() {
    let text = "SecRule ARGS \"@streq x\" \"id:7,phase:2,deny,severity:WARNING,tag:'attack-xss'\"";
    let rules = read("score", text).unwrap();
    let headers = HeaderMap::new();
    let long = "n".repeat(100);
    let target = format!("/?a%0Ab{long}=x&c=x&d=x");
    let request = InspectedRequest {
        method: "GET",
        target: &target,
        version: Version::HTTP_11,
        headers: &headers,
        body: b"",
        body_complete: true,
        client: [192, 0, 2, 1].into(),
    };
    let found = rules.inspect(&request, &InspectionSettings::default());
    assert_eq!((found.score, found.matches.len()), (3, 1));
    let variable = &found.matches.first().unwrap().variable;
    assert!(variable.starts_with("ARGS:a?bnnn") && variable.len() == 64, "{variable}");
}

#[test]
fn exclusions_are_for_paths_and_arguments() {
    let text = "SecRule ARGS \"@streq x\" \"id:7,phase:2,deny\"";
    let rules = read("exclusions", text).unwrap();
    let exclusion = |paths: &[&str], arguments: &[&str]| RuleExclusion {
        rule: 7,
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        arguments: arguments.iter().map(|name| (*name).to_owned()).collect(),
    };
    let rows: &[(&str, RuleExclusion, &str, bool)] = &[
        ("all of it", exclusion(&[], &[]), "/?q=x", false),
        ("its path", exclusion(&["/search*"], &[]), "/search/a?q=x", false),
        ("another path", exclusion(&["/search*"], &[]), "/other?q=x", true),
        (
            "a path that leads elsewhere",
            exclusion(&["/search*"], &[]),
            "/search/../admin?q=x",
            true,
        ),
        (
            "a path that leads elsewhere, encoded",
            exclusion(&["/search*"], &[]),
            "/search/%2e%2e/admin?q=x",
            true,
        ),
        ("its argument", exclusion(&["/search"], &["q"]), "/search?q=x", false),
        ("another argument", exclusion(&["/search"], &["q"]), "/search?r=x", true),
        ("no beginning of a name", exclusion(&[], &["q*"]), "/search?query=x", true),
        ("not all names", exclusion(&[], &["*"]), "/search?query=x", true),
    ];
    for (name, exclusion, target, fires) in rows {
        assert_eq!(
            !fired(&rules, target, std::slice::from_ref(exclusion)).is_empty(),
            *fires,
            "{name}"
        );
    }
}

#[test]
fn a_walk_ends_when_it_is_told_to() {
    let rules = RuleSet::builtin().unwrap();
    let headers = HeaderMap::new();
    let request = InspectedRequest {
        method: "GET",
        target: "/",
        version: Version::HTTP_11,
        headers: &headers,
        body: b"",
        body_complete: true,
        client: [192, 0, 2, 1].into(),
    };
    assert!(rules.inspect_while(&request, &InspectionSettings::default(), &|| false).is_none());
}

#[test]
fn a_set_without_a_rule_that_scores_is_none() {
    let rows = [
        ("an emptied file", "", false),
        ("comments", "# nothing\n", false),
        ("rules that only steer", "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.a=1\"", false),
        ("a rule that refuses", "SecRule ARGS \"@streq x\" \"id:2,phase:2,deny\"", true),
        (
            "a rule that scores",
            "SecRule ARGS \"@streq x\" \"id:3,phase:2,pass,setvar:tx.inbound_anomaly_score_pl1=+5\"",
            true,
        ),
    ];
    for (name, text, is_one) in rows {
        assert_eq!(read("scores", text).is_ok(), is_one, "{name}");
    }
}
