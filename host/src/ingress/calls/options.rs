//! What a caller asks for in the query.

use std::time::Duration;

use url::form_urlencoded;

use super::arguments::check_name;
use super::refusal::Refusal;
use crate::units;

/// A key longer than this is no key.
pub(super) const KEY_MAX: usize = 255;

/// The query of a call. Names that are not ours are for `include_query`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Options {
    /// Headers that are wanted as arguments, as they were written.
    pub(super) include_headers: Vec<String>,
    /// Arguments of the query that are wanted as arguments of the runnable.
    pub(super) include_query: Vec<(String, String)>,
    pub(super) wrap_body: bool,
    pub(super) raw: bool,
    pub(super) timeout: Option<Duration>,
    /// Instead of 500, for a job that failed.
    pub(super) error_status: Option<u16>,
    pub(super) cancel_on_disconnect: bool,
    pub(super) key: Option<String>,
    /// Of a GET: base64 of JSON.
    pub(super) payload: Option<String>,
}

impl Options {
    /// Reads the text after the question mark.
    pub(super) fn parse(query: &str) -> Result<Options, Refusal> {
        let mut options = Options::default();
        let mut wanted = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "include_header" => options.include_headers.extend(listed(&value)),
                "include_query" => wanted.extend(listed(&value)),
                "wrap_body" => options.wrap_body = flag(&name, &value)?,
                "raw" => options.raw = flag(&name, &value)?,
                "cancel_on_disconnect" => options.cancel_on_disconnect = flag(&name, &value)?,
                "timeout" => options.timeout = Some(timeout(&value)?),
                "error_status" => options.error_status = Some(error_status(&value)?),
                "job_id" => options.key = Some(key("?job_id", &value)?),
                "payload" => options.payload = Some(value.into_owned()),
                _ => {}
            }
        }
        if let Some(name) = wanted.iter().find(|name| *name == "token") {
            let detail = "the token of the call is not handed over to what it runs";
            return Err(Refusal::invalid(format!("?include_query={name}"), detail));
        }
        for name in &wanted {
            check_name(name, || format!("?include_query={name}"))?;
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if wanted.iter().any(|wanted| *wanted == name) {
                let pair = (name.into_owned(), value.into_owned());
                options.include_query.push(pair);
            }
        }
        Ok(options)
    }
}

/// The one `token` of a query. `Err`: there are several.
pub(super) fn token_of(query: &str) -> Result<Option<String>, Refusal> {
    let mut tokens = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "token")
        .map(|(_, value)| value.into_owned());
    match (tokens.next(), tokens.next()) {
        (token, None) => Ok(token),
        _ => Err(Refusal::unauthenticated()),
    }
}

/// The query as it may be logged: without the token, and without the arguments, which are kept where
/// arguments are.
pub(super) fn logged(query: &str) -> String {
    logged_without(query, &[])
}

/// The same without the values of these too.
pub(super) fn logged_without(query: &str, masked: &[&str]) -> String {
    let pairs = query.split('&').map(|pair| {
        let name = form_urlencoded::parse(pair.as_bytes()).next();
        match name.as_ref().map(|(name, _)| &**name) {
            Some("token") => "token=[masked]".to_owned(),
            Some("payload") => "payload=[arguments]".to_owned(),
            Some(name) if masked.contains(&name) => format!("{name}=[masked]"),
            _ => pair.to_owned(),
        }
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// A key that a caller marks its call with.
pub(super) fn key(field: &str, text: &str) -> Result<String, Refusal> {
    let is_key =
        (1..=KEY_MAX).contains(&text.len()) && text.bytes().all(|b| (0x20..=0x7e).contains(&b));
    match is_key {
        true => Ok(text.to_owned()),
        false => Err(Refusal::invalid(
            field,
            format!("expected 1 to {KEY_MAX} printable ASCII characters"),
        )),
    }
}

fn listed(value: &str) -> impl Iterator<Item = String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

fn flag(name: &str, value: &str) -> Result<bool, Refusal> {
    match value {
        "true" | "1" | "" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Refusal::invalid(
            format!("?{name}"),
            "expected true or false",
        )),
    }
}

/// Whole or broken seconds, or a duration with its unit.
fn timeout(value: &str) -> Result<Duration, Refusal> {
    let seconds = value
        .parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .or_else(|| units::parse_duration(value))
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| {
            let detail = format!("expected seconds above 0, or {}", units::DURATION_FORM);
            Refusal::invalid("?timeout", detail)
        })
}

fn error_status(value: &str) -> Result<u16, Refusal> {
    let status = value.parse().ok().filter(|s| (200..=599).contains(s));
    status.ok_or_else(|| Refusal::invalid("?error_status", "expected a status from 200 to 599"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_and_no_arguments_stand_in_the_log() {
        for (query, expected) in [
            ("", ""),
            ("a=1&token=tdt_x&b=2", "a=1&token=[masked]&b=2"),
            ("%74oken=tdt_x", "token=[masked]"),
            ("payload=e30&raw", "payload=[arguments]&raw"),
        ] {
            assert_eq!(logged(query), expected);
        }
    }

    #[test]
    fn what_cannot_be_meant_names_its_field() {
        for (query, field) in [
            ("wrap_body=maybe", "?wrap_body"),
            ("timeout=0", "?timeout"),
            ("timeout=-1", "?timeout"),
            ("timeout=nan", "?timeout"),
            ("error_status=99", "?error_status"),
            ("job_id=", "?job_id"),
            ("include_query=token", "?include_query=token"),
            (
                "include_query=a,WEBHOOK__FILES__",
                "?include_query=WEBHOOK__FILES__",
            ),
        ] {
            let refusal = Options::parse(query).expect_err(query);
            let body = format!("{refusal:?}");
            assert!(body.contains(field), "{body}");
        }
    }
}
