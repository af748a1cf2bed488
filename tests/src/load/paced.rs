//! Many clients, each at a steady pace.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;

use super::{Load, ask_again_and_again};
use crate::pod::Pod;

impl Load {
    /// Starts `clients` inside `pod`, each with a keep-alive connection of HTTP/1.1 of its own over which it asks for
    /// `path` once in `pace`. There is no retry.
    #[must_use]
    pub fn start_paced(
        pod: &Pod,
        address: SocketAddr,
        host: &str,
        path: &str,
        (clients, pace): (usize, Duration),
    ) -> Self {
        Self::lanes(pod, clients, |stop| {
            let (host, path) = (host.to_owned(), path.to_owned());
            async move {
                type Http1 = SendRequest<Empty<Bytes>>;
                ask_again_and_again::<Http1>(address, &host, &path, &stop, Some(pace)).await
            }
        })
    }
}
