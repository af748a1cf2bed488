//! `postern-proxy api-key`: makes API keys.
//!
//! A key is 256 random bits and is shown once, to whoever asked for it; policies hold its hash.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::anyhow;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_plane::traffic::api_key;
use policy::resources::DEFAULT_ROOT_NAMESPACE;
use policy::{Resources, SourceFile};
use serde::Serialize;
use serde_json::json;

use crate::policy_tools::OutputFormat;

/// Make API keys for an ApiKeyPolicy.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum ApiKeyCommand {
    #[allow(missing_docs, reason = "the command's help is told by its arguments")]
    New(NewKeyArgs),
}

/// Make a new key: it is printed once, with the entry for `keys` of an ApiKeyPolicy
///
/// The key is 256 random bits behind `pk_` and its id, so that whoever finds one knows whose it is. It is kept nowhere;
/// the entry holds its SHA-256. On a pipe the answer is one JSON object: {"key":"pk_…","entry":{"id":"…",…}}.
#[derive(Debug, Clone, clap::Args)]
pub struct NewKeyArgs {
    /// Whose key it is; what policies ask for by `request.auth.apiKey[client]`.
    #[arg(long, value_name = "NAME")]
    pub client: String,
    /// What it is for, separated by commas; what policies ask for by `request.auth.apiKey[scopes]`.
    #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
    pub scopes: Vec<String>,
    /// The key's name, which is no secret [default: the client's name and eight random digits].
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// From when on it is no longer taken, such as 2027-12-31T00:00:00Z [default: never].
    #[arg(long, value_name = "MOMENT")]
    pub not_after: Option<String>,
    /// How to write the answer. Default: text on a terminal, JSON on a pipe.
    #[arg(long, value_enum)]
    pub output: Option<OutputFormat>,
}

/// Runs a subcommand.
///
/// # Errors
/// A name that no policy takes, no random numbers, or the answer cannot be written.
pub fn run(command: &ApiKeyCommand) -> anyhow::Result<ExitCode> {
    let ApiKeyCommand::New(args) = command;
    let mut random = [0; 36];
    rand::fill(&mut random).map_err(|_| anyhow!("the system gives no random numbers"))?;
    let made = new_key(args, &random)?;
    let mut out = io::stdout().lock();
    match OutputFormat::or_by_terminal(args.output) {
        OutputFormat::Text => write_text(&mut out, &made)?,
        OutputFormat::Json => {
            serde_json::to_writer(&mut out, &made)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A key that nobody has seen yet, and what a policy knows of it.
#[derive(Serialize)]
struct NewKey {
    key: String,
    entry: KeyEntry,
}

/// An item of `keys`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyEntry {
    id: String,
    client: String,
    hash: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<String>,
}

/// The key that these random bytes make: 4 for its name, 32 for the key itself.
fn new_key(args: &NewKeyArgs, random: &[u8; 36]) -> anyhow::Result<NewKey> {
    let (name, secret) = random.split_at(4);
    let digits = || name.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let id = args.id.clone().unwrap_or_else(|| format!("{}-{}", args.client, digits()));
    let key = format!("pk_{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    let entry = KeyEntry {
        id,
        client: args.client.clone(),
        hash: api_key::hash(key.as_bytes()).to_string(),
        scopes: args.scopes.clone(),
        not_after: args.not_after.clone(),
    };
    check(&entry)?;
    Ok(NewKey { key, entry })
}

/// Reads the entry as a policy's reader will.
fn check(entry: &KeyEntry) -> anyhow::Result<()> {
    let policy = json!({
        "apiVersion": "policy.postern.dev/v1alpha1",
        "kind": "ApiKeyPolicy",
        "metadata": {"name": "new", "namespace": "new"},
        "spec": {"keys": [entry]},
    });
    let name = "the new key".to_owned();
    let file = SourceFile { name, bytes: policy.to_string().into_bytes() };
    match Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE) {
        Ok(_) => Ok(()),
        Err(mistakes) => Err(anyhow!("{mistakes}")),
    }
}

fn write_text(out: &mut impl Write, made: &NewKey) -> io::Result<()> {
    let NewKey { key, entry } = made;
    writeln!(
        out,
        "The key. It is shown this once; hand it to {} and keep it nowhere else:\n",
        entry.client
    )?;
    writeln!(out, "{key}\n\nFor `keys` of an ApiKeyPolicy:\n")?;
    writeln!(out, "  - id: \"{}\"\n    client: \"{}\"", entry.id, entry.client)?;
    writeln!(out, "    hash: \"{}\"", entry.hash)?;
    if !entry.scopes.is_empty() {
        let scopes: Vec<_> = entry.scopes.iter().map(|scope| format!("\"{scope}\"")).collect();
        writeln!(out, "    scopes: [{}]", scopes.join(", "))?;
    }
    match &entry.not_after {
        Some(moment) => writeln!(out, "    notAfter: \"{moment}\""),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn args(client: &str, scopes: &[&str]) -> NewKeyArgs {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        NewKeyArgs { client: client.into(), scopes, id: None, not_after: None, output: None }
    }

    #[test]
    fn what_is_printed_is_what_a_policy_takes() {
        let moment = Some("2027-12-31T00:00:00Z".to_owned());
        let asked = NewKeyArgs { not_after: moment, ..args("acme", &["read", "orders:write"]) };
        let made = new_key(&asked, &[7; 36]).unwrap();
        assert_eq!(made.key, "pk_acme-07070707_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc");
        let mut text = Vec::new();
        write_text(&mut text, &made).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.matches(&made.key).count(), 1);
        let entry = text.split_once("For `keys` of an ApiKeyPolicy:\n").unwrap().1;
        let policy = format!(
            "apiVersion: policy.postern.dev/v1alpha1\nkind: ApiKeyPolicy\nmetadata: {{name: p, namespace: n}}\nspec:\n  keys:\n{entry}"
        );
        let file = SourceFile { name: "p".into(), bytes: policy.into_bytes() };
        let read = Resources::parse(&[file], DEFAULT_ROOT_NAMESPACE).unwrap();
        let key = &read.api_key_policies()[0].keys()[0];
        assert_eq!(key.hash, api_key::hash(made.key.as_bytes()));
        assert_eq!(key.facts.scopes.len(), 2);
        assert!(key.not_after.is_some());
    }

    #[test]
    fn names_that_no_policy_takes_are_refused() {
        for (client, scopes) in
            [("a b", &[][..]), ("", &[]), ("acme", &["two words"]), ("acme", &[""])]
        {
            assert!(new_key(&args(client, scopes), &[0; 36]).is_err(), "{client:?} {scopes:?}");
        }
        let moment = Some("tomorrow".to_owned());
        assert!(new_key(&NewKeyArgs { not_after: moment, ..args("acme", &[]) }, &[0; 36]).is_err());
    }
}
