//! What the kernel is told of a connection.
#![allow(clippy::unwrap_used)]

use tokio::net::TcpListener;

use super::*;

const KEEPALIVE: Duration = Duration::from_secs(15);

fn dialled(within_pod: bool) -> DialOptions {
    let timeout = Duration::from_secs(5);
    DialOptions {
        source: None,
        mark: None,
        timeout,
        keepalive: KEEPALIVE,
        traffic: false,
        within_pod,
    }
}

fn patience(stream: &TcpStream) -> Option<Duration> {
    SockRef::from(stream).tcp_user_timeout().unwrap()
}

/// What the kernel cuts that lies unread, although the peer acknowledges every probe.
#[tokio::test]
async fn only_a_connection_within_the_pod_may_lie_unread() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    set_options(&SockRef::from(&listener), KEEPALIVE).unwrap();
    let address = listener.local_addr().unwrap();
    for (name, within_pod, expect) in
        [("over the network", false, Some(USER_TIMEOUT)), ("to the app", true, None)]
    {
        let stream = dialled(within_pod).connect(address).await.unwrap();
        assert_eq!(patience(&stream), expect, "{name}");
        let probes = SockRef::from(&stream);
        assert_eq!(probes.tcp_keepalive_time().unwrap(), KEEPALIVE, "{name}");
        assert_eq!(probes.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES, "{name}");
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(patience(&accepted), Some(USER_TIMEOUT), "{name}: accepted");
        let_rest_within_pod(&accepted);
        assert_eq!(patience(&accepted), None, "{name}: accepted over loopback");
    }
}

/// F-15: the limit and the keep-alive of an idle connection, from the defaults.
#[test]
fn f15_upstream_half_open_within_the_pod_is_noticed_by_its_silence() {
    let keepalive = Limits::default().tcp_keepalive;
    assert!(keepalive + keepalive / 3 * KEEPALIVE_RETRIES <= Duration::from_secs(30));
}
