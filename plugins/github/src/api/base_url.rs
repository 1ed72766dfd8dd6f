//! Where the REST API is: `https://api.github.com`, or `https://HOST/api/v3` for an Enterprise Server.

use serde_json::Value;
use trigger_plugin_api::prelude::*;

use super::Failure;

/// The address of github.com for people, which is what an integration names.
const PUBLIC_SERVER: &str = "https://github.com";
const PUBLIC_API: &str = "https://api.github.com";

/// An absolute address without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// `api_base_url` of the manifest's `config`, if it is there.
    ///
    /// # Errors
    /// `INVALID_INPUT` when it is something else than an address.
    pub fn of_config(config: &Value) -> Result<Option<Self>> {
        match config.get("api_base_url") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(url)) => Self::parse("config.api_base_url", url).map(Some),
            Some(other) => Err(Error::invalid_input(format!(
                "config.api_base_url is {other}, but must be an address such as https://HOST/api/v3"
            ))),
        }
    }

    /// The API of the server that an integration names; github.com's when it names none.
    ///
    /// # Errors
    /// `INVALID_INPUT` when the server is something else than an address.
    pub fn of_server(server: Option<&str>) -> Result<Self> {
        match server.map(|server| server.trim().trim_end_matches('/')) {
            None | Some("" | PUBLIC_SERVER) => Ok(Self(PUBLIC_API.to_owned())),
            Some(server) => {
                let Self(server) = Self::parse("base_url", server)?;
                Ok(Self(format!("{server}/api/v3")))
            }
        }
    }

    /// Reads an address; `field` says where it was written.
    ///
    /// # Errors
    /// `INVALID_INPUT` when it is not absolute, or holds a user, a query or a fragment.
    pub fn parse(field: &str, url: &str) -> Result<Self> {
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
            "{field} is `{url}`, but must be an address such as https://HOST, without user, query or fragment"
        )))
    }

    /// The address of a path, or an absolute address that lies under this one.
    ///
    /// # Errors
    /// [`Failure::Elsewhere`] when it leads away.
    pub fn join(&self, address: &str) -> Result<String, Failure> {
        self.path_of(address)
            .map(|path| format!("{}{path}", self.0))
    }

    /// The path, with its query, of an address that lies under this one: what stays true when the
    /// server moves.
    ///
    /// # Errors
    /// [`Failure::Elsewhere`] when it leads away.
    pub fn path_of<'a>(&self, address: &'a str) -> Result<&'a str, Failure> {
        if address.starts_with('/') {
            return Ok(address);
        }
        match address.strip_prefix(self.0.as_str()) {
            Some(rest) if rest.starts_with('/') => Ok(rest),
            _ => Err(Failure::Elsewhere),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_follows_from_the_server() {
        for (server, api) in [
            (None, "https://api.github.com"),
            (Some(""), "https://api.github.com"),
            (Some("https://github.com"), "https://api.github.com"),
            (Some("https://github.com/"), "https://api.github.com"),
            (
                Some("https://ghe.acme.test"),
                "https://ghe.acme.test/api/v3",
            ),
            (
                Some("https://ghe.acme.test/"),
                "https://ghe.acme.test/api/v3",
            ),
            (
                Some("http://127.0.0.1:9000"),
                "http://127.0.0.1:9000/api/v3",
            ),
        ] {
            let found = BaseUrl::of_server(server).unwrap();
            assert_eq!(found, BaseUrl(api.to_owned()), "{server:?}");
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
            let error = BaseUrl::parse("config.api_base_url", given).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidInput, "{given}");
        }
    }

    #[test]
    fn the_token_is_not_led_to_another_address() {
        let base = BaseUrl::of_server(Some("https://ghe.acme.test")).unwrap();
        assert_eq!(
            base.join("/user").unwrap(),
            "https://ghe.acme.test/api/v3/user"
        );
        let page = base.path_of("https://ghe.acme.test/api/v3/user?page=2");
        assert_eq!(page.unwrap(), "/user?page=2");
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
