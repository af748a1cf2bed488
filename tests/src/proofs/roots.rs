//! P-02: the root is replaced in three steps under load; nobody notices.

use std::time::{Duration, Instant};

use super::stage::Stage;
use super::{Finding, Progress, Size};
use crate::process::Finished;
use crate::wait;

pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let lifetime = Duration::from_secs(size.pick(6, 30));
    let option = format!("{}s", lifetime.as_secs());
    let stage = Stage::start(&["--allow-short-lifetimes", "--leaf-lifetime", &option]);
    let authority = stage.mesh.authority();
    let traffic = stage.traffic();
    authority.root("prepare").ok();
    progress.say("the new root is published");
    let early = authority.root("activate");
    assert_ne!(early.code, 0, "activated before everybody can know the new root");
    when_it_is_time(lifetime, || authority.root("activate"));
    progress.say("the new root signs");
    let refused = expect_names(&stage, authority.root("retire"));
    when_it_is_time(lifetime * 3, || authority.root("retire"));
    progress.say("the old root is gone");
    let gone = Instant::now();
    wait::until_true("every agent to believe one root", || {
        stage.pods().iter().all(|pod| pod.agent_roots() == 1)
    });
    let heard = gone.elapsed();
    // A lifetime more: whatever depends on the old root would fail by then.
    wait::pass(gone + lifetime);
    let report = traffic.finish(&stage);
    Finding {
        line: format!(
            "P-02 three-step root rotation, {}; retire too early was refused, naming {refused} who still used the old \
             root; its end known everywhere after {:.1} s",
            report.line(),
            heard.as_secs_f32(),
        ),
        good: report.good() && refused > 0 && heard <= Duration::from_secs(10),
    }
}

/// Tries a step again until it is time for it; every refusal before must say until when.
fn when_it_is_time(patience: Duration, step: impl Fn() -> Finished) {
    let mut pace = wait::Pace::every(Duration::from_millis(500));
    wait::until("the step to be taken", patience + wait::PATIENCE, || {
        pace.wait();
        let tried = step();
        if tried.code == 0 {
            return Ok(());
        }
        assert!(tried.stderr.contains("(in "), "{}", tried.stderr);
        Err(tried.stderr)
    });
}

/// How many of our identities a refused `retire` names.
fn expect_names(stage: &Stage, refused: Finished) -> usize {
    assert_ne!(refused.code, 0, "the old root was given up while it was in use");
    stage.pods().iter().filter(|pod| refused.stderr.contains(&pod.spiffe_id())).count()
}
