//! The one GitHub App that there is, and the tokens that it signs for itself.
//!
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/about-authentication-with-a-github-app>

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::Value;

use super::accounts::Caller;

/// Its id.
pub const APP_ID: &str = "12345";
/// Its private key, which anybody may know: the app is not a real one.
pub const APP_PRIVATE_KEY: &str = include_str!("../../data/github-app.private-key.pem");
/// GitHub takes no token that is good for longer.
const LIFETIME_MAX_S: i64 = 600;
/// And none from the future, but for clocks that differ.
const SKEW_S: i64 = 60;

static PUBLIC_KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let der: String = APP_PRIVATE_KEY
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(der).expect("invariant: the key is PEM");
    let key = RsaKeyPair::from_der(&der).expect("invariant: the key is RSA");
    key.public_key().as_ref().to_vec()
});

/// Reads a token that the app signed, or says as GitHub does what is wrong with it.
pub fn verify(token: &str, at_ms: i64) -> Result<Caller, String> {
    let undecodable = || "A JSON web token could not be decoded".to_owned();
    let (signed, signature) = token.rsplit_once('.').ok_or_else(undecodable)?;
    let (header, claims) = signed.split_once('.').ok_or_else(undecodable)?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| undecodable());
    let json =
        |part: &str| serde_json::from_slice::<Value>(&decoded(part)?).map_err(|_| undecodable());
    let (header, claims) = (json(header)?, json(claims)?);
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, PUBLIC_KEY.as_slice());
    if header["alg"] != "RS256" || key.verify(signed.as_bytes(), &decoded(signature)?).is_err() {
        return Err(undecodable());
    }
    let now_s = at_ms.div_euclid(1000);
    let moment = |name: &str| claims[name].as_i64().ok_or_else(undecodable);
    let (issued, expires) = (moment("iat")?, moment("exp")?);
    if issued > now_s + SKEW_S {
        return Err("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued".to_owned());
    }
    if expires <= now_s {
        return Err("'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires".to_owned());
    }
    if expires > now_s + LIFETIME_MAX_S {
        return Err("'Expiration time' claim ('exp') is too far in the future".to_owned());
    }
    let issuer = &claims["iss"];
    if issuer.as_str() != Some(APP_ID)
        && issuer.as_i64().map(|id| id.to_string()).as_deref() != Some(APP_ID)
    {
        return Err("Integration not found".to_owned());
    }
    Ok(Caller::App)
}
