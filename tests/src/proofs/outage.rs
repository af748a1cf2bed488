//! P-06: the authority is away for half a lifetime, then until everything has expired.

use std::time::{Duration, Instant};

use super::stage::Stage;
use super::{Finding, Progress, Size};
use crate::wait;

/// How soon everything works again after the authority's return.
const RECOVERY: Duration = Duration::from_secs(5);

pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let lifetime = Duration::from_secs(size.pick(24, 60));
    let option = format!("{}s", lifetime.as_secs());
    let stage = Stage::start(&["--allow-short-lifetimes", "--leaf-lifetime", &option]);
    let outage = half_a_lifetime(&stage, lifetime, progress);
    let recovery = everything_expires(&stage, lifetime, progress);
    Finding {
        line: format!(
            "P-06 authority down for half a lifetime: {}; everything expired: ready again {:.1} s after the authority \
             returned",
            outage.line(),
            recovery.as_secs_f32()
        ),
        good: outage.good() && recovery <= RECOVERY,
    }
}

/// From 20 % to 70 % of everybody's certificate: what would be renewed at 40 to 60 % of it falls into the outage.
fn half_a_lifetime(
    stage: &Stage,
    lifetime: Duration,
    progress: &Progress,
) -> super::stage::TrafficReport {
    let traffic = stage.traffic();
    stage.renew_all();
    let fresh = Instant::now();
    wait::pass(fresh + lifetime.mul_f32(0.2));
    stage.mesh.authority().kill();
    let held = stage.agents_renewed();
    progress.say("the authority is gone, 20 % into everybody's certificate");
    wait::pass(fresh + lifetime.mul_f32(0.7));
    assert_eq!(stage.agents_renewed(), held, "somebody renewed without an authority");
    stage.mesh.authority().start_again();
    progress.say("it is back, at 70 %");
    wait::until_true("every agent to renew", || stage.agents_renewed() >= held + 3);
    wait::pass(fresh + lifetime.mul_f32(1.1));
    traffic.finish(stage)
}

/// How long after the authority's return everything is ready and a call is answered.
fn everything_expires(stage: &Stage, lifetime: Duration, progress: &Progress) -> Duration {
    stage.renew_all();
    stage.mesh.authority().kill();
    progress.say("the authority is gone until everything has expired");
    wait::until("every proxy to be unready", lifetime.mul_f32(1.5) + wait::PATIENCE, || {
        let ready = stage.pods().iter().filter(|pod| pod.is_ready()).count();
        if ready == 0 { Ok(()) } else { Err(format!("{ready} are ready")) }
    });
    stage.frontend.curl("http://cart:8080/cart/ann").expect_refusal(503, "no_certificate");
    progress.say("nothing is ready, calls are refused; the authority returns");
    stage.mesh.authority().start_again();
    let back = Instant::now();
    wait::until_true("every proxy to be ready and a call to be answered", || {
        stage.pods().iter().all(|pod| pod.is_ready())
            && stage.frontend.curl("http://cart:8080/cart/ann").status == 200
    });
    back.elapsed()
}
