//! What is measured: the table of rows.
//!
//! A row is a load, what the proxies are told of its protocol, the figure taken, and who is measured in turn.

use crate::contender::{
    BARE, BARE_H1, BARE_ONE, BARE_TWO, Contender, DIRECT, ENVOY_H1, ENVOY_H2, ENVOY_TCP,
    HAPROXY_H1, HAPROXY_H2, HAPROXY_ONE, HAPROXY_TCP, HAPROXY_TWO, NGINX, POSTERN, POSTERN_MANY,
    POSTERN_ONE, POSTERN_TWO,
};

/// What one line of the results is about.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name on the command line and in the results.
    pub(crate) name: &'static str,
    /// What a reader of the results wants to know.
    pub(crate) title: &'static str,
    pub(crate) protocol: Protocol,
    pub(crate) load: Load,
    pub(crate) figure: Figure,
    /// Measured in this order, in turn, so often as pairs are asked for.
    pub(crate) contenders: &'static [Contender],
    /// Whether it is worth its time when there is little.
    pub(crate) main: bool,
}

impl Row {
    /// Whether it compares each program with itself in another setting: the second contender with the first, the fourth
    /// with the third. Otherwise Postern is compared with all others.
    pub(crate) fn is_pairwise(&self) -> bool {
        self.contenders.iter().filter(|contender| contender.is_ours()).count() > 1
    }
}

/// What the proxies are told of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    /// HTTP/2 without TLS from the client and to the app.
    Http2,
    /// Bytes as they are.
    Opaque,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// wrk: 64 keep-alive connections, answers of so many bytes.
    Wrk(usize),
    /// wrk: each request on a connection of its own, 64 at a time.
    WrkClosing,
    /// h2load: 16 connections of 32 streams each.
    H2load,
    /// h2load, each request a gRPC call with one message, each answer a message and trailers.
    GrpcUnary,
    /// gRPC calls of 100 messages, each answered before the next is sent.
    GrpcStream,
    /// One connection, as many bytes as go through.
    Bulk(Direction),
    /// mTLS straight to the inbound proxy, a connection and a request at a time, 16 side by side.
    HandshakesIn,
    /// wrk over opaque connections that end with each request, to an inbound proxy that has a TLS connection for each.
    HandshakesOut,
    /// A thousand requests a second, each when it is due.
    Rate,
    /// A thousand clients that send one request each and stay.
    Idle,
    /// The request that shows the pair is up, and no more.
    Nothing,
}

/// Whence bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Direction {
    /// From the app to the client.
    Down,
    /// From the client to the app.
    Up,
}

/// What the number is. The smaller, the better, for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Figure {
    /// CPU time of both proxies, µs, for each of what this names.
    Cpu(&'static str),
    /// What the proxies add to the median latency, µs.
    AddedLatency,
    /// Resident memory of the larger of both proxies, MB.
    IdleMemory,
    /// What a client adds to the resident memory of both proxies, KB.
    ClientMemory,
}

impl Figure {
    /// Whether it is about memory, which a proxy that has worked does not give back.
    pub(crate) fn is_memory(self) -> bool {
        matches!(self, Self::IdleMemory | Self::ClientMemory)
    }

    /// With its unit.
    pub(crate) fn unit(self) -> String {
        match self {
            Self::Cpu(what) => format!("CPU µs per {what}"),
            Self::AddedLatency => "µs added to the median".to_owned(),
            Self::IdleMemory => "MB, the larger proxy".to_owned(),
            Self::ClientMemory => "KB per client".to_owned(),
        }
    }
}

/// The body of the small answer, in bytes.
pub(crate) const SMALL: usize = 128;
/// The body of the large answer, in bytes: one TLS record's worth.
const LARGE: usize = 16 * 1024;
/// The body of an answer that nobody buffers whole, in bytes.
pub(crate) const UNREAD: usize = 4 << 20;
/// The sizes of answers there are.
pub(crate) const ANSWER_SIZES: [usize; 3] = [SMALL, LARGE, UNREAD];

const HTTP1: &[Contender] = &[HAPROXY_H1, HAPROXY_H2, POSTERN, BARE, NGINX, ENVOY_H1, ENVOY_H2];
const HTTP2: &[Contender] = &[HAPROXY_H2, POSTERN, BARE, ENVOY_H2];
const OPAQUE: &[Contender] = &[HAPROXY_TCP, POSTERN, BARE, ENVOY_TCP];

/// All of them, in the order of the results.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "h1-small",
        title: "HTTP/1.1, 64 keep-alive connections, 128-byte answers",
        protocol: Protocol::Http1,
        load: Load::Wrk(SMALL),
        figure: Figure::Cpu("request"),
        contenders: HTTP1,
        main: true,
    },
    Row {
        name: "h1-16k",
        title: "HTTP/1.1, 64 keep-alive connections, 16-KiB answers",
        protocol: Protocol::Http1,
        load: Load::Wrk(LARGE),
        figure: Figure::Cpu("request"),
        contenders: HTTP1,
        main: true,
    },
    Row {
        name: "h2",
        title: "HTTP/2, 16 connections of 32 streams, 128-byte answers",
        protocol: Protocol::Http2,
        load: Load::H2load,
        figure: Figure::Cpu("request"),
        contenders: HTTP2,
        main: true,
    },
    Row {
        name: "grpc-unary",
        title: "gRPC, 16 connections of 32 calls, a 128-byte message each way and trailers",
        protocol: Protocol::Http2,
        load: Load::GrpcUnary,
        figure: Figure::Cpu("call"),
        contenders: HTTP2,
        main: false,
    },
    Row {
        name: "grpc-stream",
        title: "gRPC, 16 connections of 8 calls, 100 messages of 128 bytes to and fro in each",
        protocol: Protocol::Http2,
        load: Load::GrpcStream,
        figure: Figure::Cpu("message and its answer"),
        contenders: HTTP2,
        main: false,
    },
    Row {
        name: "tcp",
        title: "opaque TCP, 64 connections, small questions and 128-byte answers to and fro",
        protocol: Protocol::Opaque,
        load: Load::Wrk(SMALL),
        figure: Figure::Cpu("exchange"),
        contenders: OPAQUE,
        main: true,
    },
    Row {
        name: "bulk-down",
        title: "opaque TCP, one connection, bytes from the app to the client",
        protocol: Protocol::Opaque,
        load: Load::Bulk(Direction::Down),
        figure: Figure::Cpu("MB"),
        contenders: OPAQUE,
        main: true,
    },
    Row {
        name: "bulk-up",
        title: "opaque TCP, one connection, bytes from the client to the app",
        protocol: Protocol::Opaque,
        load: Load::Bulk(Direction::Up),
        figure: Figure::Cpu("MB"),
        contenders: OPAQUE,
        main: false,
    },
    Row {
        name: "new-connections",
        title: "HTTP/1.1, each request on a new client connection, 64 at a time; the hop is pooled",
        protocol: Protocol::Http1,
        load: Load::WrkClosing,
        figure: Figure::Cpu("request"),
        contenders: HTTP1,
        main: false,
    },
    Row {
        name: "handshakes-in",
        title: "a new mTLS connection and one request on it, the server's half, 16 at a time",
        protocol: Protocol::Http1,
        load: Load::HandshakesIn,
        figure: Figure::Cpu("connection"),
        contenders: &[HAPROXY_H1, POSTERN, BARE_H1, NGINX, ENVOY_H1],
        main: false,
    },
    Row {
        name: "handshakes-out",
        title: "a new mTLS connection and one exchange on it, the client's half, 64 at a time",
        protocol: Protocol::Opaque,
        load: Load::HandshakesOut,
        figure: Figure::Cpu("connection"),
        contenders: OPAQUE,
        main: false,
    },
    Row {
        name: "latency",
        title: "HTTP/1.1, 1,000 requests a second over 16 connections",
        protocol: Protocol::Http1,
        load: Load::Rate,
        figure: Figure::AddedLatency,
        contenders: &[DIRECT, HAPROXY_H1, HAPROXY_H2, POSTERN, BARE, NGINX, ENVOY_H1, ENVOY_H2],
        main: false,
    },
    Row {
        name: "idle",
        title: "memory of a proxy that has served one request",
        protocol: Protocol::Http1,
        load: Load::Nothing,
        figure: Figure::IdleMemory,
        contenders: HTTP1,
        main: false,
    },
    Row {
        name: "idle-http",
        title: "memory for each of 1,000 HTTP/1.1 clients that have sent one request",
        protocol: Protocol::Http1,
        load: Load::Idle,
        figure: Figure::ClientMemory,
        contenders: HTTP1,
        main: false,
    },
    Row {
        name: "idle-tcp",
        title: "memory for each of 1,000 opaque clients that have sent one request",
        protocol: Protocol::Opaque,
        load: Load::Idle,
        figure: Figure::ClientMemory,
        contenders: OPAQUE,
        main: false,
    },
    Row {
        name: "workers",
        title: "h1-small on both CPUs, nothing pinned, with one worker a proxy and with two",
        protocol: Protocol::Http1,
        load: Load::Wrk(SMALL),
        figure: Figure::Cpu("request"),
        contenders: &[HAPROXY_ONE, HAPROXY_TWO, POSTERN_ONE, POSTERN_TWO, BARE_ONE, BARE_TWO],
        main: false,
    },
    Row {
        name: "scale",
        title: "h1-small with 10,000 rules and 10,000 services beside 50 rules and one service",
        protocol: Protocol::Http1,
        load: Load::Wrk(SMALL),
        figure: Figure::Cpu("request"),
        contenders: &[POSTERN, POSTERN_MANY],
        main: false,
    },
];

/// The row of this name.
pub(crate) fn named(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// What the app answers to a path: the size named there, if it is one of these.
pub(crate) fn answer_bytes_of_path(path: &str) -> Option<usize> {
    let bytes = path.strip_prefix('/')?.parse().ok()?;
    ANSWER_SIZES.contains(&bytes).then_some(bytes)
}

impl Row {
    /// The body of an answer, in bytes; the app takes it from the path.
    pub(crate) fn answer_bytes(&self) -> usize {
        match self.load {
            Load::Wrk(bytes) => bytes,
            _ => SMALL,
        }
    }

    /// The path to ask for.
    pub(crate) fn path(&self) -> String {
        format!("/{}", self.answer_bytes())
    }
}
