//! Every setting of the configuration file but the limits, as the reference page prints it. The limits are whole in
//! [`crate::limits::Limits`].
//!
//! A test finds each key that the readers accept here, and each key here accepted, and reads every default back.

use std::fmt;

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its path; `[]` stands for the items of a list, `PORT` and `DOMAIN` for a key that the user chooses.
    pub key: &'static str,
    /// The accepted values.
    pub takes: &'static str,
    /// The value without it.
    pub default: SettingDefault,
    /// What it does.
    pub meaning: &'static str,
}

/// The value of a setting that is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingDefault {
    /// None: it must be given, or given where its section is.
    Required,
    /// This, as the file would write it.
    Is(&'static str),
    /// Something that the file cannot express.
    Means(&'static str),
}

impl fmt::Display for SettingDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.write_str("*required*"),
            Self::Is(text) => write!(f, "`{text}`"),
            Self::Means(text) => f.write_str(text),
        }
    }
}

const fn setting(
    key: &'static str,
    takes: &'static str,
    default: SettingDefault,
    meaning: &'static str,
) -> Setting {
    Setting { key, takes, default, meaning }
}

const ADDRESS: &str = "`ADDRESS:PORT`";
const FILE: &str = "a path";
const PROTOCOL: &str = "`http`, `http2`, `grpc`, `tcp`, `tls`, `nats`, `mqtt`, `kafka`, `auto`";
const MTLS: &str = "`STRICT`, `PERMISSIVE`, `DISABLE`";

use SettingDefault::{Is, Means, Required};

/// Every setting, in the order of the page.
pub const SETTINGS: &[Setting] = &[
    setting(
        "mode",
        "`sidecar`, `gateway`",
        Is("sidecar"),
        "What the proxy is: beside a workload, or at the edge, where it serves the Gateways of its resources.",
    ),
    setting(
        "gateway.name",
        "`NAMESPACE/NAME`",
        Means("every Gateway of the class `postern`"),
        "The one Gateway that is served.",
    ),
    setting(
        "gateway.bind",
        "an address",
        Is("::"),
        "Where ports of Gateways without `spec.addresses` are listened on; `::` means IPv4, too.",
    ),
    setting(
        "gateway.certificates[].name",
        "`NAMESPACE/NAME`",
        Required,
        "The Secret that the files stand for: listeners refer to it by `certificateRefs`.",
    ),
    setting(
        "gateway.certificates[].certificate",
        FILE,
        Required,
        "PEM: a listener's certificate chain, leaf first; reloaded when it changes.",
    ),
    setting("gateway.certificates[].key", FILE, Required, "PEM: its private key."),
    setting(
        "workload.namespace",
        "a namespace",
        Required,
        "The namespace of the workload beside the proxy.",
    ),
    setting("workload.serviceAccount", "a name", Required, "Its service account."),
    setting(
        "workload.labels",
        "a mapping of labels",
        Means("none"),
        "Its labels, which selectors of policies match.",
    ),
    setting(
        "workload.labelsFile",
        FILE,
        Means("none"),
        "A file of the downward API with the labels, instead of `labels`; read at the start.",
    ),
    setting(
        "workload.locality",
        "`REGION/ZONE/SUBZONE`, `REGION/ZONE`, `REGION` or `/ZONE`",
        Means(
            "what the labels `topology.kubernetes.io/region` and `topology.kubernetes.io/zone` say",
        ),
        "Where it runs: endpoints of its own zone are preferred.",
    ),
    setting(
        "identity.trustDomain",
        "a trust domain",
        Is("cluster.local"),
        "The workload's own trust domain.",
    ),
    setting(
        "identity.workloadApi",
        "`unix:///PATH`",
        Means("none"),
        "The SPIFFE Workload API that gives the certificate: our cert agent or a SPIRE agent. This or `files`.",
    ),
    setting(
        "identity.files.certificate",
        FILE,
        Required,
        "PEM: the certificate chain, leaf first.",
    ),
    setting(
        "identity.files.key",
        FILE,
        Required,
        "PEM: its private key (PKCS#8, SEC 1 or PKCS#1).",
    ),
    setting("identity.files.bundle", FILE, Required, "PEM: the roots of the own trust domain."),
    setting("identity.files.crl", FILE, Means("nobody is revoked"), "PEM: revocation lists."),
    setting(
        "identity.files.jwtBundle",
        FILE,
        Means("no token of the mesh is taken"),
        "A JWK set: the keys that sign the mesh's own tokens, as the authority publishes them.",
    ),
    setting(
        "identity.files.federated.DOMAIN",
        FILE,
        Means("nobody there is trusted"),
        "PEM: the roots of another trust domain.",
    ),
    setting(
        "resources.directory",
        "a directory",
        Means("an empty set"),
        "Policies and services: every `*.yaml` and `*.yml`, reloaded whole. This or `controller`.",
    ),
    setting(
        "resources.controller.address",
        "`HOST:PORT`",
        Required,
        "The controller whose stream the resources come from.",
    ),
    setting(
        "resources.controller.identity",
        "a SPIFFE id",
        Required,
        "The identity it must prove.",
    ),
    setting("resources.controller.pod.name", "a name", Required, "The pod the proxy is in."),
    setting(
        "resources.controller.pod.uid",
        "a uid",
        Required,
        "That pod's uid; the controller compares both.",
    ),
    setting(
        "defaults.authorization",
        "`deny`, `audit`, `allow`",
        Is("deny"),
        "The verdict where no ALLOW policy selects the workload. `audit` allows, and tells what `deny` would do.",
    ),
    setting(
        "defaults.mtls",
        MTLS,
        Is("STRICT"),
        "Which connections a port takes where nothing else says so.",
    ),
    setting(
        "defaults.egress",
        "`deny`, `allow`",
        Is("deny"),
        "What happens to destinations that no ServiceEntry names.",
    ),
    setting(
        "rootNamespace",
        "a namespace",
        Is("postern-system"),
        "The namespace whose resources act on every workload.",
    ),
    setting(
        "pathNormalization",
        "`NONE`, `BASE`, `MERGE_SLASHES`, `DECODE_AND_MERGE_SLASHES`",
        Is("MERGE_SLASHES"),
        "How far a path is normalised before it is judged and forwarded (docs/policy.md, *Paths*). At every level hex digits of escapes become upper case.",
    ),
    setting(
        "headersWithUnderscores",
        "`allow`, `drop`, `refuse`",
        Is("allow"),
        "What becomes of a header with `_` in its name. One that an app could take for a header of a rule, of a token or of the mesh is always refused.",
    ),
    setting(
        "inbound.bind",
        "an address, a list of them, or `none`",
        Is("\"[::]:15006\""),
        "Where redirected connections towards the app arrive.",
    ),
    setting(
        "inbound.ports.PORT.protocol",
        PROTOCOL,
        Is("auto"),
        "What a redirected port of the app speaks, where the controller has no word of a Service about it. A port that is `nats`, `mqtt` or `kafka` by either word is.",
    ),
    setting(
        "inbound.ports.PORT.mtls",
        MTLS,
        Means("`defaults.mtls`, or a PeerAuthentication"),
        "The port's own mode.",
    ),
    setting(
        "inbound.listeners[].bind",
        ADDRESS,
        Required,
        "An explicit listener: where peers connect.",
    ),
    setting(
        "inbound.listeners[].forward",
        ADDRESS,
        Required,
        "Where the app listens; policies mean this port.",
    ),
    setting(
        "inbound.listeners[].protocol",
        PROTOCOL,
        Is("auto"),
        "What the app's port speaks. One that is declared `nats`, `mqtt` or `kafka` anywhere speaks that everywhere.",
    ),
    setting(
        "inbound.listeners[].mtls",
        MTLS,
        Means("`defaults.mtls`, or a PeerAuthentication"),
        "The mode of the app's port; the same wherever that port stands.",
    ),
    setting(
        "inbound.listeners[].advertise.NODE",
        ADDRESS,
        Means("what the brokers say"),
        "With `protocol: kafka`: where clients reach the broker with this node id. Once one is named, no other is shown.",
    ),
    setting(
        "inbound.messageSource",
        "`true`, `false`",
        Is("false"),
        "Whether each message that a client publishes carries its principal: `Postern-Source`, a NATS header or an MQTT 5 \
         user property. What clients write in its place is removed in any case.",
    ),
    setting(
        "inbound.forwardedFor.from",
        "a list of principals",
        Required,
        "Peers whose `x-forwarded-for` is believed.",
    ),
    setting(
        "inbound.forwardedFor.numTrustedProxies",
        "0 to 16",
        Is("0"),
        "Further proxies in front of them that each added an address.",
    ),
    setting(
        "outbound.bind",
        "an address, a list of them, or `none`",
        Is("[\"127.0.0.1:15001\", \"[::1]:15001\"]"),
        "Where redirected connections from the app arrive.",
    ),
    setting(
        "outbound.listeners[].bind",
        ADDRESS,
        Required,
        "An explicit listener: where the app connects. Whoever reaches it calls with the workload's identity.",
    ),
    setting("outbound.listeners[].service", "a host", Required, "The service that is called."),
    setting("outbound.listeners[].port", "1 to 65535", Required, "Its port."),
    setting(
        "interception.mark",
        "1 to 4294967295",
        Means("none"),
        "`SO_MARK` of the proxy's own sockets, where the rules exempt a mark and not a uid.",
    ),
    setting(
        "interception.source4",
        "a loopback address but 127.0.0.1",
        Is("127.0.0.6"),
        "The source of connections to the app over IPv4. The rules of `redirect` know the default alone; another is for rules of your own.",
    ),
    setting(
        "tokens.certificateAuthorities",
        "an absolute path",
        Means("the system's file"),
        "PEM: who signs the web certificates of token issuers.",
    ),
    setting(
        "tokens.allowAddresses",
        "a list of addresses and blocks of at least 8 bits",
        Means("none"),
        "Issuers at loopback, link-local and the like that may be called.",
    ),
    setting(
        "tokens.keyDirectories",
        "a list of absolute paths",
        Means("none"),
        "Directories whose files `jwksUri: file:///…` may name, beside the resource directory.",
    ),
    setting(
        "admin.bind",
        "`ADDRESS:PORT` of loopback, or `none`",
        Is("127.0.0.1:15000"),
        "The admin endpoint.",
    ),
    setting(
        "admin.tokenFile",
        FILE,
        Means("every `POST` is refused"),
        "The token that `POST` needs, read at each use.",
    ),
    setting(
        "admin.drainFromPod",
        "`true`, `false`",
        Is("false"),
        "Whether `POST /quitquitquit` needs no token, so that a job can end its pod.",
    ),
    setting(
        "metrics.bind",
        "`ADDRESS:PORT`, or `none`",
        Is("\"[::]:15020\""),
        "Where `/metrics` is served.",
    ),
    setting(
        "metrics.app.port",
        "1 to 65535",
        Required,
        "The app's own metrics, added to ours: its port.",
    ),
    setting("metrics.app.path", "a path", Is("/metrics"), "Their path."),
    setting(
        "readiness.bind",
        "`ADDRESS:PORT`, or `none`",
        Is("\"[::]:15021\""),
        "Where `/ready`, `/live` and the probes are served.",
    ),
    setting(
        "probes[].container",
        "a container's name",
        Required,
        "Whose probe it is; asked at `/probe/CONTAINER/KIND`.",
    ),
    setting(
        "probes[].kind",
        "`liveness`, `readiness`, `startup`, `postStart`, `preStop`",
        Required,
        "Which probe or handler.",
    ),
    setting(
        "probes[].secret",
        "16 to 128 letters and digits",
        Means("none"),
        "A last piece of the path, for handlers that not everybody may call.",
    ),
    setting("probes[].timeout", "1s to 1h", Is("1s"), "How long the app may take."),
    setting(
        "probes[].http.port",
        "1 to 65535",
        Required,
        "`GET` to this port of the app; good is 200 to 399. One of `http`, `tcp`, `grpc`.",
    ),
    setting("probes[].http.path", "a path and query", Is("/"), "What is asked for."),
    setting(
        "probes[].http.tls",
        "`true`, `false`",
        Is("false"),
        "Whether the app speaks TLS; its certificate is not looked at.",
    ),
    setting(
        "probes[].http.headers[].name",
        "a header's name",
        Required,
        "A header of the request.",
    ),
    setting("probes[].http.headers[].value", "text, possibly empty", Required, "Its value."),
    setting(
        "probes[].tcp.port",
        "1 to 65535",
        Required,
        "A connection to this port; good when it is taken.",
    ),
    setting(
        "probes[].grpc.port",
        "1 to 65535",
        Required,
        "`grpc.health.v1.Health/Check` at this port; good is SERVING.",
    ),
    setting(
        "probes[].grpc.service",
        "a name",
        Means("the server as a whole"),
        "The service that is asked about.",
    ),
    setting(
        "upgrade.socket",
        "an absolute path, or `none`",
        Means("a name of the network namespace, made of `admin.bind`"),
        "Where `run --upgrade` finds the running proxy, to take its sockets over without losing a connection (docs/upgrade.md). A file has mode 0600.",
    ),
    setting(
        "logs.level",
        "`error`, `warn`, `info`, `debug`, `trace`",
        Is("info"),
        "The least important message that is written.",
    ),
    setting(
        "logs.access",
        "`all`, `refused`, `off`",
        Is("all"),
        "Which requests and connections get a line.",
    ),
    setting(
        "tracing.endpoint",
        "`http://HOST:PORT`, `https://HOST:PORT`",
        Required,
        "The collector that takes spans: OTLP over gRPC (docs/tracing.md). `http` to loopback only, unless `plaintext` says otherwise.",
    ),
    setting(
        "tracing.sampling",
        "`0%` to `100%`",
        Is("1%"),
        "The share of traces that is recorded, of those that begin here. A trace that a request comes with is recorded as whoever began it decided.",
    ),
    setting(
        "tracing.identity",
        "a SPIFFE id",
        Means("a web certificate"),
        "The identity that the collector must prove over `https`; it is shown the workload's own.",
    ),
    setting(
        "tracing.certificateAuthorities",
        "an absolute path",
        Means("the system's file"),
        "PEM: who signs the web certificate of the collector.",
    ),
    setting(
        "tracing.plaintext",
        "`true`, `false`",
        Is("false"),
        "Whether spans may leave the pod without encryption, over `http` to a host that is not loopback.",
    ),
    setting(
        "rateLimits.redis.address",
        "`HOST:PORT`, or a list of them",
        Required,
        "The Redis in which limits with `store: redis` are counted, or some nodes of a Redis Cluster (docs/rate-limits.md).",
    ),
    setting("rateLimits.redis.database", "0 to 65535", Is("0"), "The number of the database."),
    setting(
        "rateLimits.redis.username",
        "text",
        Means("Redis's user `default`"),
        "Whose password it is (`ACL SETUSER`).",
    ),
    setting(
        "rateLimits.redis.passwordFile",
        "an absolute path",
        Means("no password is sent"),
        "The file with the password. It is read at the start.",
    ),
    setting(
        "rateLimits.redis.tls.caFile",
        "an absolute path",
        Means("the system's file"),
        "PEM: who signs the certificate of the store.",
    ),
    setting(
        "rateLimits.redis.tls.serverName",
        "a name",
        Means("the host of the address"),
        "The name that the certificate of the store must have.",
    ),
    setting(
        "rateLimits.redis.tls.certificateFile",
        "an absolute path",
        Means("none is shown"),
        "PEM: the proxy's own certificate, where the store wants one.",
    ),
    setting(
        "rateLimits.redis.tls.keyFile",
        "an absolute path",
        Means("none"),
        "PEM: the key of that certificate.",
    ),
    setting(
        "rateLimits.redis.plaintext",
        "`true`, `false`",
        Is("false"),
        "Whether the store may be reached without TLS where it is not on loopback.",
    ),
    setting(
        "rateLimits.redis.timeout",
        "1ms to 1s",
        Is("20ms"),
        "The longest that a request waits for the store; after that `onStoreFailure` of its policy holds.",
    ),
    setting(
        "sessions.redis.address",
        "`HOST:PORT`, or a list of them",
        Required,
        "The Redis in which all proxies remember users who signed in, or some nodes of a Redis Cluster (docs/session-store.md).",
    ),
    setting("sessions.redis.database", "0 to 65535", Is("0"), "The number of the database."),
    setting(
        "sessions.redis.username",
        "text",
        Means("Redis's user `default`"),
        "Whose password it is (`ACL SETUSER`).",
    ),
    setting(
        "sessions.redis.passwordFile",
        "an absolute path",
        Means("no password is sent"),
        "The file with the password. It is read at the start.",
    ),
    setting(
        "sessions.redis.tls.caFile",
        "an absolute path",
        Means("the system's file"),
        "PEM: who signs the certificate of the store.",
    ),
    setting(
        "sessions.redis.tls.serverName",
        "a name",
        Means("the host of the address"),
        "The name that the certificate of the store must have.",
    ),
    setting(
        "sessions.redis.tls.certificateFile",
        "an absolute path",
        Means("none is shown"),
        "PEM: the proxy's own certificate, where the store wants one.",
    ),
    setting(
        "sessions.redis.tls.keyFile",
        "an absolute path",
        Means("none"),
        "PEM: the key of that certificate.",
    ),
    setting(
        "sessions.redis.plaintext",
        "`true`, `false`",
        Is("false"),
        "Whether the store may be reached without TLS where it is not on loopback.",
    ),
    setting(
        "sessions.redis.timeout",
        "1ms to 1s",
        Is("100ms"),
        "The longest that a request waits for the store; after that it is 503 `session_store_unavailable`.",
    ),
    setting(
        "workers",
        "1 to 64",
        Means("the CPU limit of the cgroup, at most 2"),
        "Worker threads.",
    ),
];
