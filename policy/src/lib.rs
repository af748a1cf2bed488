//! May they, and where to.
//!
//! Resources (Kubernetes YAML, read strictly) become three values for one workload: a [`Snapshot`], which answers
//! whether a connection or a request is allowed and which mTLS mode a port has, a [`ServiceTable`], which answers which
//! service a name or an address means, and a [`RouteTable`], which answers which rule of a route takes a call.
//!
//! The crate is pure: no sockets, no files, no clock, no runtime. What it needs to know about a connection is handed in
//! ([`ConnectionFacts`], [`HttpFacts`]); what it decides comes back as a value ([`Permit`], [`Denial`]).
//!
//! Reading order: [`resources`] (what people write), [`Snapshot::build`] (what concerns this workload),
//! [`Snapshot::authorize_request`] (the decision), [`ServiceRoutes::choose`] (the rule), [`path`] and [`host`] (the one
//! spelling that is judged *and* forwarded).

pub mod abuse;
pub mod api_key;
pub mod api_schema;
mod client_credential;
pub mod client_credentials;
pub mod client_traffic;
pub mod core_group;
pub mod decision;
mod evaluate;
pub mod facts;
pub mod fault;
pub mod gateway;
pub mod gateway_status;
mod gateway_table;
pub mod header_names;
pub mod host;
pub mod introspection;
pub mod lint;
mod locality;
pub mod migration;
pub mod path;
mod pattern;
pub mod protocol;
pub mod rate_limit;
pub mod resources;
pub mod revocation;
pub mod route;
mod route_table;
mod rule;
pub mod service;
mod service_table;
pub mod sign_in;
pub mod snapshot;
pub mod threat;
pub mod token;
pub mod token_exchange;
mod topic;
pub mod traffic_policy;
pub mod yaml;

pub use abuse::AbusePolicies;
pub use api_key::{
    ApiKey, ApiKeyFacts, ApiKeyHash, ApiKeyPlace, ApiKeyRefusal, ApiKeyRules, ApiKeyTable,
};
pub use api_schema::{ApiSchemaSettings, ApiSchemaTable};
pub use client_credential::{ClientAuthMethod, ClientCredential, SecretProblem};
pub use client_credentials::{ClientCredentialsRule, ClientCredentialsTable, TokenProvider};
pub use client_traffic::{ClientTraffic, ClientTrafficSettings, ListenerPlace};
pub use decision::{ConnectionVerdict, Decider, Denial, DenyReason, Permit, PermitReason};
pub use facts::{ConnectionFacts, HeaderSource, HttpFacts, TokenClaims};
pub use fault::{AbortStatus, Fault, Faults};
pub use gateway_table::{
    ClientCertificates, GatewayListener, GatewayPlan, GatewayPort, GatewaySelection, GatewayTable,
    ListenerConflict, ListenerOwner, ListenerTls, NotAccepted, NotAcceptedReason, NotAttached,
    PROXY_PORTS, PlannedGateway, PlannedListener, PlannedListenerSet, PortProtocol,
    RouteAttachment, UnresolvedReason, UnresolvedReference,
};
pub use header_names::HeaderNames;
pub use host::{HostError, HostName};
pub use introspection::{IntrospectionRule, IntrospectionSettings, Introspections};
pub use locality::{Locality, LocalityDistance};
pub use path::{CanonicalPath, PathError, PathNormalization};
pub use protocol::Protocol;
pub use rate_limit::{LimitRequest, RateLimits, RequestLimit};
pub use resources::{ReadFile, Resources, SourceFile};
pub use revocation::RevokedTokens;
pub use route_table::{RefProblem, RouteRequest, RouteTable, ServiceRoutes};
pub use service::{Endpoint, EndpointAddress, Service, ServicePort};
pub use service_table::ServiceTable;
pub use sign_in::{AmbiguousSignIn, SignInEndpoint, SignInPolicy, SignInTable};
pub use snapshot::{
    DefaultAuthorization, DefaultEgress, MtlsMode, NearestMiss, PolicyDefaults, Snapshot, Workload,
};
pub use threat::{ThreatRule, ThreatSettings, ThreatTable};
pub use token::{
    ClaimHeader, ConfirmationRequirement, JwtRule, KeySource, TokenPlace, TokenRule, TokenRules,
};
pub use token_exchange::{TokenExchangeRule, TokenExchangeTable};
pub use topic::{MessageDenyReason, MessageVerdict, TopicTable};
pub use traffic_policy::{TrafficPolicies, TrafficPolicy};
pub use yaml::{Diagnostic, DiagnosticCode, Diagnostics};
