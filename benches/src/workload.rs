//! What the load asks for.

use clap::ValueEnum;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// HTTP/1.1, 64 keep-alive connections, 128-byte answers
    H1Small,
    /// HTTP/1.1, 64 keep-alive connections, 16-KiB answers
    #[value(name = "h1-16k")]
    H1Large,
    /// Opaque TCP that carries what h1-small carries: 64 connections, small questions and answers
    Tcp,
    /// HTTP/1.1, every request on a new client connection; the mesh hop is pooled as each proxy pools it
    NewConnections,
}

/// The body of the small answer, in bytes.
const SMALL: usize = 128;
/// The body of the large answer, in bytes: one TLS record's worth.
const LARGE: usize = 16 * 1024;

/// The body of an answer that nobody buffers whole, in bytes.
pub(crate) const UNREAD: usize = 4 << 20;

/// The sizes of answers there are.
pub(crate) const ANSWER_SIZES: [usize; 3] = [SMALL, LARGE, UNREAD];

impl Workload {
    /// The name on the command line and in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::H1Small => "h1-small",
            Self::H1Large => "h1-16k",
            Self::Tcp => "tcp",
            Self::NewConnections => "new-connections",
        }
    }

    /// What a reader of the table wants to know.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::H1Small => "HTTP/1.1, 64 keep-alive connections, 128-byte answers",
            Self::H1Large => "HTTP/1.1, 64 keep-alive connections, 16-KiB answers",
            Self::Tcp => "opaque TCP, 64 connections, 128-byte answers",
            Self::NewConnections => {
                "HTTP/1.1, a new client connection for each request, 64 at a time, 128-byte answers"
            }
        }
    }

    /// The body of an answer, in bytes; the backend takes it from the path.
    pub(crate) fn answer_bytes(self) -> usize {
        match self {
            Self::H1Large => LARGE,
            Self::H1Small | Self::Tcp | Self::NewConnections => SMALL,
        }
    }

    /// The path to ask for.
    pub(crate) fn path(self) -> String {
        format!("/{}", self.answer_bytes())
    }

    /// Whether the proxies take the bytes as they are.
    pub(crate) fn is_opaque(self) -> bool {
        self == Self::Tcp
    }

    /// Whether each request comes on a connection of its own.
    pub(crate) fn closes(self) -> bool {
        self == Self::NewConnections
    }
}

/// What the backend answers to a path: the size named there, if it is one of these.
pub(crate) fn answer_bytes_of_path(path: &str) -> Option<usize> {
    let bytes = path.strip_prefix('/')?.parse().ok()?;
    ANSWER_SIZES.contains(&bytes).then_some(bytes)
}
