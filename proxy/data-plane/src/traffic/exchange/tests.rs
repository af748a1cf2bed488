//! The sequence itself, with phases that wait, answer and refuse.
#![allow(clippy::unwrap_used, clippy::panic)]
use futures_util::FutureExt as _;
use http::StatusCode;
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;

use policy::PathNormalization;

use super::*;
use crate::control::config::Config;
use crate::http::body::{BodyError, BodyInspector};
use crate::http::headers::REASON_HEADER;
use crate::labels::{Direction, Protocol};
use crate::telemetry::LogWriter;
use crate::telemetry::metrics::TrafficLabels;
use crate::traffic::review::{RequestReview, ReviewedFacts};
use crate::traffic::state::ProxyState;

/// What a phase of the test does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Continue,
    Answer,
    Refuse,
}

/// Phases that note their names, one of which ends the exchange or waits.
struct TestPhases {
    context: HttpContext,
    called: Mutex<Vec<&'static str>>,
    special: (&'static str, Does),
    waits: Mutex<Option<oneshot::Receiver<()>>>,
    /// Whether policy refuses the request while its answer is waited for.
    withdrawn: bool,
    /// Whether the body came through to where it was sent.
    body_passed: Mutex<Option<bool>>,
}

/// Refuses every body.
struct RefusingInspector;

impl BodyInspector for RefusingInspector {
    fn inspect(&mut self, _: &[u8]) -> Result<(), BodyError> {
        Err(BodyError::Withdrawn)
    }
}

impl TestPhases {
    fn new(special: (&'static str, Does)) -> Self {
        let text = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\n";
        let config = Config::parse("p", text.as_bytes()).unwrap();
        let state = ProxyState::new(config.traffic_settings(), 1).unwrap();
        let log = LogWriter::start(std::io::sink()).unwrap();
        let worker = Worker::new(0, 1, state.clone(), log.sink());
        let address = "10.0.0.7:1".parse().unwrap();
        let connection = state.registry.register(0, Direction::Inbound, address, address, 0);
        let meter = worker.meter(TrafficLabels {
            direction: Direction::Inbound,
            source_principal: "a".into(),
            destination_principal: "b".into(),
            destination_service: "c".into(),
            protocol: Protocol::Http1,
            mtls: true,
        });
        let context = HttpContext::new(worker, (*connection).clone(), meter);
        Self {
            context,
            called: Mutex::default(),
            special,
            waits: Mutex::default(),
            withdrawn: false,
            body_passed: Mutex::default(),
        }
    }

    fn phase(&self, name: &'static str) -> Phase<()> {
        self.called.lock().push(name);
        match self.special {
            (special, Does::Answer) if special == name => {
                let answer =
                    Response::builder().status(302).body(Body::from_bytes("sign in")).unwrap();
                Err(PhaseEnd::Answer { response: Box::new(answer), reason: "sign_in" })
            }
            (special, Does::Refuse) if special == name => Err(RequestError::NotHttp.into()),
            _ => Ok(()),
        }
    }
}

impl ExchangePhases for TestPhases {
    type Target = ();
    type Permit = ();

    fn context(&self) -> &HttpContext {
        &self.context
    }
    fn sender(&self) -> SenderTrust {
        SenderTrust::Other
    }
    fn versions(&self, parts: &mut Parts) -> (Version, Version) {
        (parts.version, parts.version)
    }
    fn snapshot(&self) -> Option<Guard<Arc<Snapshot>>> {
        Some(self.context.worker.state.snapshot())
    }
    fn logged_host<'h>(&self, host: &'h HostName) -> &'h str {
        host.name()
    }
    async fn authenticate(&self, _: &mut Exchange<'_>) -> Phase<()> {
        let waits = self.waits.lock().take();
        if let Some(waits) = waits {
            waits.await.unwrap();
        }
        self.phase("authenticate")
    }
    async fn route(&self, _: &mut Exchange<'_>) -> Phase<()> {
        self.phase("route")
    }
    async fn authorize(&self, _: &mut Exchange<'_>, (): &()) -> Phase<()> {
        self.phase("authorize")
    }
    async fn limit(&self, exchange: &mut Exchange<'_>, (): &()) -> Phase<()> {
        assert!(exchange.body.inspect(16, Box::new(RefusingInspector)).is_ok());
        if self.withdrawn {
            let (connection, snapshot) = (&self.context.connection, self.snapshot().unwrap());
            let level = PathNormalization::default();
            let facts = exchange.facts();
            let nobody = AuthenticatedCaller::default();
            let reviewed = ReviewedFacts {
                normalization: level,
                remote_ip: None,
                caller: &nobody,
                listener: None,
            };
            let review = RequestReview::begin(connection, &snapshot, &facts, &reviewed);
            exchange.record.hold_review(review);
        }
        self.phase("limit")
    }
    async fn forward(
        &self,
        ready: ReadyRequest<Self>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        self.called.lock().push("forward");
        let passes = ready.request.into_body().collect().await;
        *self.body_passed.lock() = Some(passes.is_ok());
        if self.withdrawn {
            self.context.connection.review_all(&self.snapshot().unwrap());
            record.withdrawn().await;
            return Err(RequestError::Withdrawn);
        }
        let answer = Response::builder().header("keep-alive", "timeout=5");
        Ok(answer.body(Body::from_bytes("from the app")).unwrap())
    }
    async fn forward_upgrade(&self, _: ReadyRequest<Self>) -> Result<Response<Body>, RequestError> {
        Err(RequestError::NotHttp)
    }
    async fn stream(&self, _: Parts, stream: ConnectStream) {
        stream.refuse(&RequestError::UnknownStream);
    }
}

fn request(host: &str) -> Request<Body> {
    Request::builder().uri("/cart").header("host", host).body(Body::empty()).unwrap()
}

const ALL: [&str; 5] = ["authenticate", "route", "authorize", "limit", "forward"];

#[tokio::test]
async fn a_phase_continues_answers_or_refuses_and_nothing_after_it_runs() {
    for does in [Does::Answer, Does::Refuse] {
        for (count, name) in ALL[..4].iter().enumerate() {
            let handler = ExchangeHandler::new(TestPhases::new((name, does)));
            let (head, body) = handler.request(Box::new(request("cart"))).await.into_parts();
            let expect = match does {
                Does::Answer => StatusCode::FOUND,
                _ => RequestError::NotHttp.status(),
            };
            assert_eq!(head.status, expect, "{name} {does:?}");
            assert_eq!(*handler.0.called.lock(), ALL[..=count], "{name} {does:?}");
            let text = body.collect().await.unwrap().to_bytes();
            assert!(does == Does::Refuse || text == "sign in", "{name}");
        }
    }
}

#[tokio::test]
async fn the_gate_stands_before_all_phases_and_answers_are_cleaned() {
    let handler = ExchangeHandler::new(TestPhases::new(("", Does::Continue)));
    let refused = handler.request(Box::new(request("no host"))).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(*handler.0.called.lock(), [""; 0]);
    let answered = handler.request(Box::new(request("cart"))).await;
    assert!(!answered.headers().contains_key("keep-alive"), "a field of the last hop");
    assert_eq!(*handler.0.called.lock(), ALL);
}

/// A phase that need not wait delays nothing: the plain request passes in a single poll.
#[tokio::test]
async fn only_a_phase_that_waits_makes_an_exchange_wait() {
    let handler = ExchangeHandler::new(TestPhases::new(("", Does::Continue)));
    assert!(handler.request(Box::new(request("cart"))).now_or_never().is_some());
    let (go, waits) = oneshot::channel();
    *handler.0.waits.lock() = Some(waits);
    let waiting = handler.request(Box::new(request("cart")));
    tokio::pin!(waiting);
    assert!(waiting.as_mut().now_or_never().is_none(), "it waits for what the phase waits for");
    go.send(()).unwrap();
    assert_eq!(waiting.await.status(), StatusCode::OK);
}

/// A refusal of ours is no part of what policy judges: the client gets it whole, though the request itself is refused.
#[tokio::test]
async fn f12_policy_tightened_or_removed_before_the_answer_the_client_is_told() {
    let mut phases = TestPhases::new(("", Does::Continue));
    phases.withdrawn = true;
    let (head, body) =
        ExchangeHandler::new(phases).request(Box::new(request("cart"))).await.into_parts();
    assert_eq!(head.status, StatusCode::FORBIDDEN);
    assert_eq!(head.headers[REASON_HEADER], "policy_changed");
    let text = body.collect().await.unwrap().to_bytes();
    assert!(!text.is_empty());
}

#[tokio::test]
async fn a_phase_may_look_at_the_body() {
    for (body, passes) in [("", true), ("abc", false)] {
        let handler = ExchangeHandler::new(TestPhases::new(("", Does::Continue)));
        let request = request("cart").map(|_| Body::from_bytes(body));
        assert_eq!(handler.request(Box::new(request)).await.status(), StatusCode::OK);
        assert_eq!(*handler.0.body_passed.lock(), Some(passes), "{body:?}");
    }
}
