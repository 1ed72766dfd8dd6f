//! Where the APIs are, and how ids and queries are written into addresses (RFC 3986).

use std::fmt::Write as _;

use serde_json::Value;
use trigger_plugin_api::prelude::*;

const PUBLIC: &str = "https://www.googleapis.com";

/// An absolute address without a slash at its end; Drive is at `/drive/v3` below it, Calendar at
/// `/calendar/v3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// `api_base_url` of the manifest's `config`, else Google's.
    ///
    /// # Errors
    /// `INVALID_INPUT` when it is something else than an address.
    pub fn of_config(config: &Value) -> Result<Self> {
        match config.get("api_base_url") {
            None | Some(Value::Null) => Ok(Self(PUBLIC.to_owned())),
            Some(Value::String(url)) => Self::parse(url),
            Some(other) => Err(Error::invalid_input(format!(
                "config.api_base_url is {other}, but must be an address such as {PUBLIC}"
            ))),
        }
    }

    fn parse(url: &str) -> Result<Self> {
        let url = url.trim().trim_end_matches('/');
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        let is_plain = |rest: &str| {
            rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b"@?#\\%\"<>".contains(&byte))
        };
        if rest.is_some_and(is_plain) {
            return Ok(Self(url.to_owned()));
        }
        Err(Error::invalid_input(format!(
            "config.api_base_url is `{url}`, but must be an address such as {PUBLIC}, without user, query or fragment"
        )))
    }

    /// The address of a path with a query.
    pub fn join(&self, path: &str, query: &[(&str, &str)]) -> String {
        let mut address = format!("{}{path}", self.0);
        for (index, (name, value)) in query.iter().enumerate() {
            address.push(if index == 0 { '?' } else { '&' });
            address.push_str(name);
            address.push('=');
            address.push_str(&encoded(value));
        }
        address
    }
}

/// Text as one segment of a path or one value of a query: calendars are named like
/// `en.uk#holiday@group.v.calendar.google.com`.
pub fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                write!(encoded, "%{byte:02X}").expect("invariant: writing to a String cannot fail")
            }
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_values_cannot_leave_their_place() {
        let base = BaseUrl::of_config(&serde_json::json!({"api_base_url": "http://127.0.0.1:9/"}));
        let path = format!("/calendar/v3/calendars/{}/events", encoded("a#b@c/../d?e"));
        assert_eq!(
            base.unwrap()
                .join(&path, &[("q", "'x' in parents"), ("a", "1&b=2")]),
            "http://127.0.0.1:9/calendar/v3/calendars/a%23b%40c%2F..%2Fd%3Fe/events?q=%27x%27%20in%20parents&a=1%26b%3D2"
        );
    }

    #[test]
    fn anything_but_a_plain_address_is_refused() {
        for given in [
            "",
            "www.googleapis.com",
            "https://u@x.test",
            "https://x.test?a",
            "ftp://x",
        ] {
            let error =
                BaseUrl::of_config(&serde_json::json!({"api_base_url": given})).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidInput, "{given}");
        }
        assert!(BaseUrl::of_config(&serde_json::json!({"api_base_url": 5})).is_err());
        assert_eq!(BaseUrl::of_config(&Value::Null).unwrap().0, PUBLIC);
    }
}
