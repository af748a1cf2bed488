//! What is counted: each row is a load of a size that is always the same.

/// How the client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// HTTP/1.1, so many connections that stay: all ask, then all are answered.
    Http1 { connections: u32, answer: usize },
    /// HTTP/1.1, a new connection for each request.
    Http1Connection,
    /// HTTP/2, one connection, so many streams at once.
    Http2 { streams: u32 },
    /// A gRPC call as it looks on the wire: a message each way, and trailers.
    Grpc,
    /// Opaque bytes there and back, on a connection that stays.
    Opaque,
    /// Opaque bytes there and back, a new connection each time.
    OpaqueConnection,
    /// Messages of NATS, a batch at a time, on a connection that stays; the port is declared `nats`, or it is `tcp`.
    Nats { declared: bool, payload: usize },
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its name in the baseline and on the command line.
    pub(crate) name: &'static str,
    /// What a reader of the table wants to know.
    pub(crate) about: &'static str,
    pub(crate) load: Load,
    /// Requests of one measured round.
    pub(crate) requests: u32,
    /// Whether an answer comes in as many pieces as it likes, and buffers with it.
    pub(crate) in_pieces: bool,
}

/// The body of a small answer, and of an opaque message, in bytes.
pub(crate) const SMALL: usize = 128;
/// The body of a large answer, in bytes.
pub(crate) const LARGE: usize = 16 * 1024;

/// All of them, in the order in which they are run.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "http1",
        about: "HTTP/1.1, 128-byte answers, one after the other",
        load: Load::Http1 { connections: 1, answer: SMALL },
        requests: 400,
        in_pieces: false,
    },
    Row {
        name: "http1-64",
        about: "the same, 64 connections at once",
        load: Load::Http1 { connections: 64, answer: SMALL },
        requests: 1280,
        in_pieces: false,
    },
    Row {
        name: "http1-16k",
        about: "HTTP/1.1, 16-KiB answers, one after the other",
        load: Load::Http1 { connections: 1, answer: LARGE },
        requests: 300,
        in_pieces: true,
    },
    Row {
        name: "http1-connection",
        about: "HTTP/1.1, a new client connection for each request",
        load: Load::Http1Connection,
        requests: 300,
        in_pieces: false,
    },
    Row {
        name: "http2",
        about: "HTTP/2, one connection, 32 streams at once",
        load: Load::Http2 { streams: 32 },
        requests: 1280,
        in_pieces: false,
    },
    Row {
        name: "grpc",
        about: "a gRPC call with its trailers, one after the other",
        load: Load::Grpc,
        requests: 300,
        in_pieces: false,
    },
    Row {
        name: "opaque",
        about: "opaque TCP, 128 bytes there and back",
        load: Load::Opaque,
        requests: 400,
        in_pieces: false,
    },
    Row {
        name: "opaque-connection",
        about: "the same, a new client connection each time",
        load: Load::OpaqueConnection,
        requests: 300,
        in_pieces: false,
    },
];

/// Bytes of messages that are sent at once.
pub(crate) const BATCH: usize = 64 * 1024;

/// Messages with payloads of so many bytes, judged one by one and as opaque bytes; and by how much more the former may
/// cost the inbound proxy, where that has a bound.
pub(crate) const EVENTS: &[([Row; 2], Option<f64>)] =
    &[(events(128, 4096), None), (events(1024, 512), None), (events(LARGE, 32), Some(0.05))];

const fn events(payload: usize, requests: u32) -> [Row; 2] {
    [event_row("nats", true, payload, requests), event_row("opaque", false, payload, requests)]
}

const fn event_row(name: &'static str, declared: bool, payload: usize, requests: u32) -> Row {
    Row {
        name,
        about: "messages of NATS, published in batches of 64 KiB",
        load: Load::Nats { declared, payload },
        requests,
        in_pieces: true,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_differ_and_requests_come_in_whole_batches() {
        let names: HashSet<&str> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
        for row in ROWS {
            let batch = match row.load {
                Load::Http1 { connections, .. } => connections,
                Load::Http2 { streams } => streams,
                _ => 1,
            };
            assert_eq!(row.requests % batch, 0, "{}", row.name);
        }
    }
}
