//! What `check` says of configuration and resources.
#![allow(clippy::unwrap_used)]
use crate::check::*;
use data_plane::control::config::load::load;
use std::fs;

const GOOD: &str =
    "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///run/a}\n";
const POLICY: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\n";

/// Writes a configuration and one resource file; gives back the mistakes without the directory's name.
fn check(config: &str, resource: Option<&str>) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let resources = directory.path().join("resources");
    let config = config.replace("RESOURCES", &resources.display().to_string());
    fs::write(directory.path().join("proxy.yaml"), config).unwrap();
    if let Some(resource) = resource {
        fs::create_dir(&resources).unwrap();
        fs::write(resources.join("a.yaml"), resource).unwrap();
    }
    let prefix = format!("{}/", directory.path().display());
    match load(&directory.path().join("proxy.yaml"), None) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(|m| m.to_string().replace(&prefix, "")).collect(),
    }
}

#[test]
fn good_configurations() {
    assert!(check(GOOD, None).is_empty());
    assert!(
        check(&format!("{GOOD}resources: {{directory: RESOURCES}}\n"), Some(POLICY)).is_empty()
    );
}

#[test]
fn f10_mistakes_of_configuration_and_resources_together() {
    let found = check(
        &format!("{GOOD}resources: {{directory: RESOURCES}}\nrootNamespace: mesh\nworker: 3\n"),
        Some(&format!("{POLICY}spce: {{}}\n")),
    );
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].starts_with("proxy.yaml:5:1: found the unknown key `worker`"), "{found:#?}");
    assert!(
        found[1].starts_with("resources/a.yaml:4:1: found the unknown key `spce`"),
        "{found:#?}"
    );
}

/// The trust domain is the configuration's: only both together show that a partner would become one of the mesh.
#[test]
fn s24_trust_domain_confusion_a_partner_is_nobody_of_the_mesh() {
    let policy = "apiVersion: policy.postern.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: c, namespace: shop}\n\
                  spec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n  \
                  clientCertificates: {mode: required, authorities: [{kind: ConfigMap, name: p}], \
                  principals: [{subjectAltName: {dns: acme.example}, principal: example.org/acme}]}\n";
    let resources = "resources: {directory: RESOURCES}\n";
    assert!(check(&format!("{GOOD}{resources}"), Some(policy)).is_empty());
    let own = GOOD.replace("unix:///run/a}", "unix:///run/a, trustDomain: example.org}");
    let found = check(&format!("{own}{resources}"), Some(policy));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("resources/a.yaml:1:1: found the principal example.org/acme"),
        "{found:#?}"
    );
}

/// `--namespace` is as with kubectl: for objects that name none, and no other.
#[test]
fn a_namespace_for_those_that_name_none() {
    let check = |metadata: &str, namespace: Option<&str>| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        let policy = POLICY.replace("{name: p, namespace: shop}", metadata);
        fs::write(&file, policy).unwrap();
        let namespace = namespace.map(str::to_owned);
        let args = CheckArgs {
            config: None,
            resources: Some(file),
            namespace,
            from_istio: false,
            output: None,
        };
        let found = collect_findings(&args).strictly().map(|counted| counted.resources);
        found.map_err(|mistakes| mistakes.to_string())
    };
    for (metadata, namespace, expect) in [
        ("{name: p, namespace: shop}", None, ""),
        ("{name: p, namespace: shop}", Some("shop"), ""),
        ("{name: p}", Some("shop"), ""),
        ("{name: p}", None, "found no `namespace` in `metadata`"),
        (
            "{name: p, namespace: bank}",
            Some("shop"),
            "found the text \"bank\" for `namespace`; expected namespace shop, which --namespace asks for, or none; check it with --namespace bank, or take the line out",
        ),
        ("{name: p, namespace: ''}", Some("shop"), "expected text that is not empty"),
    ] {
        match check(metadata, namespace) {
            Ok(resources) => assert_eq!((resources, expect), (1, ""), "{metadata}"),
            Err(found) => {
                assert!(!expect.is_empty() && found.contains(expect), "{metadata}: {found}")
            }
        }
    }
    assert!(super::namespace("Shop").is_err() && super::namespace("shop").is_ok());
}

#[test]
fn f10_missing_files_are_named() {
    let found = check(&format!("{GOOD}resources: {{directory: RESOURCES}}\n"), None);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0]
            .starts_with("resources: found nothing to read (cannot read resources: No such file"),
        "{found:#?}"
    );
    let missing = load(Path::new("no-such.yaml"), None).unwrap_err().to_string();
    assert!(missing.contains("no-such.yaml"), "{missing}");
    let torn = check(&format!("{GOOD}resources: {{directory: RESOURCES}}\n"), Some(""));
    assert!(torn[0].contains("a file of 0 bytes"), "{torn:#?}");
}

/// An object of another namespace is told together with all that is wrong in it.
#[test]
fn another_namespace_hides_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.yaml");
    fs::write(&file, format!("{POLICY}spec: {{action: DNY}}\n")).unwrap();
    let args = CheckArgs { namespace: Some("bank".to_owned()), ..asking(&file) };
    let found = collect_findings(&args).strictly().unwrap_err().to_string();
    for expect in ["expected namespace bank, which --namespace asks for", "did you mean DENY?"] {
        assert!(found.contains(expect), "{expect}: {found}");
    }
}

fn asking(resources: &Path) -> CheckArgs {
    CheckArgs {
        config: None,
        resources: Some(resources.to_owned()),
        namespace: None,
        from_istio: false,
        output: None,
    }
}

/// The hint to --from-istio stands where it helps: at an older version that it takes.
#[test]
fn the_hint_to_from_istio_where_it_helps() {
    for (version, kind, expect) in [
        ("security.istio.io/v1beta1", "AuthorizationPolicy", true),
        ("networking.istio.io/v1alpha3", "ServiceEntry", true),
        ("security.istio.io/v1", "AuthorizationPolicy", false),
        ("security.istio.io/v2", "AuthorizationPolicy", false),
        ("security.istio.io/v1alpha3", "AuthorizationPolicy", false),
        ("policy.postern.dev/v1", "TokenPolicy", false),
        ("networking.istio.io/v1beta1", "VirtualService", false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        let text = format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: p, namespace: shop}}\n"
        );
        fs::write(&file, text).unwrap();
        let survey = collect_findings(&asking(&file)).survey;
        let hint = survey.objects.iter().any(SurveyedObject::is_older);
        assert_eq!(hint, expect, "{version} {kind}");
    }
}

/// A pipe is read to its end; a directory with nothing in it that is read is not the one that was meant.
#[test]
fn what_resources_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let found = |resources: &Path| {
        let found = collect_findings(&asking(resources)).strictly();
        found.map(|counted| counted.resources).map_err(|mistakes| mistakes.to_string())
    };
    let refused = found(directory.path()).unwrap_err();
    assert!(refused.contains("found no resource file; expected a directory"), "{refused}");
    fs::write(path("a.json"), "{}").unwrap();
    fs::create_dir(path("more")).unwrap();
    fs::write(path("more").join("a.yaml"), POLICY).unwrap();
    let refused = found(directory.path()).unwrap_err();
    assert!(refused.contains(".json, and directories in it are not read"), "{refused}");
    assert_eq!(found(&path("more")), Ok(1));
    fs::write(path("a.yaml"), "# nothing\n").unwrap();
    assert_eq!(found(directory.path()), Ok(0), "a file that says nothing is one");

    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(POLICY.as_bytes()).unwrap();
    drop(writer);
    let pipe = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    assert_eq!(found(Path::new(&pipe)), Ok(1));
    let refused = found(&path("no-such")).unwrap_err();
    assert!(refused.contains("No such file"), "{refused}");
}

/// A sidecar serves no Gateway: what its files say of them is another proxy's.
#[test]
fn gateways_are_judged_where_they_are_served() {
    let gateway = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\nspec: {gatewayClassName: nginx, listeners: [{name: http, port: 80, protocol: HTTP}]}\n";
    for (config, expect) in [(None, 1), (Some(""), 0), (Some("mode: gateway\n"), 1)] {
        let directory = tempfile::tempdir().unwrap();
        let resources = directory.path().join("a.yaml");
        fs::write(&resources, gateway).unwrap();
        let file = directory.path().join("proxy.yaml");
        fs::write(&file, format!("{GOOD}{}", config.unwrap_or_default())).unwrap();
        let args = CheckArgs { config: config.map(|_| file), ..asking(&resources) };
        let found = collect_findings(&args).strictly().unwrap();
        assert_eq!(found.gateways.warnings.len(), expect, "{config:?}");
    }
}

/// A cluster's Secrets are seldom among its manifests; a gateway that reads files has nothing else.
#[test]
fn a_secret_that_is_not_there_is_a_mistake_of_a_gateways_files() {
    let sign_in = "apiVersion: policy.postern.dev/v1alpha1\nkind: SignIn\nmetadata: {name: staff, namespace: shop}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: edge}]\n  issuer: https://id.example\n  clientId: shop\n  clientSecretRef: {name: shop-oidc}\n  session: {keysSecretRef: {name: shop-session}}\n";
    for (config, expect) in [(None, true), (Some(""), true), (Some("mode: gateway\n"), false)] {
        let directory = tempfile::tempdir().unwrap();
        let resources = directory.path().join("a.yaml");
        fs::write(&resources, sign_in).unwrap();
        let file = directory.path().join("proxy.yaml");
        fs::write(&file, format!("{GOOD}{}", config.unwrap_or_default())).unwrap();
        let path = config.map(|_| file.clone());
        let args = CheckArgs { config: path, ..asking(&resources) };
        let found = collect_findings(&args).strictly();
        assert_eq!(found.is_ok(), expect, "{config:?}");
        if let Err(mistakes) = found {
            let told = mistakes.to_string();
            assert!(told.contains("Secret shop/shop-oidc: it is not there"), "{told}");
            // And so it is no set that `run` starts with.
            let loaded = data_plane::control::config::load::load(&file, Some(&resources));
            assert!(loaded.unwrap_err().to_string().contains("Secret shop/shop-oidc"));
        }
    }
}
