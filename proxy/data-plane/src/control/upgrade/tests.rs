//! A predecessor and its successors in one process.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::channel::{Channel, ChannelError};
use super::frame::{Frame, MAX_DESCRIPTORS};
use super::*;
use crate::control::config::Config;
use crate::control::drain;
use crate::traffic::state::{DrainStage, ProxyState};

const LONG: Duration = Duration::from_secs(30);

/// A running proxy with so many sockets, of which `address` is one's.
struct Running {
    state: Arc<ProxyState>,
    point: MeetingPoint,
    pages: CancellationToken,
    address: std::net::SocketAddr,
    _directory: tempfile::TempDir,
}

fn state() -> Arc<ProxyState> {
    let text = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///a}\nlimits: {upgradeTimeout: 1s}\n";
    let config = Config::parse("p", text.as_bytes()).unwrap();
    ProxyState::new(config.traffic_settings(), 1).unwrap()
}

fn running(sockets: usize) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let point = MeetingPoint::Path(directory.path().join("u.sock"));
    let meeting_point = point.listen().unwrap();
    let (state, pages) = (state(), CancellationToken::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sockets = (0..sockets).map(|_| OwnedFd::from(listener.try_clone().unwrap())).collect();
    let hand_over = HandOver { state: state.clone(), meeting_point, sockets, pages: pages.clone() };
    tokio::spawn(keep_ready(hand_over));
    Running { state, point, pages, address, _directory: directory }
}

impl Running {
    fn stage(&self) -> DrainStage {
        *self.state.drain.borrow()
    }

    /// A process that says what it likes, and has received the sockets.
    async fn successor(&self) -> Channel {
        let channel = self.point.connect().unwrap();
        channel.send(&Frame::Request, &[]).await.unwrap();
        while let (Frame::Sockets { remaining: 1.. }, _) = channel.receive().await.unwrap() {}
        channel
    }
}

#[tokio::test]
async fn every_socket_is_handed_over_in_as_many_messages_as_it_takes() {
    for many in [1, MAX_DESCRIPTORS - 1, MAX_DESCRIPTORS, 3 * MAX_DESCRIPTORS] {
        let running = running(many);
        let (successor, mut sockets) = Successor::ask(&running.point, LONG).await.unwrap();
        assert_eq!(sockets.len(), many);
        assert_eq!(sockets.take(running.address).len(), many);
        assert!(sockets.take_meeting_point(&running.point).unwrap().is_some());
        assert_eq!(running.stage(), DrainStage::No, "it goes on");
        successor.accepting().await.unwrap();
        assert_eq!(running.stage(), DrainStage::HandedOver);
        assert!(running.pages.is_cancelled());
    }
}

#[tokio::test]
async fn whatever_a_successor_does_before_it_accepts_changes_nothing() {
    let running = running(2);
    for (name, says) in [
        ("it ends at once", vec![]),
        ("it speaks another version", vec![b"PSTN\0\x02\x01\0".to_vec()]),
        ("it speaks another language", vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()]),
        ("it accepts what it has not got", vec![Frame::Accepting.encode()]),
        ("it asks twice", vec![Frame::Request.encode(), Frame::Request.encode()]),
        ("it refuses", vec![Frame::Request.encode(), Frame::Refused("no".into()).encode()]),
    ] {
        let socket = running.point.raw();
        for bytes in says {
            rustix::net::send(&socket, &bytes, rustix::net::SendFlags::NOSIGNAL).unwrap();
        }
        drop(socket);
        // The next one is served: nothing is left of the one before.
        let channel = running.served().await;
        drop(channel);
        assert_eq!(running.stage(), DrainStage::No, "{name}");
    }
}

impl Running {
    /// Asks until nobody else is being served.
    async fn served(&self) -> Successor {
        loop {
            match Successor::ask(&self.point, LONG).await {
                Ok((successor, _)) => return successor,
                Err(error) => assert!(error.to_string().contains("another upgrade"), "{error:#}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_second_upgrade_at_the_same_time_is_refused() {
    let running = running(1);
    let first = running.successor().await;
    let second = Successor::ask(&running.point, LONG).await.unwrap_err();
    assert_eq!(
        second.to_string(),
        "cannot upgrade: another upgrade is under way: wait until it has ended, and try again"
    );
    first.send(&Frame::Accepting, &[]).await.unwrap();
    assert_eq!(first.receive().await.unwrap().0, Frame::Released);
}

#[tokio::test]
async fn nobody_is_there() {
    let point = MeetingPoint::Path("/nowhere/u.sock".into());
    let error = Successor::ask(&point, LONG).await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot upgrade: no running proxy waits at /nowhere/u.sock"),
        "{error}"
    );
    assert!(error.contains("start without `--upgrade`"), "{error}");
}

#[tokio::test]
async fn a_successor_that_is_never_ready_gives_up() {
    let running = running(1);
    let limit = Duration::from_millis(200);
    let (mut successor, _) = Successor::ask(&running.point, limit).await.unwrap();
    let error = successor.prepare(&state()).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot upgrade: not ready within 200ms ("), "{error}");
    drop(successor);
    assert_eq!(running.stage(), DrainStage::No);
    running.served().await.accepting().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_predecessor_gives_up_one_that_says_nothing() {
    let running = running(1);
    let hung = running.successor().await;
    // One second, as its configuration says, and what a frame may take.
    let refused = hung.receive_within(LONG).await;
    assert!(matches!(&refused, Err(ChannelError::Refused(_))), "{refused:?}");
    assert_eq!(running.stage(), DrainStage::No);
    running.served().await.accepting().await.unwrap();
}

/// A successor with a socket, and the other end of its channel.
async fn successor_of_nobody() -> (Successor, Channel) {
    let directory = tempfile::tempdir().unwrap();
    let point = MeetingPoint::Path(directory.path().join("u.sock"));
    let listener = point.listen().unwrap();
    let asks = tokio::spawn(async move { Successor::ask(&point, LONG).await.unwrap().0 });
    let predecessor = listener.accept().await.unwrap();
    assert_eq!(predecessor.receive().await.unwrap().0, Frame::Request);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    predecessor.send(&Frame::Sockets { remaining: 0 }, &[socket.as_fd()]).await.unwrap();
    (asks.await.unwrap(), predecessor)
}

#[tokio::test]
async fn a_predecessor_that_dies_leaves_its_place() {
    let (mut successor, predecessor) = successor_of_nobody().await;
    drop(predecessor);
    assert_eq!(successor.prepare(&state()).await.unwrap(), Preparation::Ready);
    successor.accepting().await.unwrap();
    let (successor, predecessor) = successor_of_nobody().await;
    drop(predecessor);
    successor.accepting().await.unwrap();
}

#[tokio::test]
async fn a_predecessor_that_has_given_up_is_believed() {
    let refused = "cannot upgrade: the running proxy says: too late";
    let (mut successor, predecessor) = successor_of_nobody().await;
    predecessor.send(&Frame::Refused("too late".into()), &[]).await.unwrap();
    let error = successor.prepare(&state()).await.unwrap_err();
    assert_eq!(error.to_string(), refused, "while it prepares");
    for reads in [true, false] {
        let (successor, predecessor) = successor_of_nobody().await;
        predecessor.send(&Frame::Refused("too late".into()), &[]).await.unwrap();
        if !reads {
            drop(predecessor);
        }
        let error = successor.accepting().await.unwrap_err();
        assert_eq!(error.to_string(), refused, "when it accepts");
    }
}

#[tokio::test]
async fn a_proxy_that_ends_takes_its_socket_away_and_serves_whom_it_promised() {
    let ended = running(1);
    drain::announce(&ended.state);
    while Successor::ask(&ended.point, LONG).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let ending = running(1);
    let promised = ending.served().await;
    drain::announce(&ending.state);
    promised.accepting().await.unwrap();
    assert_eq!(ending.stage(), DrainStage::HandedOver);
}

#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let point = MeetingPoint::Path(directory.path().join("u.sock"));
    let listener = point.listen().unwrap();
    let others: Vec<_> = std::iter::from_fn(|| point.connect().ok()).collect();
    assert!(others.len() >= 16);
    let asks = tokio::spawn(async move { Successor::ask(&point, LONG).await.map(drop) });
    for _ in others {
        drop(listener.accept().await.unwrap());
        tokio::task::yield_now().await;
    }
    let successor = listener.accept().await.unwrap();
    successor.send(&Frame::Refused("enough".into()), &[]).await.unwrap();
    let error = asks.await.unwrap().unwrap_err().to_string();
    assert_eq!(error, "cannot upgrade: enough");
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_finds_another_one_stands_by_until_it_is_gone() {
    let name = format!("postern-test/stand-by/{}", std::process::id());
    let point = MeetingPoint::Abstract(name.clone());
    let runs = stand_by(&point, false).await.unwrap().unwrap();
    let error = stand_by(&point, true).await.unwrap_err();
    assert_eq!(
        error.kind(),
        std::io::ErrorKind::AddrInUse,
        "a socket that the configuration names"
    );
    let waits = tokio::spawn(async move { stand_by(&point, false).await });
    tokio::time::sleep(LONG).await;
    assert!(!waits.is_finished());
    drop(runs);
    let next = waits.await.unwrap().unwrap().unwrap();
    assert_eq!(next.point().to_string(), format!("@{name}"));
}
