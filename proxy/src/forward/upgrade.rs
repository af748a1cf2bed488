//! After `101 Switching Protocols`: the bytes of both upgraded connections, until either ends.

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use crate::forward::opaque;
use crate::registry::Connection;
use crate::telemetry::{CloseReason, RequestRecord};
use std::sync::Arc;

/// An upgraded request, with its record, until its bytes have ended.
pub struct Upgrade {
    /// The client's side.
    pub client: OnUpgrade,
    /// The side that answered 101.
    pub upstream: OnUpgrade,
    /// Written when the bytes have ended.
    pub record: Box<RequestRecord>,
    /// The client's connection, which may be asked to close.
    pub connection: Arc<Connection>,
}

impl Upgrade {
    /// Carries the bytes in a task of its own, until they end or `refused` returns.
    pub fn carry(
        self,
        refused: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<CloseReason> {
        tokio::spawn(async move {
            let Ok((client, upstream)) = tokio::try_join!(self.client, self.upstream) else {
                return CloseReason::Error;
            };
            let (client, upstream) = (io(client), io(upstream));
            let reason = tokio::select! {
                reason = opaque::carry(client, upstream, &self.connection, &[]) => reason,
                () = refused => CloseReason::Policy,
            };
            let mut record = self.record;
            if reason != CloseReason::Done {
                record.failed(reason.as_str());
            }
            reason
        })
    }
}

fn io(upgraded: Upgraded) -> TokioIo<Upgraded> {
    TokioIo::new(upgraded)
}
