//! What a store is told.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A script, and the name that the store knows it by once it has seen its text.
#[derive(Debug)]
pub struct Script {
    text: &'static str,
    /// SHA-1, as `EVALSHA` wants it. Nothing is proved by it.
    name: String,
}

impl Script {
    /// Of this text, in Lua.
    #[must_use]
    pub fn new(text: &'static str) -> Self {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        let name = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { text, name }
    }
}

/// One command. All its keys have one slot.
#[derive(Debug, Clone, Copy)]
pub enum Command<'a> {
    /// These words.
    Plain(&'a [&'a [u8]]),
    /// A script: by its name, and with its text where the store does not know that.
    Script {
        /// Which one.
        script: &'a Script,
        /// `KEYS`.
        keys: &'a [&'a [u8]],
        /// `ARGV`.
        arguments: &'a [&'a [u8]],
    },
}

/// How the store is asked for a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// By its name: short.
    ByName,
    /// With its text, which the store then knows by name.
    WithText,
}

impl Command<'_> {
    /// As the protocol has it.
    pub(crate) fn bytes(&self, call: Call) -> Vec<u8> {
        let (script, keys, arguments) = match *self {
            Self::Plain(words) => return words_of(words),
            Self::Script { script, keys, arguments } => (script, keys, arguments),
        };
        let (verb, script) = match call {
            Call::ByName => ("EVALSHA", script.name.as_str()),
            Call::WithText => ("EVAL", script.text),
        };
        let count = keys.len().to_string();
        let head = [verb.as_bytes(), script.as_bytes(), count.as_bytes()];
        words_of(&[&head, keys, arguments].concat())
    }
}

/// A list of strings, each with its length.
pub(crate) fn words_of(words: &[&[u8]]) -> Vec<u8> {
    // A length has at most 20 digits, and 5 bytes around it.
    let length = words.iter().map(|word| word.len() + 25).sum::<usize>() + 25;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn commands_as_the_protocol_has_them() {
        let plain = Command::Plain(&[b"AUTH", b"a\r\nb"]);
        assert_eq!(plain.bytes(Call::ByName), b"*2\r\n$4\r\nAUTH\r\n$4\r\na\r\nb\r\n");
        let script = Script::new("return 1");
        let command = Command::Script { script: &script, keys: &[b"k"], arguments: &[b"10", b"b"] };
        let text = |call| String::from_utf8(command.bytes(call)).unwrap();
        let end = "\r\n$1\r\n1\r\n$1\r\nk\r\n$2\r\n10\r\n$1\r\nb\r\n";
        // `printf 'return 1' | sha1sum`
        let name = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        assert_eq!(text(Call::ByName), format!("*6\r\n$7\r\nEVALSHA\r\n$40\r\n{name}{end}"));
        assert_eq!(text(Call::WithText), format!("*6\r\n$4\r\nEVAL\r\n$8\r\nreturn 1{end}"));
    }
}
