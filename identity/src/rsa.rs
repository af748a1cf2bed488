//! RSA keys whose private part can be computed: the ROCA class (CVE-2017-15361).
//!
//! A library of chips and tokens made its primes as `k * M + (65537^a mod M)`, `M` being the product of the first small
//! primes (Nemec, Sys, Svenda, Klinec, Matyas: "The Return of Coppersmith's Attack", CCS 2017, §2). So the modulus is a
//! power of 65537 modulo each of those primes, and whoever has the public key can compute the private one. One in 2^27
//! other keys looks the same (§3.1) and is refused too: its owner makes a new one.

use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The odd primes that divide `M` for keys of every size (ibid., Table 1: the first 39 primes, for 512 bits).
const PRIMES: [u64; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];
/// What the library took the powers of.
const GENERATOR: u64 = 65_537;

/// Whether a modulus (big-endian) is one of the ROCA class.
#[must_use]
pub fn is_roca(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| is_power(remainder(modulus, *prime), *prime))
}

/// Whether this is an RSA key of the class, in the form that certificates and requests have it in (RFC 5280 §4.1.2.7).
#[must_use]
pub fn is_weak(key: &SubjectPublicKeyInfo<'_>) -> bool {
    matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if is_roca(rsa.modulus))
}

fn remainder(number: &[u8], prime: u64) -> u64 {
    number.iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % prime)
}

/// Whether `rest` is in the group that the generator makes modulo `prime`.
fn is_power(rest: u64, prime: u64) -> bool {
    let mut power = 1;
    // The group has fewer members than the prime.
    (0..prime).any(|_| {
        power = power * GENERATOR % prime;
        power == rest
    })
}
