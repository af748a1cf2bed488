//! `tokens`: where the keys of token issuers may be fetched from.

use std::path::PathBuf;

use policy::yaml::{YamlReader, YamlValue};
use web_fetch::address::{IpNet, parse_block};

/// Where the keys of token issuers may be fetched from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenConfig {
    /// A PEM file with the certificates of those who sign the issuers' web certificates (`certificateAuthorities`).
    /// Default: the system's file.
    pub certificate_authorities: Option<PathBuf>,
    /// Addresses of issuers that may be contacted although they are loopback, link-local or otherwise not public
    /// (`allowAddresses`). A cloud's metadata service is contacted only where its very address is listed, not a block.
    /// Default: none.
    pub allow_addresses: Vec<IpNet>,
    /// Directories whose files `jwksUri: file:///…` may name, beside the resource directory (`keyDirectories`).
    /// Default: none.
    pub key_directories: Vec<PathBuf>,
}

const MAX_ITEMS: usize = 64;

pub(super) fn read(reader: &mut YamlReader, value: Option<YamlValue<'_>>) -> TokenConfig {
    let mut tokens = TokenConfig::default();
    let Some(mut map) = value.and_then(|v| reader.mapping(v)) else { return tokens };
    let authorities = map.take("certificateAuthorities");
    tokens.certificate_authorities =
        authorities.and_then(|v| reader.parsed(v, "a PEM file", absolute));
    for item in items(reader, map.take("allowAddresses")) {
        tokens.allow_addresses.extend(reader.parsed(item, "an address or a block", parse_block));
    }
    for item in items(reader, map.take("keyDirectories")) {
        tokens.key_directories.extend(reader.parsed(item, "a directory", absolute));
    }
    map.finish(reader);
    tokens
}

fn items<'n>(reader: &mut YamlReader, value: Option<YamlValue<'n>>) -> Vec<YamlValue<'n>> {
    value.and_then(|v| reader.filled_list(v, MAX_ITEMS)).unwrap_or_default()
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("write an absolute path") }
}
