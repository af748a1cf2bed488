//! `postern-proxy session-key`: makes the keys that the sessions of a SignIn are sealed with.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use policy::core_group::Secret;
use policy::resources::{
    self, DEFAULT_ROOT_NAMESPACE, ReadOptions, ResourceSurvey, namespace_name,
};
use policy::{Diagnostics, Resources, SourceFile};
use zeroize::Zeroizing;

/// The longest file with a Secret that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Make the keys that the sessions of a SignIn are sealed with.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum SessionKeyCommand {
    #[allow(missing_docs, reason = "the command's help is told by its arguments")]
    New(NewSessionKeyArgs),
}

/// Print a Secret with a new key, for `session.keysSecretRef` of a SignIn
///
/// The key is 256 random bits, for AES-256-GCM. With --rotate the key in use becomes the previous one: sessions that it has
/// sealed are still taken, and new ones are sealed with the new key. Roll a second time only after the longest session.
///
///   postern-proxy session-key new --name edge-session | kubectl apply --namespace shop -f -
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct NewSessionKeyArgs {
    /// The Secret's name.
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// The Secret's namespace [default: none is written; with --rotate, that of the Secret].
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// The Secret in force, as YAML or JSON, `-` for standard input: its key is kept as the previous one.
    #[arg(long, value_name = "FILE")]
    pub rotate: Option<PathBuf>,
}

/// Runs a subcommand.
///
/// # Errors
/// A name that no Secret has, a file that holds no such Secret, no random numbers, or the answer cannot be written.
pub fn run(command: &SessionKeyCommand) -> anyhow::Result<ExitCode> {
    let SessionKeyCommand::New(args) = command;
    check_names(args)?;
    let known = args.rotate.as_deref().map(|file| read_secret(file, args)).transpose()?;
    let mut key = Zeroizing::new([0; 32]);
    rand::fill(key.as_mut_slice()).map_err(|_| anyhow!("the system gives no random numbers"))?;
    let document = document(args, &key, known.as_ref())?;
    io::stdout().lock().write_all(document.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The Secret in force.
#[derive(Debug)]
struct KnownSecret {
    secret: Secret,
    /// Whether it names its namespace.
    is_placed: bool,
}

/// The Secret of the name in a file that may hold others.
fn read_secret(file: &Path, args: &NewSessionKeyArgs) -> anyhow::Result<KnownSecret> {
    // The room is made at once: a buffer that grew would leave parts of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE)?));
    let read = match file == Path::new("-") {
        true => io::stdin().lock().take(MAX_FILE).read_to_end(&mut bytes),
        false => File::open(file).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    secret_in(&file.display().to_string(), &bytes, args)
}

fn secret_in(file: &str, bytes: &[u8], args: &NewSessionKeyArgs) -> anyhow::Result<KnownSecret> {
    let given = args.namespace.as_deref();
    let (resources, is_placed) = match read(file, bytes, given) {
        // What this command has printed need not name a namespace.
        Err(mistakes) if given.is_none() => {
            (read(file, bytes, Some("default")).map_err(|_| mistakes)?, false)
        }
        read => (read?, true),
    };
    let mut found = resources.secrets().iter().filter(|secret| *secret.id.name == *args.name);
    match (found.next(), found.next()) {
        (Some(secret), None) => Ok(KnownSecret { secret: secret.clone(), is_placed }),
        (None, _) => bail!("{file} holds no Secret named {}", args.name),
        (Some(_), Some(_)) => bail!("{file} holds several Secrets named {}", args.name),
    }
}

fn read(file: &str, bytes: &[u8], namespace: Option<&str>) -> anyhow::Result<Resources> {
    let files = [SourceFile { name: file.to_owned(), bytes: bytes.to_vec() }];
    let reading = ReadOptions { namespace, ..ReadOptions::strict(DEFAULT_ROOT_NAMESPACE) };
    let ResourceSurvey { resources, diagnostics, .. } = resources::survey(&files, &reading);
    Diagnostics::ok_unless_any(resources, diagnostics).map_err(|mistakes| anyhow!("{mistakes}"))
}

/// The Secret as YAML.
fn document(
    args: &NewSessionKeyArgs,
    key: &[u8; 32],
    known: Option<&KnownSecret>,
) -> anyhow::Result<Zeroizing<String>> {
    let placed = known.filter(|known| known.is_placed).map(|known| &*known.secret.id.namespace);
    let namespace = args.namespace.as_deref().or(placed);
    let previous = known.map(|known| previous_key(&known.secret)).transpose()?;
    // As above.
    let mut text = Zeroizing::new(String::with_capacity(1024));
    text.push_str("apiVersion: v1\nkind: Secret\ntype: Opaque\nmetadata:\n");
    push_field(&mut text, "name", &args.name);
    if let Some(namespace) = namespace {
        push_field(&mut text, "namespace", namespace);
    }
    text.push_str("data:\n");
    push_key(&mut text, "current", key);
    if let Some(previous) = previous {
        push_key(&mut text, "previous", previous);
    }
    Ok(text)
}

fn push_field(text: &mut String, name: &str, value: &str) {
    ["  ", name, ": ", value, "\n"].iter().for_each(|part| text.push_str(part));
}

fn push_key(text: &mut String, name: &str, key: &[u8]) {
    let mut encoded = Zeroizing::new(String::with_capacity(64));
    STANDARD.encode_string(key, &mut encoded);
    push_field(text, name, &encoded);
}

/// The key in use, which is the one before it from now on.
fn previous_key(secret: &Secret) -> anyhow::Result<&[u8]> {
    let current = secret.value("current").map(|value| value.as_slice());
    let current = current.filter(|key| key.len() == 32);
    current.ok_or_else(|| anyhow!("Secret {}: it has no `current` of 32 bytes", secret.id))
}

fn check_names(args: &NewSessionKeyArgs) -> anyhow::Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let NewSessionKeyArgs { name, namespace, .. } = args;
    let ends = name.trim_matches(['-', '.']) == name;
    if name.is_empty() || name.len() > 253 || !ends || !name.bytes().all(plain) {
        bail!(
            "no Secret can have the name {name:?}: write lower-case letters, digits, '-' and '.'"
        );
    }
    if let Some(namespace) = namespace {
        namespace_name(namespace).map_err(|advice| anyhow!("namespace {namespace:?}: {advice}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn args(name: &str, namespace: Option<&str>) -> NewSessionKeyArgs {
        let namespace = namespace.map(str::to_owned);
        NewSessionKeyArgs { name: name.into(), namespace, rotate: None }
    }

    /// The Secret that stands in a document.
    fn known(text: &str, args: &NewSessionKeyArgs) -> anyhow::Result<KnownSecret> {
        secret_in("s.yaml", text.as_bytes(), args)
    }

    /// The first bytes of its keys.
    fn keys(known: &KnownSecret) -> [Option<u8>; 2] {
        ["current", "previous"].map(|name| known.secret.value(name).map(|key| key[0]))
    }

    #[test]
    fn what_is_printed_is_what_a_sign_in_takes() {
        for namespace in [Some("shop"), None] {
            let args = args("edge-session", namespace);
            let first = known(&document(&args, &[1; 32], None).unwrap(), &args).unwrap();
            assert_eq!(keys(&first), [Some(1), None]);
            let second = document(&args, &[2; 32], Some(&first)).unwrap();
            let second = known(&second, &args).unwrap();
            assert_eq!(keys(&second), [Some(2), Some(1)]);
            let third = document(&args, &[3; 32], Some(&second)).unwrap();
            assert_eq!(keys(&known(&third, &args).unwrap()), [Some(3), Some(2)]);
            assert_eq!(third.contains("namespace: shop"), namespace.is_some());
        }
    }

    #[test]
    fn the_namespace_is_kept() {
        let text = document(&args("s", Some("shop")), &[1; 32], None).unwrap();
        let known = known(&text, &args("s", None)).unwrap();
        let rolled = document(&args("s", None), &[2; 32], Some(&known)).unwrap();
        assert!(rolled.contains("\n  namespace: shop\n"));
    }

    #[test]
    fn what_is_no_such_secret_is_refused() {
        for (name, namespace) in
            [("", None), ("A", None), ("-a", None), ("a b", None), ("a", Some("b.c"))]
        {
            assert!(check_names(&args(name, namespace)).is_err(), "{name:?}");
        }
        let secret = |data: &str| {
            format!(
                "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s, namespace: shop}}\ndata: {{{data}}}\n"
            )
        };
        for (row, text, expect) in [
            ("none", "# nothing\n".to_owned(), "holds no Secret named s"),
            ("another", secret("").replace("name: s,", "name: t,"), "holds no Secret named s"),
            ("no key", secret(""), "it has no `current` of 32 bytes"),
            ("a short key", secret("current: AAAA"), "it has no `current` of 32 bytes"),
            ("two", secret("") + &secret("").replace("shop", "bank"), "holds several Secrets"),
            ("no base64", secret("current: '%'"), "something else for `current`"),
        ] {
            let args = args("s", None);
            let made =
                known(&text, &args).and_then(|known| document(&args, &[1; 32], Some(&known)));
            let wrong = made.unwrap_err().to_string();
            assert!(wrong.contains(expect), "{row}: {wrong}");
        }
    }
}
