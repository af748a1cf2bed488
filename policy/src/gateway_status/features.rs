//! The features of the Gateway API, by the names of its conformance suite (v1.6), and which of them are there.

/// A feature of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Its name, as in `GatewayClass.status.supportedFeatures`.
    pub name: &'static str,
    /// Which release channel of the standard it is in.
    pub channel: Channel,
    /// What is there of it.
    pub support: Support,
}

/// A release channel of the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// What will not change any more.
    Standard,
    /// What may.
    Experimental,
}

/// Whether a feature is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// All of it.
    Yes,
    /// Not, and why.
    No(&'static str),
}

impl Feature {
    /// Whether it is there.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        self.support == Support::Yes
    }
}

/// Every feature of the standard, by name.
pub const FEATURES: &[Feature] = &[
    yes("BackendTLSPolicy"),
    yes("BackendTLSPolicySANValidation"),
    yes("GRPCRoute"),
    yes("GRPCRouteNamedRouteRule"),
    yes("Gateway"),
    yes("GatewayAddressEmpty"),
    yes("GatewayBackendClientCertificate"),
    yes("GatewayFrontendClientCertificateValidation"),
    yes("GatewayFrontendClientCertificateValidationInsecureFallback"),
    yes("GatewayHTTPListenerIsolation"),
    yes("GatewayHTTPSListenerDetectMisdirectedRequests"),
    yes("GatewayInfrastructurePropagation"),
    yes("GatewayPort8080"),
    yes("GatewayStaticAddresses"),
    yes("HTTPRoute"),
    yes("HTTPRoute303RedirectStatusCode"),
    yes("HTTPRoute307RedirectStatusCode"),
    yes("HTTPRoute308RedirectStatusCode"),
    yes("HTTPRouteBackendProtocolH2C"),
    yes("HTTPRouteBackendProtocolWebSocket"),
    yes("HTTPRouteBackendRequestHeaderModification"),
    yes("HTTPRouteBackendTimeout"),
    yes("HTTPRouteCORS"),
    experimental("HTTPRouteDestinationPortMatching", Support::Yes),
    yes("HTTPRouteHostRewrite"),
    yes("HTTPRouteMethodMatching"),
    yes("HTTPRouteNamedRouteRule"),
    yes("HTTPRouteParentRefPort"),
    yes("HTTPRoutePathRedirect"),
    yes("HTTPRoutePathRewrite"),
    yes("HTTPRoutePortRedirect"),
    yes("HTTPRouteQueryParamMatching"),
    yes("HTTPRouteRequestMirror"),
    yes("HTTPRouteRequestMultipleMirrors"),
    yes("HTTPRouteRequestPercentageMirror"),
    yes("HTTPRouteRequestTimeout"),
    yes("HTTPRouteResponseHeaderModification"),
    experimental("HTTPRouteRetry", Support::Yes),
    experimental("HTTPRouteRetryBackendTimeout", Support::Yes),
    experimental("HTTPRouteRetryConnectionError", Support::Yes),
    yes("HTTPRouteSchemeRedirect"),
    yes("ListenerSet"),
    yes("Mesh"),
    yes("MeshClusterIPMatching"),
    yes("MeshConsumerRoute"),
    yes("MeshHTTPRouteBackendRequestHeaderModification"),
    yes("MeshHTTPRouteNamedRouteRule"),
    yes("MeshHTTPRouteQueryParamMatching"),
    yes("MeshHTTPRouteRedirectPath"),
    yes("MeshHTTPRouteRedirectPort"),
    yes("MeshHTTPRouteRewritePath"),
    yes("MeshHTTPRouteSchemeRedirect"),
    yes("ReferenceGrant"),
    yes("TCPRoute"),
    yes("TLSRoute"),
    experimental("TLSRouteModeMixed", Support::Yes),
    yes("TLSRouteModeTerminate"),
    no("UDPRoute", "no datagrams are carried"),
];

const fn yes(name: &'static str) -> Feature {
    Feature { name, channel: Channel::Standard, support: Support::Yes }
}

const fn no(name: &'static str, why: &'static str) -> Feature {
    Feature { name, channel: Channel::Standard, support: Support::No(why) }
}

const fn experimental(name: &'static str, support: Support) -> Feature {
    Feature { name, channel: Channel::Experimental, support }
}

/// The names of what is there, in the order of the alphabet, as the standard demands.
pub fn supported_features() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().filter(|feature| feature.is_supported()).map(|feature| feature.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most features that the API server takes in a GatewayClass.
    const MOST_FEATURES: usize = 64;

    #[test]
    fn features_are_told_once_and_sorted() {
        let names: Vec<_> = FEATURES.iter().map(|feature| feature.name).collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted);
        assert!(supported_features().count() <= MOST_FEATURES);
    }
}
