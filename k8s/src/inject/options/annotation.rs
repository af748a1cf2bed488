//! The annotations `postern.dev/…`: every one whole in one place, with its values, default and
//! meaning. `docs/kubernetes.md` holds the same table, printed from here.
//!
//! A value is parsed into a type and written out again from that type, as an element of a list of
//! arguments or a field of JSON. It is never put into a shell's or a file's text.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;

use ipnet::IpNet;

use super::listeners;
use super::ports::PortRange;
use super::resources::ProxyResources;
use crate::inject::refusal::Refusal;

/// What every annotation of ours begins with.
pub const PREFIX: &str = "postern.dev/";
/// Set by the injector: the version that made the pod what it is.
pub const INJECTED: &str = "postern.dev/injected";
/// Whether a pod is injected; a label of a namespace, an annotation of a pod.
pub const INJECT: &str = "postern.dev/inject";

/// The longest value that is read, in bytes.
const MAX_VALUE: usize = 4096;
/// The most items of a list.
const MAX_ITEMS: usize = 128;

/// One annotation, as the manual shows it.
#[derive(Debug, Clone, Copy)]
pub struct Annotation {
    /// Its key without `postern.dev/`.
    pub key: &'static str,
    /// What may be written.
    pub values: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// Whether a namespace may carry it for all of its pods.
    pub on_namespace: bool,
    read: fn(&mut InjectionOptions, &str) -> Result<(), String>,
}

impl Annotation {
    /// Reads a value of it into `options`.
    pub(crate) fn apply(&self, options: &mut InjectionOptions, text: &str) -> Result<(), String> {
        (self.read)(options, text)
    }
}

/// Every annotation, in the order of the manual.
pub const ANNOTATIONS: &[Annotation] = &[
    Annotation {
        key: "inject",
        values: "`enabled`, `disabled`",
        default: "`enabled`",
        meaning: "`disabled` keeps the pod out of the mesh.",
        on_namespace: false,
        // An opt-out has been seen before any annotation is read.
        read: |_, text| choose(&mut true, text, &[("enabled", true), ("disabled", false)]),
    },
    Annotation {
        key: "redirect",
        values: "`init`, `none`",
        default: "`init`",
        meaning: "`none` adds no init container and needs no capability; the pod then has the listeners of the two annotations below and no interception.",
        on_namespace: true,
        read: |options, text| {
            choose(&mut options.redirect, text, &[("init", true), ("none", false)])
        },
    },
    Annotation {
        key: "inbound-listeners",
        values: "`PORT=APPPORT` or `PORT=APPPORT/PROTOCOL`, comma-separated; a protocol is `http`, `http2`, `grpc`, `tcp`, `nats`, `mqtt`, `kafka` or `auto`",
        default: "none",
        meaning: "With `redirect: none`: peers connect to PORT, the app listens on 127.0.0.1:APPPORT.",
        on_namespace: false,
        read: |options, text| list(&mut options.inbound_listeners, text),
    },
    Annotation {
        key: "outbound-listeners",
        values: "`PORT=HOST:PORT`, comma-separated",
        default: "none",
        meaning: "With `redirect: none`: the app connects to 127.0.0.1:PORT and reaches that service.",
        on_namespace: false,
        read: |options, text| list(&mut options.outbound_listeners, text),
    },
    Annotation {
        key: "sidecar",
        values: "`native`, `classic`",
        default: "`native`",
        meaning: "`classic` runs proxy and agent as ordinary containers, for clusters older than 1.29. Init containers of the app then have no network, and a Job ends only when it says `POST /quitquitquit` to localhost:15000.",
        on_namespace: true,
        read: |options, text| {
            choose(&mut options.native, text, &[("native", true), ("classic", false)])
        },
    },
    Annotation {
        key: "skip-inbound-ports",
        values: "ports and ranges, comma-separated: `22,9000-9010`",
        default: "none",
        meaning: "Ports of the app that are reached without the proxy and without its checks.",
        on_namespace: true,
        read: |options, text| list(&mut options.skip_inbound_ports, text),
    },
    Annotation {
        key: "skip-outbound-ports",
        values: "ports and ranges, comma-separated",
        default: "none",
        meaning: "Remote TCP ports that are dialled without the proxy.",
        on_namespace: true,
        read: |options, text| list(&mut options.skip_outbound_ports, text),
    },
    Annotation {
        key: "skip-cidrs",
        values: "networks, comma-separated: `10.1.0.0/16,fd00:1::/64`",
        default: "none",
        meaning: "Remote networks that are dialled without the proxy, every port and transport.",
        on_namespace: true,
        read: |options, text| list(&mut options.skip_cidrs, text),
    },
    Annotation {
        key: "allow-udp",
        values: "ports and ranges, comma-separated",
        default: "none",
        meaning: "UDP ports that stay open while `egress` is `deny`. DNS to the pod's resolvers always is.",
        on_namespace: true,
        read: |options, text| list(&mut options.allow_udp, text),
    },
    Annotation {
        key: "egress",
        values: "`deny`, `allow`",
        default: "`deny`",
        meaning: "What happens to calls to destinations that no resource names, and to transports other than TCP.",
        on_namespace: true,
        read: |options, text| {
            choose(&mut options.egress_allowed, text, &[("deny", false), ("allow", true)])
        },
    },
    Annotation {
        key: "mtls",
        values: "`STRICT`, `PERMISSIVE`, `DISABLE`",
        default: "`STRICT`",
        meaning: "Who may connect where no PeerAuthentication says otherwise. `PERMISSIVE` also takes plaintext, for migration.",
        on_namespace: true,
        read: |options, text| {
            let modes = ["STRICT", "PERMISSIVE", "DISABLE"].map(|mode| (mode, mode));
            choose(&mut options.mtls, text, &modes)
        },
    },
    Annotation {
        key: "log-level",
        values: "`error`, `warn`, `info`, `debug`, `trace`",
        default: "`info`",
        meaning: "The least important message the proxy writes.",
        on_namespace: true,
        read: |options, text| {
            let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
            choose(&mut options.log_level, text, &levels)
        },
    },
    Annotation {
        key: "access-log",
        values: "`all`, `refused`, `off`",
        default: "`all`",
        meaning: "Which connections and requests get a line.",
        on_namespace: true,
        read: |options, text| {
            let logs = ["all", "refused", "off"].map(|log| (log, log));
            choose(&mut options.access_log, text, &logs)
        },
    },
    Annotation {
        key: "resources",
        values: "`cpu=`, `memory=`, `cpu-limit=`, `memory-limit=` with a quantity each, comma-separated: `cpu=100m,memory-limit=128Mi`",
        default: "`cpu=10m,memory=20Mi`",
        meaning: "What the proxy asks of its node, and the limits it gets.",
        on_namespace: true,
        read: |options, text| {
            options.resources = text.parse()?;
            Ok(())
        },
    },
];

/// What the annotations of a pod and of its namespace ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InjectionOptions {
    /// Whether an init container redirects the pod's traffic.
    pub(crate) redirect: bool,
    pub(crate) native: bool,
    pub(crate) inbound_listeners: Vec<InboundListener>,
    pub(crate) outbound_listeners: Vec<OutboundListener>,
    pub(crate) skip_inbound_ports: Vec<PortRange>,
    pub(crate) skip_outbound_ports: Vec<PortRange>,
    pub(crate) skip_cidrs: Vec<IpNet>,
    pub(crate) allow_udp: Vec<PortRange>,
    pub(crate) egress_allowed: bool,
    pub(crate) mtls: &'static str,
    pub(crate) log_level: &'static str,
    pub(crate) access_log: &'static str,
    pub(crate) resources: ProxyResources,
}

impl Default for InjectionOptions {
    fn default() -> Self {
        Self {
            redirect: true,
            native: true,
            inbound_listeners: Vec::new(),
            outbound_listeners: Vec::new(),
            skip_inbound_ports: Vec::new(),
            skip_outbound_ports: Vec::new(),
            skip_cidrs: Vec::new(),
            allow_udp: Vec::new(),
            egress_allowed: false,
            mtls: "STRICT",
            log_level: "info",
            access_log: "all",
            resources: ProxyResources::default(),
        }
    }
}

impl InjectionOptions {
    /// Reads the annotations of the namespace, then those of the pod, which win key by key.
    ///
    /// Every annotation of ours that is not known or not allowed is added to `refusals`, by name.
    pub(crate) fn read(
        namespace: &BTreeMap<String, String>,
        pod: &BTreeMap<String, String>,
        refusals: &mut Vec<Refusal>,
    ) -> Self {
        let mut options = Self::default();
        let mut wrong = Vec::new();
        for (key, text) in ours(namespace) {
            if ANNOTATIONS.iter().any(|known| known.key == key && known.on_namespace)
                && !pod.contains_key(&format!("{PREFIX}{key}"))
            {
                wrong.extend(options.take(key, text).err());
            }
        }
        for (key, text) in ours(pod) {
            wrong.extend(options.take(key, text).err());
        }
        let redirect = format!("{PREFIX}redirect");
        // Where it cannot be read, what agrees with it is unknown.
        if !wrong.iter().any(|r| matches!(r, Refusal::Annotation { key, .. } if *key == redirect)) {
            wrong.extend(options.agree());
        }
        wrong.extend(listeners::check(&options));
        refusals.extend(wrong);
        options
    }

    fn take(&mut self, key: &str, text: &str) -> Result<(), Refusal> {
        let Some(known) = ANNOTATIONS.iter().find(|known| known.key == key) else {
            let keys: Vec<&str> = ANNOTATIONS.iter().map(|known| known.key).collect();
            return Err(refusal(key, format!("unknown; known are {}", keys.join(", "))));
        };
        let read = match text.len() {
            0..=MAX_VALUE => (known.read)(self, text),
            _ => Err(format!("longer than {MAX_VALUE} bytes")),
        };
        read.map_err(|problem| refusal(key, format!("{problem}; allowed: {}", known.values)))
    }

    /// Refuses annotations that would have no effect together.
    fn agree(&self) -> Vec<Refusal> {
        let without = [
            ("inbound-listeners", self.inbound_listeners.is_empty()),
            ("outbound-listeners", self.outbound_listeners.is_empty()),
        ];
        let with = [
            ("skip-inbound-ports", self.skip_inbound_ports.is_empty()),
            ("skip-outbound-ports", self.skip_outbound_ports.is_empty()),
            ("skip-cidrs", self.skip_cidrs.is_empty()),
            ("allow-udp", self.allow_udp.is_empty()),
        ];
        let (useless, mode) = if self.redirect {
            (&without[..], "has a meaning only with postern.dev/redirect: none")
        } else {
            (&with[..], "has no meaning with postern.dev/redirect: none, which intercepts nothing")
        };
        let useless = useless.iter().filter(|(_, empty)| !empty);
        useless.map(|(key, _)| refusal(key, mode.to_owned())).collect()
    }
}

/// Our annotations without their prefix; what the injector itself sets is not one a person may write
/// an order with.
fn ours(annotations: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    annotations
        .iter()
        .filter(|(key, _)| *key != INJECTED)
        .filter_map(|(key, text)| key.strip_prefix(PREFIX).map(|key| (key, text.as_str())))
}

pub(crate) fn refusal(key: &str, problem: String) -> Refusal {
    let shown: String = key.escape_default().take(64).collect();
    Refusal::Annotation { key: format!("{PREFIX}{shown}"), problem }
}

fn choose<T: Copy>(target: &mut T, text: &str, choices: &[(&str, T)]) -> Result<(), String> {
    let (_, chosen) = choices.iter().find(|(name, _)| *name == text).ok_or_else(|| found(text))?;
    *target = *chosen;
    Ok(())
}

/// A comma-separated list; blanks around an item do not count, an empty text is an empty list.
fn list<T: FromStr>(target: &mut Vec<T>, text: &str) -> Result<(), String> {
    let items: Vec<&str> = text.split(',').map(|item| item.trim_matches(' ')).collect();
    if items.len() > MAX_ITEMS {
        return Err(format!("{} items; at most {MAX_ITEMS}", items.len()));
    }
    *target = match items.as_slice() {
        [""] => Vec::new(),
        items => items
            .iter()
            .map(|item| item.parse().map_err(|_| found(item)))
            .collect::<Result<_, _>>()?,
    };
    Ok(())
}

/// The text that was found, on one line and bounded.
fn found(text: &str) -> String {
    let shown: String = text.chars().take(64).collect();
    format!("found {shown:?}")
}

/// `PORT=APPPORT[/PROTOCOL]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboundListener {
    pub(crate) port: u16,
    pub(crate) app_port: u16,
    pub(crate) protocol: &'static str,
}

impl FromStr for InboundListener {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (listener, protocol) = text.split_once('/').unwrap_or((text, "auto"));
        let (port, app_port) = listener.split_once('=').ok_or(())?;
        let known = ["http", "http2", "grpc", "tcp", "nats", "mqtt", "kafka", "auto"];
        let protocol = known.into_iter().find(|known| *known == protocol).ok_or(())?;
        Ok(Self { port: self::port(port)?, app_port: self::port(app_port)?, protocol })
    }
}

/// `PORT=HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboundListener {
    pub(crate) port: u16,
    pub(crate) host: String,
    pub(crate) service_port: u16,
}

impl FromStr for OutboundListener {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (port, service) = text.split_once('=').ok_or(())?;
        let (host, service_port) = service.rsplit_once(':').ok_or(())?;
        // An address is no service's name.
        let good = host.len() <= 253
            && host.parse::<std::net::IpAddr>().is_err()
            && service.parse::<SocketAddr>().is_err()
            && host.split('.').all(is_dns_label);
        if !good {
            return Err(());
        }
        let (port, service_port) = (self::port(port)?, self::port(service_port)?);
        Ok(Self { port, host: host.to_owned(), service_port })
    }
}

fn is_dns_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let edges = !label.starts_with('-') && !label.ends_with('-');
    (1..=63).contains(&label.len()) && edges && label.bytes().all(inner)
}

fn port(text: &str) -> Result<u16, ()> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| *port != 0 && digits).ok_or(())
}
