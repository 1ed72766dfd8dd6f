//! Signing what is sent, after Standard Webhooks 1.0.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::secret::Secret;

/// Secrets are handed about with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A symmetric secret, `whsec_` and the base64 of 24 to 64 bytes.
#[derive(Clone, Debug)]
pub struct SigningSecret(Secret<Vec<u8>>);

/// What is wrong with a text that should be a signing secret; it does not show the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {}, expected {}", self.found(), self.expected())]
pub enum SigningSecretError {
    /// It does not begin with `whsec_`.
    Prefix,
    /// The rest is not base64.
    Base64,
    /// It is too short or too long.
    Length(usize),
}

impl SigningSecret {
    /// Reads the printed form.
    pub fn parse(text: &str) -> Result<SigningSecret, SigningSecretError> {
        let encoded = text
            .strip_prefix("whsec_")
            .ok_or(SigningSecretError::Prefix)?;
        let key = LENIENT
            .decode(encoded)
            .map_err(|_| SigningSecretError::Base64)?;
        if !(24..=64).contains(&key.len()) {
            return Err(SigningSecretError::Length(key.len()));
        }
        Ok(SigningSecret(Secret::new(key)))
    }

    /// `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`; the timestamp in Unix seconds.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose())
            .expect("invariant: HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl SigningSecretError {
    pub(super) fn found(self) -> String {
        match self {
            SigningSecretError::Prefix => "a text without `whsec_` before it".to_owned(),
            SigningSecretError::Base64 => "something other than base64 after `whsec_`".to_owned(),
            SigningSecretError::Length(bytes) => format!("a secret of {bytes} bytes"),
        }
    }

    pub(super) fn expected(self) -> &'static str {
        "`whsec_` and the base64 of 24 to 64 bytes"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Recorded {
        vectors: Vec<Vector>,
    }

    #[derive(serde::Deserialize)]
    struct Vector {
        secret: String,
        id: String,
        timestamp: i64,
        body: String,
        signature: String,
    }

    #[test]
    fn signatures_agree_with_independent_libraries() {
        let text = include_str!("../../tests/fixtures/standard-webhooks/vectors.json");
        let recorded: Recorded = serde_json::from_str(text).expect("the fixture reads");
        assert_eq!(recorded.vectors.len(), 5);
        for vector in recorded.vectors {
            let secret = SigningSecret::parse(&vector.secret).expect("a secret");
            let signature = secret.sign(&vector.id, vector.timestamp, vector.body.as_bytes());
            assert_eq!(signature, vector.signature, "{}", vector.id);
        }
    }

    #[test]
    fn secrets_of_the_wrong_form_are_told_apart() {
        let check = |text: &str| SigningSecret::parse(text).map(|_| ());
        assert_eq!(check("MfKQ9r8GKYqr"), Err(SigningSecretError::Prefix));
        assert_eq!(check("whsec_!"), Err(SigningSecretError::Base64));
        assert_eq!(check("whsec_AAAA"), Err(SigningSecretError::Length(3)));
        let unpadded = format!("whsec_{}", STANDARD.encode([7u8; 25]).trim_end_matches('='));
        assert_eq!(check(&unpadded), Ok(()));
        let long = format!("whsec_{}", STANDARD.encode([7u8; 65]));
        assert_eq!(check(&long), Err(SigningSecretError::Length(65)));
    }
}
