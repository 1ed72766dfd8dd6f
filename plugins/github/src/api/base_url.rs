//! Where the REST API is: `https://api.github.com`, or `https://HOST/api/v3` for an Enterprise Server.

use serde_json::Value;
use trigger_plugin_api::prelude::*;

use super::Failure;

const PUBLIC: &str = "https://api.github.com";

/// An absolute address without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// `api_base_url` of the manifest's `config`, else github.com's.
    ///
    /// # Errors
    /// `INVALID_INPUT` when it is something else than an address.
    pub fn of_config(config: &Value) -> Result<Self> {
        match config.get("api_base_url") {
            None | Some(Value::Null) => Ok(Self(PUBLIC.to_owned())),
            Some(Value::String(url)) => Self::parse(url),
            Some(other) => Err(Error::invalid_input(format!(
                "config.api_base_url is {other}, but must be an address such as https://HOST/api/v3"
            ))),
        }
    }

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
                    .all(|byte| byte.is_ascii_graphic() && !b"@?#\\%\"<>".contains(&byte))
        };
        if rest.is_some_and(is_plain) {
            return Ok(Self(url.to_owned()));
        }
        Err(Error::invalid_input(format!(
            "api_base_url is `{url}`, but must be an address such as {PUBLIC} or https://HOST/api/v3, without user, query or fragment"
        )))
    }

    /// The address of a path, or an absolute address that lies under this one.
    ///
    /// # Errors
    /// [`Failure::Elsewhere`] when it leads away.
    pub fn join(&self, address: &str) -> Result<String, Failure> {
        if address.starts_with('/') {
            return Ok(format!("{}{address}", self.0));
        }
        match address.strip_prefix(self.0.as_str()) {
            Some(rest) if rest.starts_with('/') => Ok(address.to_owned()),
            _ => Err(Failure::Elsewhere),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_or_without_its_last_slash() {
        for (given, kept) in [
            ("https://api.github.com", "https://api.github.com"),
            (
                "https://ghe.acme.test/api/v3/",
                "https://ghe.acme.test/api/v3",
            ),
            (
                "http://127.0.0.1:9000/api/v3",
                "http://127.0.0.1:9000/api/v3",
            ),
        ] {
            assert_eq!(BaseUrl::parse(given).unwrap(), BaseUrl(kept.to_owned()));
        }
    }

    #[test]
    fn anything_but_a_plain_address_is_refused() {
        for given in [
            "",
            "api.github.com",
            "ftp://api.github.com",
            "https://",
            "https://user:word@ghe.acme.test/api/v3",
            "https://ghe.acme.test/api/v3?x=1",
            "https://ghe.acme.test/#a",
            "https://ghe acme.test",
        ] {
            let error = BaseUrl::parse(given).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidInput, "{given}");
        }
    }

    #[test]
    fn the_token_is_not_led_to_another_address() {
        let base = BaseUrl::parse("https://ghe.acme.test/api/v3").unwrap();
        assert_eq!(
            base.join("/user").unwrap(),
            "https://ghe.acme.test/api/v3/user"
        );
        assert!(
            base.join("https://ghe.acme.test/api/v3/user?page=2")
                .is_ok()
        );
        for elsewhere in [
            "https://evil.test/user",
            "https://ghe.acme.test/api/v3.evil.test/user",
            "http://ghe.acme.test/api/v3/user",
            "",
        ] {
            assert!(
                matches!(base.join(elsewhere), Err(Failure::Elsewhere)),
                "{elsewhere}"
            );
        }
    }
}
