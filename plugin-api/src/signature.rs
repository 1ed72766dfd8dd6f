//! Signatures over requests: keyed hashes and tokens, compared in constant time.
//!
//! The rules use these; so does a provider whose service signs in a way that no rule can say.
//! An empty secret makes no key: whoever accepts one accepts everybody.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// A keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    HmacSha256,
    HmacSha1,
    HmacSha512,
}

/// How bytes are written in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Either case.
    Hex,
    /// The standard alphabet, padded or not.
    Base64,
}

/// The secret is empty, so that nothing may be accepted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty")]
pub struct EmptySecret;

/// A secret, prepared for one algorithm, so that a request costs its own bytes only. Shows nothing.
#[derive(Clone)]
pub struct Key(Hash);

#[derive(Clone)]
enum Hash {
    Sha256(Hmac<Sha256>),
    Sha1(Hmac<Sha1>),
    Sha512(Hmac<Sha512>),
}

impl Key {
    /// Prepares a secret.
    ///
    /// # Errors
    /// An empty secret is refused.
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, EmptySecret> {
        if secret.is_empty() {
            return Err(EmptySecret);
        }
        let any_length = "invariant: HMAC takes a key of any length";
        Ok(Self(match algorithm {
            Algorithm::HmacSha256 => Hash::Sha256(Hmac::new_from_slice(secret).expect(any_length)),
            Algorithm::HmacSha1 => Hash::Sha1(Hmac::new_from_slice(secret).expect(any_length)),
            Algorithm::HmacSha512 => Hash::Sha512(Hmac::new_from_slice(secret).expect(any_length)),
        }))
    }

    /// The signature over the pieces, one after the other.
    pub fn sign<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        fn over<'a, M: Mac>(mut mac: M, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
            pieces.into_iter().for_each(|piece| mac.update(piece));
            mac.finalize().into_bytes().to_vec()
        }
        match &self.0 {
            Hash::Sha256(mac) => over(mac.clone(), pieces),
            Hash::Sha1(mac) => over(mac.clone(), pieces),
            Hash::Sha512(mac) => over(mac.clone(), pieces),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Encoding {
    /// The bytes; `None` when the text is not of this encoding.
    pub fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => BASE64.decode(text).ok(),
        }
    }

    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex::encode(bytes),
            Self::Base64 => BASE64.encode(bytes),
        }
    }
}

/// Compares two signatures in a time that does not depend on where they differ.
pub fn signatures_equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Compares two tokens in a time that tells neither where they differ nor how long ours is.
/// Nothing equals an empty token.
pub fn tokens_equal(theirs: &[u8], ours: &[u8]) -> bool {
    let equal: bool = Sha256::digest(theirs).ct_eq(&Sha256::digest(ours)).into();
    equal && !ours.is_empty()
}

/// Whether `header` is `prefix` and the signature of `body` by any of `secrets` (several while one
/// takes the place of another). An empty secret accepts nothing.
pub fn is_signed(
    algorithm: Algorithm,
    encoding: Encoding,
    secrets: &[&[u8]],
    prefix: &str,
    header: &[u8],
    body: &[u8],
) -> bool {
    let Some(signature) = header
        .strip_prefix(prefix.as_bytes())
        .and_then(|text| encoding.decode(text))
    else {
        return false;
    };
    let keys = secrets
        .iter()
        .filter_map(|secret| Key::new(algorithm, secret).ok());
    keys.fold(false, |found, key| {
        found | signatures_equal(&key.sign([body]), &signature)
    })
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_hold() {
        // RFC 4231, test case 2; RFC 2202, test case 2.
        let sign = |algorithm| {
            let key = Key::new(algorithm, b"Jefe").unwrap();
            hex::encode(key.sign([b"what do ya want ".as_slice(), b"for nothing?"]))
        };
        assert_eq!(
            sign(Algorithm::HmacSha256),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            sign(Algorithm::HmacSha1),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert!(
            sign(Algorithm::HmacSha512)
                .starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554")
        );
    }

    #[test]
    fn a_signature_is_good_by_any_of_the_secrets() {
        let header = b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let secret = b"It's a Secret to Everybody".as_slice();
        let check = |secrets: &[&[u8]], header: &[u8], body: &[u8]| {
            is_signed(
                Algorithm::HmacSha256,
                Encoding::Hex,
                secrets,
                "sha256=",
                header,
                body,
            )
        };
        assert!(check(&[secret], header, b"Hello, World!"));
        assert!(check(&[b"other", secret], header, b"Hello, World!"));
        assert!(check(
            &[secret],
            header
                .to_ascii_uppercase()
                .strip_prefix(b"SHA256=")
                .map(|hex| [b"sha256=", hex].concat())
                .unwrap()
                .as_slice(),
            b"Hello, World!"
        ));
        assert!(!check(&[b"other"], header, b"Hello, World!"));
        assert!(!check(&[secret], header, b"Hello, World?"));
        assert!(!check(&[secret], &header[..70], b"Hello, World!"));
        assert!(!check(&[secret], b"sha256=", b"Hello, World!"));
        assert!(!check(&[], header, b"Hello, World!"));
    }

    #[test]
    fn an_empty_secret_accepts_nothing() {
        assert_eq!(
            Key::new(Algorithm::HmacSha256, b"").unwrap_err(),
            EmptySecret
        );
        // HMAC-SHA256 of nothing under the empty key: what a verifier without this rule would accept.
        let header = b"b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
        assert!(!is_signed(
            Algorithm::HmacSha256,
            Encoding::Hex,
            &[b""],
            "",
            header,
            b""
        ));
        assert!(!tokens_equal(b"", b""));
    }

    #[test]
    fn tokens_are_equal_whole_or_not_at_all() {
        assert!(tokens_equal(b"abc", b"abc"));
        for wrong in [b"ab".as_slice(), b"abcd", b"abd", b"", b"ABC"] {
            assert!(!tokens_equal(wrong, b"abc"));
        }
    }

    #[test]
    fn one_bit_more_in_base64_is_another_signature() {
        let text = Encoding::Base64.encode(&[0xff; 32]);
        assert_eq!(
            Encoding::Base64.decode(text.as_bytes()),
            Some(vec![0xff; 32])
        );
        assert!(
            Encoding::Base64
                .decode(text.trim_end_matches('=').as_bytes())
                .is_some()
        );
        let last = text.replace("8=", "9=");
        assert_ne!(last, text);
        assert_eq!(Encoding::Base64.decode(last.as_bytes()), None);
    }
}
