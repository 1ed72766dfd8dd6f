//! Where the server is: `https://cloud.example`, or `https://example.org/nextcloud` in a folder.

use std::fmt::Write as _;

use trigger_plugin_api::prelude::*;

/// An absolute address without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// `INVALID_INPUT` when it is not absolute, or holds a user, a query or a fragment.
    pub fn parse(url: &str) -> Result<Self> {
        let url = url.trim().trim_end_matches('/');
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        let is_plain = |rest: &str| {
            rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[')
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b"@?#\\\"<>".contains(&byte))
        };
        if rest.is_some_and(is_plain) {
            return Ok(Self(url.to_owned()));
        }
        Err(Error::invalid_input(format!(
            "base_url is `{url}`, but must be an address such as https://cloud.example, without user, query or fragment"
        )))
    }

    /// The address of a path, which begins with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// A text as one segment of a path or one value of a query (RFC 3986).
pub fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("invariant: writing to a String cannot fail");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_be_in_a_folder() {
        for (given, joined) in [
            ("https://cloud.acme.test", "https://cloud.acme.test/ocs"),
            (
                "https://acme.test/nextcloud/",
                "https://acme.test/nextcloud/ocs",
            ),
            ("http://[::1]:8080", "http://[::1]:8080/ocs"),
        ] {
            assert_eq!(BaseUrl::parse(given).unwrap().join("/ocs"), joined);
        }
    }

    #[test]
    fn anything_but_a_plain_address_is_refused() {
        for given in [
            "",
            "cloud.acme.test",
            "ftp://cloud.acme.test",
            "https://",
            "https://user:word@cloud.acme.test",
            "https://cloud.acme.test/?x=1",
            "https://cloud.acme.test/#a",
            "https://cloud acme.test",
        ] {
            let error = BaseUrl::parse(given).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidInput, "{given}");
        }
    }

    #[test]
    fn a_segment_holds_no_slash() {
        assert_eq!(encode("a b/ö?.txt"), "a%20b%2F%C3%B6%3F.txt");
    }
}
