//! BackendTLSPolicies.

use super::{HTTP, Row, authority, check, config_map, gateway, object, route};

/// A policy for a Service of `infra`, and when it was made.
fn policy(name: &str, target: &str, reference: &str) -> String {
    let spec = format!(
        "targetRefs: [{{group: \"\", kind: Service, {target}}}], validation: {{hostname: web.example, {reference}}}"
    );
    object("gateway.networking.k8s.io/v1", "BackendTLSPolicy", &format!("infra/{name}"), &spec)
}

fn references(reference: &str) -> String {
    format!("caCertificateRefs: [{{group: \"\", {reference}}}]")
}

fn edge() -> String {
    let spec = "parentRefs: [{name: edge}], rules: [{backendRefs: [{name: web, port: 8080}]}]";
    gateway("edge", "", HTTP) + &route("HTTPRoute", "infra/r", spec)
}

#[test]
fn authorities_of_backends() {
    let row = |name, reference: &str, more: &str, told| Row {
        name,
        resources: edge() + &policy("p", "name: web", reference) + more,
        told,
    };
    let no_authority = &[
        "BackendTLSPolicy infra/p at infra/edge: Accepted=False NoValidCACertificate",
        "BackendTLSPolicy infra/p at infra/edge: ResolvedRefs=False InvalidCACertificateRef",
    ];
    let good = authority("infra/ca", "good");
    check(&[
        row(
            "BackendTLSPolicy",
            &references("kind: ConfigMap, name: ca"),
            &good,
            &[
                "BackendTLSPolicy infra/p at infra/edge: Accepted=True Accepted",
                "BackendTLSPolicy infra/p at infra/edge: ResolvedRefs=True ResolvedRefs",
            ],
        ),
        row(
            "BackendTLSPolicyInvalidCACertificateRef: nothing there",
            &references("kind: ConfigMap, name: none"),
            "",
            no_authority,
        ),
        row(
            "BackendTLSPolicyInvalidCACertificateRef: malformed",
            &references("kind: ConfigMap, name: ca"),
            &config_map("infra/ca", "-----BEGIN CERTIFICATE-----\nbad"),
            no_authority,
        ),
        row(
            "BackendTLSPolicyInvalidKind",
            &references("kind: Service, name: web"),
            "",
            &[
                "BackendTLSPolicy infra/p at infra/edge: Accepted=False NoValidCACertificate",
                "BackendTLSPolicy infra/p at infra/edge: ResolvedRefs=False InvalidKind",
            ],
        ),
        row(
            "one of two is there",
            "caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}, {group: \"\", kind: ConfigMap, name: none}]",
            &good,
            &[
                "BackendTLSPolicy infra/p at infra/edge: Accepted=True Accepted",
                "BackendTLSPolicy infra/p at infra/edge: ResolvedRefs=False InvalidCACertificateRef",
            ],
        ),
        row(
            "those of the system",
            "wellKnownCACertificates: System",
            "",
            &["BackendTLSPolicy infra/p at infra/edge: Accepted=True Accepted"],
        ),
        row(
            "a set that is not known",
            "wellKnownCACertificates: example.com/ours",
            "",
            &["BackendTLSPolicy infra/p at infra/edge: Accepted=False Invalid"],
        ),
    ]);
}

#[test]
fn several_policies_of_one_service() {
    let system = "wellKnownCACertificates: System";
    let old = |name: &str| {
        policy(name, "name: web", system).replace(
            "namespace: infra}",
            "namespace: infra, creationTimestamp: '2020-01-01T00:00:00Z'}",
        )
    };
    check(&[
        Row {
            name: "BackendTLSPolicyConflictResolution: the older one, else by name",
            resources: edge()
                + &policy("a", "name: web", system)
                + &policy("b", "name: web", system)
                + &old("z"),
            told: &[
                "BackendTLSPolicy infra/z at infra/edge: Accepted=True Accepted",
                "BackendTLSPolicy infra/a at infra/edge: Accepted=False Conflicted",
                "BackendTLSPolicy infra/b at infra/edge: Accepted=False Conflicted",
            ],
        },
        Row {
            name: "BackendTLSPolicyConflictResolution: a port and the whole do not conflict",
            resources: edge()
                + &policy("port", "name: web, sectionName: http", system)
                + &policy("whole", "name: web", system),
            told: &[
                "BackendTLSPolicy infra/port at infra/edge: Accepted=True Accepted",
                "BackendTLSPolicy infra/whole at infra/edge: Accepted=True Accepted",
            ],
        },
        Row {
            name: "a port that is not there",
            resources: edge() + &policy("p", "name: web, sectionName: https", system),
            told: &["BackendTLSPolicy infra/p at infra/edge: Accepted=False TargetNotFound"],
        },
        Row {
            name: "a Service that no route leads to",
            resources: edge() + &policy("p", "name: api", system),
            told: &["!BackendTLSPolicy infra/p at infra/edge: Accepted=True Accepted"],
        },
    ]);
}
