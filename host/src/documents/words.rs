//! The forms of names, paths, headers and addresses in a document. Each returns what was expected
//! if the text has another form.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::runnables::check_variable_name;

const NAME_MAX: usize = 100;
const PATH_MAX: usize = 255;
/// In bytes.
pub(super) const EVENT_LEN_MAX: usize = 200;

/// The name of a subscription, trigger or workspace.
pub fn name(text: &str) -> Result<(), String> {
    if text.len() <= NAME_MAX && is_segment(text) {
        return Ok(());
    }
    Err(format!(
        "a name of letters, digits, `-`, `_` and `.`, beginning with a letter or digit, at most {NAME_MAX} long"
    ))
}

/// The path of a runnable, like `f/ops/deploy`.
pub fn path(text: &str) -> Result<(), String> {
    if text.len() <= PATH_MAX && text.contains('/') && text.split('/').all(is_segment) {
        return Ok(());
    }
    Err(format!(
        "a path like f/ops/deploy: names separated by `/`, at most {PATH_MAX} long"
    ))
}

fn is_segment(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The name of an environment variable that a command may be given.
pub fn variable(text: &str) -> Result<(), String> {
    check_variable_name(text).map_err(str::to_owned)
}

/// What can stand in an argument.
pub fn argument(text: &str) -> Result<(), String> {
    if text.contains(['\0', '\r', '\n']) {
        return Err(
            "arguments of one line; hand over longer text as the job's arguments".to_owned(),
        );
    }
    Ok(())
}

/// What can stand in a variable.
pub fn without_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("a text without NUL characters".to_owned());
    }
    Ok(())
}

/// The name of a request header that a runnable may set.
pub fn header_name(text: &str) -> Result<(), String> {
    const OURS: [&str; 5] = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
    ];
    let lower = text.to_ascii_lowercase();
    if http::HeaderName::from_bytes(text.as_bytes()).is_err() {
        return Err("the name of an HTTP header".to_owned());
    }
    if OURS.contains(&lower.as_str()) || lower.starts_with("webhook-") {
        return Err("a header that is not set by the host itself".to_owned());
    }
    Ok(())
}

/// The value of a request header.
pub fn header_value(text: &str) -> Result<(), String> {
    match http::HeaderValue::from_str(text) {
        Ok(_) => Ok(()),
        Err(_) => Err("a header's value: one line of visible ASCII".to_owned()),
    }
}

/// The address of an HTTP target.
pub fn target(text: &str) -> Result<(), String> {
    let form = "an address like https://example.org/hook, without user and password";
    let url = Url::parse(text).map_err(|_| form.to_owned())?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || has_user {
        return Err(form.to_owned());
    }
    Ok(())
}

/// A network in CIDR form.
pub fn network(text: &str) -> Result<(), String> {
    let form = || "a network like 127.0.0.0/8 or fd00::/8".to_owned();
    let (address, bits) = text.split_once('/').ok_or_else(form)?;
    let bits_max = match address.parse().map_err(|_| form())? {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    match bits.parse::<u8>() {
        Ok(bits) if bits <= bits_max => Ok(()),
        _ => Err(form()),
    }
}

/// A signing secret as of Standard Webhooks 1.0: `whsec_` and the base64 of 24 to 64 bytes.
pub fn signing_secret(text: &str) -> Result<(), String> {
    let held = text
        .strip_prefix("whsec_")
        .and_then(|encoded| STANDARD.decode(encoded).ok());
    match held {
        Some(bytes) if (24..=64).contains(&bytes.len()) => Ok(()),
        _ => Err("`whsec_` and the base64 of 24 to 64 random bytes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(form: fn(&str) -> Result<(), String>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(form(text), Ok(()), "{text:?}");
        }
        for text in bad {
            assert!(form(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_and_paths_have_a_plain_form() {
        check(
            name,
            &["a", "my-repo", "on_main.2"],
            &["", "-a", "a b", "a/b", "ä", &"x".repeat(101)],
        );
        check(
            path,
            &["f/demo/record", "u/x"],
            &["record", "/f/x", "f//x", "f/../x", "f/x/", ""],
        );
    }

    #[test]
    fn variables_that_the_host_sets_are_refused() {
        check(
            variable,
            &["A", "API_KEY"],
            &[
                "",
                "1A",
                "x",
                "A=B",
                "TRIGGERD_JOB_ID",
                "LD_PRELOAD",
                "BASH_ENV",
            ],
        );
    }

    #[test]
    fn arguments_have_one_line_and_variables_no_nul() {
        check(argument, &["", "a b", "$(x)", "ä"], &["a\nb", "a\r", "\0"]);
        check(without_nul, &["", "a\r\nb"], &["\0", "a\0b"]);
    }

    #[test]
    fn headers_cannot_break_out_of_their_line() {
        check(
            header_name,
            &["X-Key", "authorization"],
            &["", "a b", "Host", "webhook-id", "a:b"],
        );
        check(header_value, &["", "Bearer x"], &["a\r\nb", "a\nb", "\0"]);
    }

    #[test]
    fn targets_are_plain_http_addresses() {
        check(
            target,
            &["http://127.0.0.1:9000/hook", "https://example.org"],
            &[
                "ftp://x/",
                "http://",
                "http://user:pw@example.org/",
                "/hook",
                "file:///etc/passwd",
            ],
        );
        check(
            network,
            &["127.0.0.0/8", "::1/128"],
            &["127.0.0.1", "10.0.0.0/33", "x/8", "/8"],
        );
    }

    #[test]
    fn signing_secrets_are_long_enough() {
        let good = format!("whsec_{}", STANDARD.encode([7; 24]));
        check(
            signing_secret,
            &[&good],
            &["whsec_", "whsec_c2hvcnQ=", "secret", &good[6..]],
        );
    }
}
