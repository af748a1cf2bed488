//! Who may ask: the uid that the kernel gives for the other end of a unix socket, against a list.
//!
//! The socket itself is mode 0666, because proxy and agent run under different users; this list is
//! the door. A pid says nothing here: across containers it is 0.

use nix::unistd::Uid;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

/// The proxy's user in a pod.
pub const PROXY_UID: u32 = 64137;
/// The header that proves a caller is a SPIFFE client and not somebody's confused HTTP library
/// (Workload Endpoint §3).
const SECURITY_HEADER: &str = "workload.spiffe.io";

/// The users who may ask.
#[derive(Debug, Clone)]
pub struct AllowedCallers(Vec<u32>);

impl AllowedCallers {
    /// Our own user, and these; without any, the proxy's.
    #[must_use]
    pub fn new(named: &[u32]) -> Self {
        let mut uids = if named.is_empty() { vec![PROXY_UID] } else { named.to_vec() };
        uids.push(own_uid());
        Self(uids)
    }

    /// Our own user, and root, who can be any user anyway: for the admin socket.
    #[must_use]
    pub fn own_and_root() -> Self {
        Self::exactly(vec![own_uid(), 0])
    }

    /// These users and no other.
    #[must_use]
    pub fn exactly(uids: Vec<u32>) -> Self {
        Self(uids)
    }

    /// Whether this user may ask.
    #[must_use]
    pub fn allows(&self, uid: u32) -> bool {
        self.0.contains(&uid)
    }

    /// Lets the request pass if its caller is listed.
    ///
    /// # Errors
    /// PermissionDenied, with the uid that was seen.
    pub fn check<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        match peer.map(|peer| peer.uid()) {
            Some(uid) if self.allows(uid) => Ok(()),
            Some(uid) => {
                tracing::debug!(uid, "a caller outside the allow-list was refused");
                Err(Status::permission_denied(format!(
                    "uid {uid} may not ask here; the agent's --allow-uid lists who may"
                )))
            }
            None => Err(Status::permission_denied("the kernel does not say who is calling")),
        }
    }
}

/// Workload Endpoint §3: a request without the security header is refused with InvalidArgument.
///
/// # Errors
/// InvalidArgument.
pub fn check_security_header<T>(request: &Request<T>) -> Result<(), Status> {
    let mut values = request.metadata().get_all(SECURITY_HEADER).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if value.as_bytes() == b"true" => Ok(()),
        _ => Err(Status::invalid_argument("the metadata `workload.spiffe.io: true` is missing")),
    }
}

fn own_uid() -> u32 {
    Uid::effective().as_raw()
}
