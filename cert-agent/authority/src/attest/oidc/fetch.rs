//! Fetching the keys of a token issuer (S-35): TLS 1.3 against the certificates of the registry, no redirects, 5 s.
//! Everything that is the same for every fetch is in `web_fetch`.

use std::path::Path;
use std::time::Duration;

use web_fetch::address::{self, AddressPolicy, ForbiddenAddress};
use web_fetch::{FetchError, FetchRules, PlainDial, WebTls, WebUrl};

use crate::store::files;

/// From the look-up of the name to the last byte: a request waits for it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Fetches a document whose host `ca_file` vouches for.
///
/// # Errors
/// What went wrong, in words of ours.
pub(super) async fn get(
    url: &WebUrl,
    ca_file: &Path,
    allow_local: bool,
) -> Result<Vec<u8>, String> {
    let tls = web_tls(ca_file).map_err(|reason| format!("{url}: {reason}"))?;
    let allowed = if allow_local { address::local_blocks() } else { Vec::new() };
    let rules = FetchRules {
        tls: &tls,
        addresses: AddressPolicy::with_exceptions(&allowed),
        redirects: 0,
        connect_deadline: DEADLINE,
        deadline: DEADLINE,
        user_agent: "postern-authority",
        dial: PlainDial,
    };
    let document = web_fetch::fetch(url, &rules).await;
    let document = document.map_err(|error| format!("{url}: {error}{}", way_out(&error)))?;
    Ok(document.body.to_vec())
}

fn way_out(error: &FetchError) -> &'static str {
    match error.forbidden() {
        Some(ForbiddenAddress::Local) => "; `allowLocalAddresses: true` allows it",
        Some(ForbiddenAddress::Metadata) => ", which has no keys of an issuer",
        Some(ForbiddenAddress::OwnPort) | None => "",
    }
}

/// Read anew each time: the file is renewed by others.
fn web_tls(ca_file: &Path) -> Result<WebTls, String> {
    let at = ca_file.display();
    let pem = files::read(ca_file).map_err(|error| error.to_string())?;
    let roots = identity::web_roots(&pem).map_err(|error| format!("{at}: {error}"))?;
    WebTls::trusting(roots).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    /// A file with a certificate authority.
    fn authority(file: &Path) -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
        let mut ca = rcgen::CertificateParams::default();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertifiedIssuer::self_signed(ca, key).unwrap();
        std::fs::write(file, ca.as_ref().pem()).unwrap();
        ca
    }

    /// The rule is that of every fetch; here is what this one makes of it.
    #[tokio::test]
    async fn s35_ssrf_and_file_reads_addresses_of_issuers() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        authority(&file);
        let check = async |host: &str, allow_local: bool, words: &str| {
            // Nobody listens on port 1: what may be called is refused by the system instead.
            let url = WebUrl::parse(&format!("https://{host}:1/keys")).unwrap();
            let error = get(&url, &file, allow_local).await.expect_err(host);
            assert!(error.contains(words), "{host}, {allow_local}: {error}");
        };
        check("127.0.0.1", false, "`allowLocalAddresses: true` allows it").await;
        check("127.0.0.1", true, "refused").await;
        for host in [
            "168.63.129.16",
            "100.100.100.200",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "[::ffff:169.254.169.254]",
        ] {
            for allow_local in [false, true] {
                check(host, allow_local, "metadata service").await;
            }
        }
        for host in ["0.0.0.0", "224.0.0.1", "255.255.255.255"] {
            check(host, true, "is not called").await;
        }
    }

    #[test]
    fn a_file_of_authorities_with_anything_else_in_it_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let ca = authority(&file);
        let leaf = rcgen::CertificateParams::default();
        let leaf = leaf.signed_by(&rcgen::KeyPair::generate().unwrap(), &ca).unwrap().pem();
        let ca = ca.as_ref().pem();
        assert!(web_tls(&file).is_ok());
        for (name, text, words) in [
            ("a server's certificate", leaf.clone(), "ca.pem: certificate 0 "),
            ("beside a CA", format!("{ca}{leaf}"), "ca.pem: certificate 1 "),
            ("a damaged block", format!("{ca}{}", &ca[..99]), "damaged PEM at certificate 1 "),
            ("nothing", String::new(), "no PEM certificate"),
        ] {
            std::fs::write(&file, text).unwrap();
            let said = web_tls(&file).map(drop).expect_err(name);
            assert!(said.contains(words), "{name}: {said}");
        }
    }
}
