//! F-30: many agents are refused while the authority is away, and come back together; the authority turns some away
//! for a while, and nobody's certificate expires.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Finding, Progress, Size, grouped};
use crate::binaries::binary;
use crate::logs::LogLine;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::process::Process;
use crate::wait;

/// Real agents, each a process with an identity, a key and a state of its own.
struct Herd {
    agents: Vec<Process>,
}

/// What one agent's log says of its certificates.
#[derive(Default)]
struct Life {
    renewals: usize,
    turned_away: usize,
    /// The end of the certificate held, Unix seconds.
    held_until: Option<i64>,
    expired: bool,
}

pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let count = size.pick(30, 500);
    let lifetime = Duration::from_secs(size.pick(45, 120));
    let seconds = format!("{}s", lifetime.as_secs());
    let mesh = Mesh::with_authority_and(&["--allow-short-lifetimes", "--leaf-lifetime", &seconds]);
    let pod = mesh.pod("herd").outside().start();
    let herd = Herd::start(&pod, count);
    wait::until_true("every agent to hold a certificate", || herd.all_renewed_after(&[]));
    mesh.authority().kill();
    let before = herd.lives();
    progress.say(&format!("{count} agents hold certificates of {seconds}; the authority is gone"));
    // By then most have tried in vain, and wait for their next attempt.
    let first_end = before.iter().filter_map(|life| life.held_until).min().unwrap_or_default();
    wait::pass_unix(first_end - i64::try_from(lifetime.as_secs() * 3 / 10).unwrap_or(0));
    // Fewer in a minute than there are agents: some are told to ask again.
    let rate = size.pick(count - count / 10, count * 3 / 4).to_string();
    mesh.authority().start_again_with(&["--global-issue-rate", &rate]);
    progress.say(&format!("it is back, and signs {rate} certificates a minute at most"));
    let back = Instant::now();
    let all = wait::holds_within(lifetime, || herd.all_renewed_after(&before));
    // A small herd may be so spread out that nobody is turned away.
    let crowded = size.pick(false, true);
    told(&herd.lives(), all, back.elapsed(), crowded)
}

fn told(lives: &[Life], all: bool, took: Duration, crowded: bool) -> Finding {
    let expired = lives.iter().filter(|life| life.expired).count();
    let turned_away: usize = lives.iter().map(|life| life.turned_away).sum();
    let number = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
    Finding {
        line: format!(
            "F-30 {} agents {} together within {:.1} s, {} times told to ask again later, {} expired",
            number(lives.len()),
            if all { "renewed" } else { "did not all renew" },
            took.as_secs_f32(),
            number(turned_away),
            number(expired),
        ),
        good: all && expired == 0 && (turned_away > 0 || !crowded),
    }
}

impl Herd {
    fn start(pod: &Pod, count: usize) -> Self {
        let authority = pod.mesh().authority();
        fs::copy(authority.bundle(), pod.directory().join("trust-bundle.pem")).expect("a bundle");
        // First all the tokens, which take a program each, so that the agents start close together.
        let names: Vec<_> = (0..count).map(|number| format!("agent-{number}")).collect();
        for name in &names {
            give_token(pod, name);
        }
        let agents = names.iter().map(|name| start_agent(pod, name)).collect();
        Self { agents }
    }

    fn lives(&self) -> Vec<Life> {
        self.agents.iter().map(|agent| Life::read(&agent.stderr())).collect()
    }

    /// Whether each agent has at least one certificate more than it had `before`.
    fn all_renewed_after(&self, before: &[Life]) -> bool {
        let had = before.iter().map(|life| life.renewals).chain(std::iter::repeat(0));
        self.lives().iter().zip(had).all(|(life, had)| life.renewals > had)
    }
}

fn give_token(pod: &Pod, name: &str) {
    let home = pod.directory().join(name);
    fs::create_dir_all(&home).expect("an agent's directory");
    let token = pod.mesh().authority().token(&format!("spiffe://cluster.local/ns/shop/sa/{name}"));
    fs::write(home.join("join-token"), token).expect("a token file");
}

fn start_agent(pod: &Pod, name: &str) -> Process {
    let inside = |file: &str| format!("/run/postern/{name}/{file}");
    let address = pod.mesh().authority().address().to_string();
    let arguments = [
        "run",
        "--authority",
        &address,
        "--trust-bundle",
        "/run/postern/trust-bundle.pem",
        "--socket",
        &inside("agent.sock"),
        "--state-dir",
        &inside("state"),
        "--join-token-file",
        &inside("join-token"),
    ];
    pod.start_program(name, &binary("postern-cert-agent"), &arguments)
}

impl Life {
    /// A certificate expired when the next one came after its end, or none came.
    fn read(log: &str) -> Self {
        let mut life = Self::default();
        for LogLine(line) in LogLine::read(log) {
            match line["message"].as_str() {
                Some("renewed") => {
                    life.renewals += 1;
                    life.expired |= life.held_until.is_some_and(|end| written_at(&line) > end);
                    life.held_until = line["not_after"].as_i64();
                }
                Some(_) if line.to_string().contains("ask again later") => life.turned_away += 1,
                _ => {}
            }
        }
        let now = OffsetDateTime::now_utc().unix_timestamp();
        life.expired |= life.held_until.is_none_or(|end| now > end);
        life
    }
}

fn written_at(line: &Value) -> i64 {
    let text = line["timestamp"].as_str().expect("a log line says when");
    OffsetDateTime::parse(text, &Rfc3339).expect("RFC 3339").unix_timestamp()
}
