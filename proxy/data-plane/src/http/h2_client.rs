//! The client's side of one HTTP/2 connection: to our app, or the mesh hop that carries everything
//! between two proxies.
//!
//! The `h2` library is used as it is, without hyper above it: a stream can then be reset rather
//! than ended when its source breaks, and an answer is awaited in the task that asked.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{Connection, ResponseFuture, SendRequest};
use http::{Request, Response, StatusCode, Version};

use crate::connection::mesh_connection::MeshConnection;
use crate::connection::net::BoxedIo;
use crate::http::body::{Body, BodyFailure, BodyWatch};
use crate::http::error::{OtherEnd, RequestError};
use crate::http::gate::HeadLimits;
use crate::http::gate::answer::{self, AnsweredRequest, BadAnswer};
use crate::http::gate::raw::{MAX_INTERIM, TOO_MANY_INTERIM};
use crate::http::h2_send::send_body;
use crate::http::headers::AnswerOrigin;
use crate::http::interim::InterimSender;
use crate::http::keep_alive::until_silent;
pub use crate::http::shared_connection::{HasStreams, StreamCount};
use crate::http::shared_connection::{MAX_FRAME, SharedConnection};
use crate::limits::{ByteSize, Limits, REMEMBERED_RESETS};

/// The time a peer's first SETTINGS may take before CONNECT streams are given up.
const SETTINGS_WITHIN: Duration = Duration::from_secs(5);
/// How often we look whether they have come: the library does not tell.
const SETTINGS_POLL: Duration = Duration::from_millis(1);

/// One shared connection. Cheap to clone; it ends when all clones and streams are gone.
#[derive(Clone)]
pub struct H2Client {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) shared: Arc<SharedConnection>,
}

/// What the library is given as the largest head of an answer, so that one beyond the limit is refused by the gate:
/// the library does not say why it refuses one.
fn head_beyond(limits: HeadLimits) -> u32 {
    u32::try_from(4 * limits.bytes).unwrap_or(u32::MAX)
}

impl SharedConnection {
    /// Only connections of `postern/1` have a binding.
    fn is_postern(&self) -> bool {
        self.mesh_connection
            .as_ref()
            .is_some_and(|mesh_connection| mesh_connection.binding.is_some())
    }

    /// The connection takes no more streams, and this one never left.
    pub(super) fn unsent_error(&self, cause: h2::Error) -> SendError {
        self.closed.store(true, Relaxed);
        SendError::Broken { cause, unprocessed: true }
    }

    /// The peer says that it has not looked at the stream: refused, or past a GOAWAY's last
    /// stream (RFC 9113 §8.7). Streams before it end with the connection instead.
    pub(super) fn unanswered(&self, cause: h2::Error) -> SendError {
        let past_goaway = cause.is_remote() && cause.is_go_away();
        if past_goaway || cause.is_io() {
            self.closed.store(true, Relaxed);
        }
        let refused = cause.is_remote() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
        match cause.is_library() {
            // What the peer sent is no HTTP/2, or no answer.
            true => SendError::Bad(not_http2(&cause)),
            false => SendError::Broken { cause, unprocessed: past_goaway || refused },
        }
    }
}

/// One stream of a connection, reserved: it counts against the limit from now on.
pub struct ReservedStream {
    client: H2Client,
    stream: StreamCount,
}

impl ReservedStream {
    /// What bounds the connection, on the mesh hop.
    #[must_use]
    pub fn mesh_connection(&self) -> Option<&Arc<MeshConnection>> {
        self.client.shared.mesh_connection.as_ref()
    }

    /// Waits until the stream may begin, before there is a request that could be lost: a peer may have announced the
    /// end of the connection since it was last used, and the library may still count streams that have just ended.
    ///
    /// # Errors
    /// [`SendError`] when the connection takes no more requests; nothing has been sent.
    pub async fn until_ready(self) -> Result<ReadyStream, SendError> {
        let Self { client: H2Client { mut sender, shared }, stream } = self;
        match poll_fn(|cx| sender.poll_ready(cx)).await {
            Ok(()) => Ok(ReadyStream { sender, stream }),
            Err(cause) => Err(shared.unsent_error(cause)),
        }
    }
}

/// A stream of a connection that is about to begin, for a request that follows at once.
pub struct ReadyStream {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) stream: StreamCount,
}

impl ReadyStream {
    /// Whether the other side is a proxy of ours, by the ALPN of this very connection.
    #[must_use]
    pub fn is_postern(&self) -> bool {
        self.stream.0.is_postern()
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// [`SendError`] knows whether the request may be sent again.
    pub async fn send(self, request: Box<Request<Body>>) -> Result<Response<Body>, SendError> {
        let SentRequest { mut answer, stream, speaker, asked, watch, interims } =
            self.begin(*request)?;
        let mut begun = 0;
        let answered =
            poll_fn(|cx| poll_answer(&mut answer, &interims, stream.0.head, &mut begun, cx));
        let response = answered.await?.map_err(|e| match watch.broken() {
            Some(broken) => SendError::Client(broken),
            None if begun > 0 || (speaker == AnswerOrigin::Postern && is_broken_answer(&e)) => {
                SendError::Bad(BadAnswer::Malformed("it broke off in its head"))
            }
            None => stream.0.unanswered(e),
        })?;
        let (mut parts, receive) = response.into_parts();
        answer::admit(&mut parts, &asked, stream.0.head, speaker).map_err(SendError::Bad)?;
        let body = match answer::has_no_content(parts.status, &asked) {
            true => Body::empty(),
            false => Body::http2(receive).with_stream(stream).answers(watch),
        };
        Ok(Response::from_parts(parts, body))
    }
}

/// A request that has been given to the connection, which waits for its answer.
struct SentRequest {
    answer: ResponseFuture,
    stream: StreamCount,
    speaker: AnswerOrigin,
    asked: AnsweredRequest,
    watch: BodyWatch,
    interims: InterimSender,
}

impl ReadyStream {
    /// Gives the head to the connection, and the body, if there is one, to a task that follows the peer's window. No
    /// part of [`Self::send`], which would hold the request while it waits.
    fn begin(self, request: Request<Body>) -> Result<SentRequest, SendError> {
        let speaker = if self.is_postern() { AnswerOrigin::Postern } else { AnswerOrigin::Other };
        let asked = AnsweredRequest::by(&request);
        let Self { mut sender, stream } = self;
        let (parts, mut body) = request.into_parts();
        let watch = body.watch_failure();
        let interims = body.interims().clone();
        let mut head = Request::from_parts(parts, ());
        *head.version_mut() = Version::HTTP_2;
        let (answer, mut send) =
            sender.send_request(head, body.is_empty()).map_err(|e| stream.0.unsent_error(e))?;
        if !body.is_empty() {
            let unread = stream.0.unread;
            tokio::spawn(async move {
                // The stream has been reset, and the waiting answer says why.
                let _ = send_body(&mut body, &mut send, unread).await;
            });
        }
        Ok(SentRequest { answer, stream, speaker, asked, watch, interims })
    }
}

/// Whether a proxy of ours says that an answer broke after it had begun. It says so by this reset alone, which may
/// overtake the head; an answer that never began is reported by a status of its own.
fn is_broken_answer(error: &h2::Error) -> bool {
    error.is_remote() && error.is_reset() && error.reason() == Some(h2::Reason::INTERNAL_ERROR)
}

/// The answer, and before it the interim ones, which go to the client.
fn poll_answer(
    answer: &mut ResponseFuture,
    interims: &InterimSender,
    limits: HeadLimits,
    begun: &mut u8,
    cx: &mut Context<'_>,
) -> Poll<Result<Result<Response<RecvStream>, h2::Error>, SendError>> {
    while let Poll::Ready(Some(Ok(interim))) = answer.poll_informational(cx) {
        if *begun >= MAX_INTERIM {
            return Poll::Ready(Err(SendError::Bad(BadAnswer::Malformed(TOO_MANY_INTERIM))));
        }
        *begun += 1;
        let (parts, ()) = interim.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            // There is none in HTTP/2 (RFC 9113 §8.6).
            let why = "101 to what was not asked for";
            return Poll::Ready(Err(SendError::Bad(BadAnswer::Malformed(why))));
        }
        interims.pass(parts.status, parts.headers, limits);
    }
    Pin::new(answer).poll(cx).map(Ok)
}

/// Why a request on an HTTP/2 connection has no answer.
#[derive(Debug)]
pub enum SendError {
    /// The stream or the connection broke.
    Broken {
        /// The library's message.
        cause: h2::Error,
        /// Whether it is certain that the request was not processed.
        unprocessed: bool,
    },
    /// There is one, and it cannot be passed on.
    Bad(BadAnswer),
    /// The client's body broke.
    Client(BodyFailure),
}

/// What the library has refused of an answer.
fn not_http2(cause: &h2::Error) -> BadAnswer {
    match cause.reason() {
        // Only for a head that is far too large, of the reasons for which a client ends a connection.
        Some(h2::Reason::ENHANCE_YOUR_CALM) if cause.is_go_away() => BadAnswer::TooLarge,
        _ => BadAnswer::Malformed("no HTTP/2"),
    }
}

impl SendError {
    /// As an error of the request, in the name of `who`.
    #[must_use]
    pub fn into_error(self, who: OtherEnd) -> RequestError {
        match self {
            Self::Broken { cause, unprocessed } => {
                RequestError::Broken { who, cause: cause.to_string(), unprocessed }
            }
            Self::Bad(bad) => RequestError::bad_answer(who, bad),
            Self::Client(broken) => RequestError::ClientBody(broken),
        }
    }
}

impl H2Client {
    /// Opens a connection to our own app on a byte stream.
    ///
    /// # Errors
    /// The library's, when the stream breaks.
    pub async fn open(io: BoxedIo, limits: &Limits) -> Result<Self, h2::Error> {
        Self::open_with(io, limits, limits.stream_buffer, None, |_| std::future::pending()).await
    }

    /// Opens a connection of the mesh, which ends when `mesh_connection` is cut. The peer may send `window` bytes ahead
    /// on each of its streams. `keep` makes the task that looks after the connection, and is given a way to ask whether
    /// streams are under way; the task runs as long as the connection.
    ///
    /// # Errors
    /// The library's, when the stream breaks.
    pub async fn open_mesh<K: Future<Output = ()> + Send + 'static>(
        io: BoxedIo,
        limits: &Limits,
        window: ByteSize,
        mesh_connection: Arc<MeshConnection>,
        keep: impl FnOnce(HasStreams) -> K,
    ) -> Result<Self, h2::Error> {
        Self::open_with(io, limits, window, Some(mesh_connection), keep).await
    }

    async fn open_with<K: Future<Output = ()> + Send + 'static>(
        io: BoxedIo,
        limits: &Limits,
        window: ByteSize,
        mesh_connection: Option<Arc<MeshConnection>>,
        keep: impl FnOnce(HasStreams) -> K,
    ) -> Result<Self, h2::Error> {
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(window.0)
            .initial_connection_window_size(limits.connection_window(window))
            .max_frame_size(MAX_FRAME)
            .max_send_buffer_size(limits.stream_buffer.bytes())
            .max_header_list_size(head_beyond(HeadLimits::of(limits)))
            .max_local_error_reset_streams(Some(limits.stream_errors()))
            .max_concurrent_reset_streams(REMEMBERED_RESETS)
            .enable_push(false)
            .handshake(io)
            .await?;
        let shared = Arc::new(SharedConnection {
            mesh_connection,
            head: HeadLimits::of(limits),
            closed: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            most: usize::try_from(limits.concurrent_streams).unwrap_or(1),
            unread: limits.idle_timeout,
            idle_sweeps: AtomicU32::new(0),
        });
        let keep = keep(HasStreams(shared.clone()));
        tokio::spawn(drive(connection, shared.clone(), *limits, keep));
        Ok(Self { sender, shared })
    }

    /// Whether the connection takes no more requests.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Relaxed)
            || self
                .shared
                .mesh_connection
                .as_ref()
                .is_some_and(|mesh_connection| mesh_connection.is_retired())
    }

    /// Requests and tunnels under way.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.shared.streams.load(Relaxed)
    }

    /// How many times in a row this was asked while no stream was open.
    #[must_use]
    pub fn idle_sweeps(&self) -> u32 {
        if self.streams() > 0 {
            self.shared.idle_sweeps.store(0, Relaxed);
            return 0;
        }
        self.shared.idle_sweeps.fetch_add(1, Relaxed) + 1
    }

    /// Reserves one more stream, unless the connection has ended or is full: at the peer's limit, or at ours.
    #[must_use]
    pub fn reserve_stream(&self) -> Option<ReservedStream> {
        let most = self.sender.current_max_send_streams().min(self.shared.most);
        if self.is_closed() || self.streams() >= most {
            return None;
        }
        let stream = StreamCount::begin(&self.shared);
        Some(ReservedStream { client: self.clone(), stream })
    }

    /// Whether the peer takes CONNECT streams. It says so in its first SETTINGS, which follow the TLS
    /// handshake at once; one that does not say so in time is not asked for any.
    pub async fn takes_streams(&self) -> bool {
        let supported = async {
            while !self.sender.is_extended_connect_protocol_enabled() {
                if self.is_closed() {
                    return false;
                }
                tokio::time::sleep(SETTINGS_POLL).await;
            }
            true
        };
        tokio::time::timeout(SETTINGS_WITHIN, supported).await.unwrap_or(false)
    }
}

/// Runs the connection until it ends or is cut, and looks after its health.
async fn drive(
    mut connection: Connection<BoxedIo, Bytes>,
    shared: Arc<SharedConnection>,
    limits: Limits,
    keep: impl Future<Output = ()>,
) {
    let pings = connection.ping_pong();
    let silent = until_silent(pings, &limits, || shared.streams.load(Relaxed) > 0);
    let cut = async {
        match &shared.mesh_connection {
            Some(mesh_connection) => drop(mesh_connection.until_cut().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // Its error has reached every stream on it.
        _ = connection => {}
        () = silent => {}
        () = cut => {}
        () = keep => {}
    }
    shared.closed.store(true, Relaxed);
}
