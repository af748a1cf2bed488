#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::ErrorKind;
use std::sync::Arc;

use message_access::{AccessRequest, Operation};
use prometheus::IntGauge;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::connection::registry::{RegisteredConnection, Registry};
use crate::labels::Direction;
use crate::traffic::held_memory::MemoryBudget;

/// Speaks lines: `hi` is the greeting, `bad` breaks the protocol, `wait` asks the broker something and is heard again when
/// it has answered, `many` opens so much that it is judged again in turns, everything else is published to that topic.
#[derive(Default)]
struct LineSession {
    beginning: Vec<u8>,
    established: bool,
    waits: bool,
    subscriptions: usize,
    /// In how many turns what is open is judged again.
    turns: usize,
    unjudged: usize,
}

impl Session for LineSession {
    fn client_said(
        &mut self,
        bytes: Bytes,
        _: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        for byte in bytes {
            self.beginning.push(byte);
            if byte == b'\n' {
                let line = std::mem::take(&mut self.beginning);
                self.line(&line, judge, output)?;
            }
        }
        Ok(())
    }

    fn broker_said(
        &mut self,
        bytes: Bytes,
        _: Moment,
        _: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        self.waits = false;
        output.to_client.push_back(bytes);
        Ok(())
    }

    fn policy_changed(
        &mut self,
        _: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        self.unjudged = if self.unjudged == 0 { self.turns } else { self.unjudged - 1 };
        if self.unjudged > 0 {
            return Ok(());
        }
        let kept = judge.would_allow(&AccessRequest::on_topic(Operation::Subscribe, "open"));
        output.to_client.push_back(if kept { "kept\n".into() } else { "revoked\n".into() });
        if kept { Ok(()) } else { Err(SessionEnd::Denied) }
    }

    fn has_unjudged(&self) -> bool {
        self.unjudged > 0
    }

    fn client_closed(&mut self, output: &mut Output) {
        output.to_broker.push_back("bye\n".into());
    }

    fn wants_more(&self) -> bool {
        !self.waits
    }

    fn is_established(&self) -> bool {
        self.established
    }

    fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    fn held(&self) -> usize {
        self.beginning.len()
    }
}

impl LineSession {
    fn line(
        &mut self,
        line: &[u8],
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let topic = std::str::from_utf8(line).unwrap().trim_end();
        match topic {
            "hi" => self.established = true,
            "open" => self.subscriptions += 1,
            "bad" => {
                output.to_client.push_back("last words\n".into());
                return Err(SessionEnd::Malformed("bad".to_owned()));
            }
            "wait" => self.waits = true,
            "many" => self.turns = 1000,
            _ => {}
        }
        if judge.decide(&AccessRequest::on_topic(Operation::Publish, topic)) {
            output.to_broker.push_back(Bytes::copy_from_slice(line));
        } else {
            output.to_client.push_back("denied\n".into());
        }
        Ok(())
    }
}

/// Allows everything but the topic `no`, and what was open once it is told so.
struct TestJudge(Arc<std::sync::atomic::AtomicBool>);

impl Judge for TestJudge {
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool {
        request.topic != Some("no")
    }

    fn would_allow(&mut self, _: &AccessRequest<'_>) -> bool {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    fn principal(&self) -> Option<&str> {
        None
    }
}

/// A client and a broker with a pump between them; the pipes hold few bytes, so that everything moves in parts.
struct Scene {
    client: DuplexStream,
    broker: DuplexStream,
    connection: RegisteredConnection,
    keeps_open: Arc<std::sync::atomic::AtomicBool>,
    gauge: IntGauge,
    pumped: JoinHandle<(PumpEnd, bool)>,
}

impl Scene {
    fn new() -> Self {
        Self::with(1000, 64 << 20)
    }

    fn with(pipe: usize, memory: usize) -> Self {
        Self::sharing(pipe, &MemoryBudget::new(memory))
    }

    fn sharing(pipe: usize, memory: &MemoryBudget) -> Self {
        let (client, near_client) = duplex(pipe);
        let (near_broker, broker) = duplex(700);
        let registry = Arc::new(Registry::new(1));
        let address = ([127, 0, 0, 1], 4222).into();
        let connection = registry.register(0, Direction::Inbound, address, address, 0);
        let review = SessionReview::begin(&connection);
        let keeps_open = Arc::new(true.into());
        let mut judge = TestJudge(Arc::clone(&keeps_open));
        let gauge = IntGauge::new("open", "open").unwrap();
        let upkeep = Upkeep::new(memory.hold(), gauge.clone());
        let pumped = tokio::spawn(async move {
            let mut session = LineSession::default();
            let spoken =
                Spoken { session: &mut session, judge: &mut judge, review: &review, upkeep };
            let mut pump = Pump::new(near_client, near_broker, spoken, Duration::from_secs(10));
            let end = pump.run().await;
            let said = matches!(end, PumpEnd::Session(_)) && pump.say_last_words().await;
            (end, said)
        });
        Self { client, broker, connection, keeps_open, gauge, pumped }
    }

    fn change_policy(&self, keeps_open: bool) {
        self.keeps_open.store(keeps_open, std::sync::atomic::Ordering::Relaxed);
        let empty = policy::Resources::empty("postern-system");
        let workload = policy::Workload {
            namespace: "bank".into(),
            service_account: "broker".into(),
            labels: [].into(),
        };
        let snapshot = policy::Snapshot::build(&empty, &workload, &Default::default());
        self.connection.review_all(&snapshot);
    }
}

async fn heard(from: &mut DuplexStream, expect: &str) {
    let mut bytes = vec![0; expect.len()];
    from.read_exact(&mut bytes).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&bytes), expect);
}

#[tokio::test]
async fn what_is_allowed_passes_in_order_and_the_rest_is_answered_however_it_is_split() {
    for piece in [1, 7, 5000] {
        let Scene { client, mut broker, pumped, .. } = Scene::new();
        let said: String =
            (0..500).map(|n| if n % 5 == 0 { "no\n".into() } else { format!("t{n}\n") }).collect();
        let expect: String = (0..500).filter(|n| n % 5 != 0).map(|n| format!("t{n}\n")).collect();
        let (mut read, mut write) = tokio::io::split(client);
        let asking = tokio::spawn(async move {
            write.write_all(b"hi\n").await.unwrap();
            for piece in said.as_bytes().chunks(piece) {
                write.write_all(piece).await.unwrap();
            }
            write.shutdown().await.unwrap();
        });
        let denied = tokio::spawn(async move {
            let mut all = String::new();
            read.read_to_string(&mut all).await.unwrap();
            all
        });
        let mut seen = String::new();
        broker.read_to_string(&mut seen).await.unwrap();
        assert_eq!(seen, format!("hi\n{expect}bye\n"), "pieces of {piece}");
        broker.shutdown().await.unwrap();
        asking.await.unwrap();
        assert_eq!(denied.await.unwrap(), "denied\n".repeat(100), "pieces of {piece}");
        assert!(matches!(pumped.await.unwrap().0, PumpEnd::Done));
    }
}

/// Takes an end out of its place.
fn taken(end: &mut DuplexStream) -> DuplexStream {
    std::mem::replace(end, duplex(1).0)
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_not_heard_any_more_and_loses_nothing() {
    let Scene { client, mut broker, .. } = Scene::with(2 << 20, 64 << 20);
    // The answers to a million refusals fit nowhere.
    let (mut read, mut write) = tokio::io::split(client);
    let asking = tokio::spawn(async move {
        write.write_all(b"hi\n").await.unwrap();
        for _ in 0..1000 {
            write.write_all(&b"no\n".repeat(1000)).await.unwrap();
        }
    });
    heard(&mut broker, "hi\n").await;
    tokio::task::yield_now().await;
    let mut denied = vec![0; 7_000_000];
    read.read_exact(&mut denied).await.unwrap();
    asking.await.unwrap();
    assert!(denied.chunks(7).all(|line| line == b"denied\n"));
}

#[tokio::test]
async fn a_broker_that_answers_before_it_reads_on_is_heard() {
    let Scene { mut client, mut broker, pumped: _pumped, .. } = Scene::new();
    let long = format!("{}\n", "x".repeat(4 * UNREAD));
    client.write_all(b"hi\n").await.unwrap();
    heard(&mut broker, "hi\n").await;
    let said = long.clone();
    let (mut read, mut write) = tokio::io::split(client);
    let saying = tokio::spawn(async move { write.write_all(said.as_bytes()).await.unwrap() });
    // All of the line is heard, and waits.
    heard(&mut broker, &long[..1]).await;
    saying.await.unwrap();
    let answer = "a".repeat(4 * UNREAD);
    let (mut listens, mut speaks) = tokio::io::split(broker);
    let told = answer.clone();
    let speaking = tokio::spawn(async move { speaks.write_all(told.as_bytes()).await.unwrap() });
    let mut answered = vec![0; answer.len()];
    let reading = read.read_exact(&mut answered);
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("it is heard").unwrap();
    speaking.await.unwrap();
    let mut rest = vec![0; long.len() - 1];
    listens.read_exact(&mut rest).await.unwrap();
    assert_eq!(rest, &long.as_bytes()[1..]);
}

#[tokio::test]
async fn a_client_that_waits_for_the_broker_is_heard_again_after_its_answer() {
    let Scene { mut client, mut broker, .. } = Scene::new();
    client.write_all(b"hi\nwait\n").await.unwrap();
    heard(&mut broker, "hi\nwait\n").await;
    client.write_all(b"next\n").await.unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(20), broker.read_u8()).await;
    assert!(silent.is_err(), "heard before the answer");
    broker.write_all(b"answer\n").await.unwrap();
    heard(&mut client, "answer\n").await;
    heard(&mut broker, "next\n").await;
}

#[tokio::test]
async fn a_broker_that_ends_ends_a_client_that_waits_for_it() {
    let Scene { mut client, mut broker, pumped, .. } = Scene::new();
    client.write_all(b"hi\nwait\n").await.unwrap();
    heard(&mut broker, "hi\nwait\n").await;
    broker.shutdown().await.unwrap();
    assert!(matches!(pumped.await.unwrap().0, PumpEnd::Done));
    assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn each_direction_ends_on_its_own() {
    let Scene { mut client, mut broker, pumped, .. } = Scene::new();
    client.write_all(b"hi\n").await.unwrap();
    client.shutdown().await.unwrap();
    heard(&mut broker, "hi\nbye\n").await;
    assert_eq!(broker.read(&mut [0; 8]).await.unwrap(), 0);
    let answering = tokio::spawn(async move {
        broker.write_all(&b"late\n".repeat(1000)).await.unwrap();
        broker.shutdown().await.unwrap();
    });
    let mut late = Vec::new();
    client.read_to_end(&mut late).await.unwrap();
    assert_eq!(late.len(), 5000);
    answering.await.unwrap();
    assert!(matches!(pumped.await.unwrap().0, PumpEnd::Done));
}

#[tokio::test]
async fn last_words_are_heard_and_then_nothing() {
    let Scene { mut client, mut broker, pumped, gauge, .. } = Scene::new();
    client.write_all(b"hi\nopen\n").await.unwrap();
    heard(&mut broker, "hi\nopen\n").await;
    assert_eq!(gauge.get(), 1);
    client.write_all(b"bad\nnever\n").await.unwrap();
    let mut words = String::new();
    client.read_to_string(&mut words).await.unwrap();
    assert_eq!(words, "last words\n");
    // What is unread is forgotten until the client ends as well.
    client.write_all(&b"more\n".repeat(1000)).await.unwrap();
    drop((client, broker));
    let (end, said) = pumped.await.unwrap();
    assert!(matches!(end, PumpEnd::Session(SessionEnd::Malformed(_))) && said);
    assert_eq!(gauge.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn s05_nobody_waits_for_ever_for_who_reads_nothing_and_never_ends() {
    let Scene { mut client, mut broker, pumped, .. } = Scene::with(5, 64 << 20);
    client.write_all(b"hi\n").await.unwrap();
    heard(&mut broker, "hi\n").await;
    client.write_all(b"bad\n").await.unwrap();
    // Five of the eleven bytes fit into the pipe.
    assert!(!pumped.await.unwrap().1);
}

#[tokio::test(start_paused = true)]
async fn p08_a_client_that_does_not_introduce_itself_is_closed() {
    let Scene { mut client, pumped, .. } = Scene::new();
    client.write_all(b"h").await.unwrap();
    assert!(matches!(pumped.await.unwrap().0, PumpEnd::Silent));
    let Scene { mut client, pumped, broker, .. } = Scene::new();
    client.write_all(b"hi\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!pumped.is_finished());
    drop(broker);
}

#[tokio::test]
async fn p03_a_change_of_policy_is_told_to_the_session() {
    let mut scene = Scene::new();
    let (mut client, mut broker) = (taken(&mut scene.client), taken(&mut scene.broker));
    client.write_all(b"hi\n").await.unwrap();
    heard(&mut broker, "hi\n").await;
    scene.change_policy(true);
    heard(&mut client, "kept\n").await;
    scene.change_policy(false);
    heard(&mut client, "revoked\n").await;
    drop((client, broker));
    let (end, said) = scene.pumped.await.unwrap();
    assert!(matches!(end, PumpEnd::Session(SessionEnd::Denied)) && said);
}

#[tokio::test]
async fn s48_limit_and_metric_keys_a_message_without_end_is_a_limit() {
    let Scene { mut client, broker, pumped, .. } = Scene::with(1000, 1 << 20);
    client.write_all(b"hi\n").await.unwrap();
    let endless =
        tokio::spawn(async move { while client.write_all(&[b'x'; 1000]).await.is_ok() {} });
    let mut broker = broker;
    heard(&mut broker, "hi\n").await;
    drop(broker);
    let (end, _) = pumped.await.unwrap();
    assert!(matches!(end, PumpEnd::Session(SessionEnd::Limit(_))), "{end:?}");
    endless.await.unwrap();
}

#[tokio::test]
async fn s48_limit_and_metric_keys_room_is_given_back_when_what_waited_is_written() {
    let memory = MemoryBudget::new(256 << 10);
    let mut open = Vec::new();
    let long = format!("{}\n", "x".repeat(300 << 10));
    for number in 0..3 {
        let mut scene = Scene::sharing(1000, &memory);
        let (mut client, mut broker) = (taken(&mut scene.client), taken(&mut scene.broker));
        let said = format!("hi\n{long}");
        let (written, ()) =
            tokio::join!(client.write_all(said.as_bytes()), heard(&mut broker, &said));
        written.unwrap();
        assert!(!scene.pumped.is_finished(), "session {number}");
        // Silent from now on, and open.
        open.push((client, broker, scene));
    }
    assert!(memory.hold().grow_to(256 << 10), "all of it is free again");
}

#[tokio::test]
async fn f12_policy_tightened_or_removed_what_is_judged_again_in_turns_leaves_others_theirs() {
    let mut scene = Scene::new();
    let (mut client, mut broker) = (taken(&mut scene.client), taken(&mut scene.broker));
    client.write_all(b"hi\nmany\n").await.unwrap();
    heard(&mut broker, "hi\nmany\n").await;
    let turns = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let others = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    scene.change_policy(false);
    heard(&mut client, "revoked\n").await;
    let turns = turns.load(std::sync::atomic::Ordering::Relaxed);
    assert!(turns > 500, "others had {turns} turns");
    others.abort();
    drop((client, broker));
    assert!(matches!(scene.pumped.await.unwrap().0, PumpEnd::Session(SessionEnd::Denied)));
}

#[tokio::test]
async fn f14_a_side_that_breaks_is_no_end() {
    let Scene { mut client, broker, pumped, .. } = Scene::new();
    drop(broker);
    let _ = client.write_all(b"hi\nmore\n").await;
    let (end, _) = pumped.await.unwrap();
    assert!(matches!(&end, PumpEnd::Broken(error) if error.kind() == ErrorKind::BrokenPipe));
}
