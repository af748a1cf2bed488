//! Runs a target without libFuzzer: its seeds, then changed seeds, in a sequence that is always the
//! same.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{TARGETS, Target};

/// Longest input, in bytes: what is longer shows nothing new and takes its time.
const MAX_INPUT: usize = 16 * 1024;
/// Most changes to one seed.
const MAX_CHANGES: u64 = 8;

/// Pieces that mean something to one of the readers.
const WORDS: [&[u8]; 40] = [
    b"/",
    b"//",
    b"/./",
    b"/../",
    b"%2f",
    b"%2e",
    b"%00",
    b"%",
    b"\\",
    b"?",
    b"#",
    b":",
    b"@",
    b"[",
    b"]",
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b",",
    b";",
    b"*",
    b"\xff",
    b"\xc0\xae",
    b"host:",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Upgrade: ",
    b"Connection: ",
    b"x_",
    b"0",
    b"99999999999999999999",
    b"spiffe://",
    b"ns",
    b"- ",
    b"{",
    b"}",
    b"&a",
    b"*a",
];

/// Runs a target over its seeds and over `rounds` changed ones; the number of inputs it was given.
///
/// # Panics
/// When the target does. The input is written to standard error first.
pub fn exercise(name: &str, target: Target, rounds: u64) -> u64 {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds in fuzz/seeds/{name}");
    seeds.iter().for_each(|seed| run(target, seed));
    let mut dice = Dice::new(name);
    for _ in 0..rounds {
        run(target, &changed(&seeds, &mut dice));
    }
    rounds + seeds.len() as u64
}

/// Runs one target, or all when `name` is `all`, each for `SECONDS` (10 by default).
pub fn exercise_for_seconds(name: &str) -> ExitCode {
    let seconds = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    for (known, target) in TARGETS.iter().filter(|(known, _)| name == "all" || name == *known) {
        let end = Instant::now() + Duration::from_secs(seconds);
        let seeds = seeds(known);
        let mut dice = Dice::new(known);
        let mut inputs: u64 = 0;
        while Instant::now() < end {
            run(*target, &changed(&seeds, &mut dice));
            inputs += 1;
        }
        println!("{known}: {inputs} inputs in {seconds} s, nothing found");
    }
    ExitCode::SUCCESS
}

fn run(target: Target, input: &[u8]) {
    let shown = Shown(input);
    target(input);
    std::mem::drop(shown);
}

/// Writes its input when it is dropped by a panic.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input: \"{}\"", self.0.escape_ascii());
        }
    }
}

/// The files of `seeds/NAME`, in the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

fn changed(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = dice.pick(seeds).clone();
    for _ in 0..=dice.below(MAX_CHANGES) {
        change(&mut input, seeds, dice);
    }
    input.truncate(MAX_INPUT);
    input
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.index(input.len() + 1);
    let some = dice.index(16).min(input.len() - at);
    match dice.below(8) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..at + some)),
        2 => insert(input, at, WORDS[dice.index(WORDS.len())]),
        3 => {
            let again = input[at..at + some].to_vec();
            insert(input, at, &again);
        }
        4 => {
            // The end of another seed behind the beginning of this one.
            let other = dice.pick(seeds);
            let from = dice.index(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        5 => insert(input, at, &[dice.byte()]),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte = if dice.below(2) == 0 { dice.byte() } else { *byte ^ (1 << dice.below(8)) };
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}

/// Numbers that look random and are the same in each run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(name: &str) -> Self {
        Self(name.bytes().fold(0x9e37_79b9_7f4a_7c15, |state, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3) | 1
        }))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 32) % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_same_each_time() {
        let seeds = [b"GET / HTTP/1.1".to_vec(), b"host: a".to_vec()];
        let sequence = || {
            let mut dice = Dice::new("path");
            (0..100).map(|_| changed(&seeds, &mut dice)).collect::<Vec<_>>()
        };
        assert_eq!(sequence(), sequence());
        assert_ne!(Dice::new("path").next(), Dice::new("gate").next());
    }
}
