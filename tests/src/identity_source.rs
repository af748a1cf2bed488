//! Where a pod's proxy takes its certificate from.

/// The two sources a proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdentitySource {
    /// A cert agent in the pod, which joined the mesh's authority with a token: the way of production.
    Agent,
    /// PEM files, issued by the harness: for tests of what the proxy does with certificates.
    Files,
}
