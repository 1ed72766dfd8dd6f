//! The token by which a GitHub App proves that it is itself: a JWT (RFC 7519) signed with RS256.
//!
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app>

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::json;
use trigger_plugin_api::prelude::*;

/// GitHub's clock may be behind ours.
const ISSUED_BEFORE_S: i64 = 60;
/// GitHub takes none that lives longer than ten minutes.
const LIFETIME_S: i64 = 9 * 60;

/// Signs a token for the app with this id or client id. `private_key` is the PEM file that GitHub
/// gives, whose line breaks may be written as `\n`.
///
/// # Errors
/// `CREDENTIALS` when id or key cannot be GitHub's.
pub fn sign(app_id: &str, private_key: &str, now_ms: i64) -> Result<String> {
    let app_id = app_id.trim();
    if app_id.is_empty() || !app_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::credentials(
            "app_id must be the id or the client id of a GitHub App, such as 12345",
        ));
    }
    let key = key_pair(private_key)?;
    let now_s = now_ms.div_euclid(1000);
    let claims = json!({
        "iat": now_s - ISSUED_BEFORE_S,
        "exp": now_s + LIFETIME_S,
        "iss": app_id,
    });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        part(&json!({"alg": "RS256", "typ": "JWT"})),
        part(&claims)
    );
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .map_err(|_| Error::internal("cannot sign the token of the GitHub App"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// GitHub hands out PKCS#1; PKCS#8 is what tools make of it.
fn key_pair(pem: &str) -> Result<RsaKeyPair> {
    let refused = |reason: &str| {
        Error::credentials(format!(
            "private_key must be the .pem file of a GitHub App's private key, but {reason}"
        ))
    };
    let pem = pem.replace("\\n", "\n");
    let block = |label: &str| {
        let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        STANDARD
            .decode(body.split_whitespace().collect::<String>())
            .ok()
    };
    let (pkcs1, pkcs8) = (block("RSA PRIVATE KEY"), block("PRIVATE KEY"));
    let key = match (&pkcs1, &pkcs8) {
        (Some(der), _) => RsaKeyPair::from_der(der),
        (None, Some(der)) => RsaKeyPair::from_pkcs8(der),
        (None, None) => return Err(refused("it holds no whole block PRIVATE KEY")),
    };
    key.map_err(|reason| refused(&format!("it cannot be used: {reason}")))
}
