//! GitHub's REST API, version 2022-11-28, as far as webhooks need it.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api>. The token goes to the configured address
//! and nowhere else: neither a link to a next page nor a redirect leads it away.

mod base_url;
mod failure;

pub use base_url::BaseUrl;
pub use failure::Failure;

use serde::de::DeserializeOwned;
use serde_json::Value;
use trigger_plugin_api::prelude::*;

/// The version of the API that this file is written against.
const API_VERSION: &str = "2022-11-28";
/// GitHub refuses requests that do not say who sends them.
const USER_AGENT: &str = concat!("triggerd-github/", env!("CARGO_PKG_VERSION"));
/// A renamed repository answers with one redirect; more of them would be a loop.
const REDIRECTS_MAX: usize = 3;
/// At 100 items a page; nobody has this many webhooks.
const PAGES_MAX: usize = 100;

/// The API as one account sees it.
pub struct Api<'a> {
    host: &'a Host,
    base_url: BaseUrl,
    token: &'a str,
}

/// One page of a list.
pub struct Page<T> {
    /// In GitHub's order.
    pub items: Vec<T>,
    /// The address of the next page, if there is one.
    pub next: Option<String>,
}

impl<'a> Api<'a> {
    /// The API at an address, with the account's token.
    ///
    /// # Errors
    /// `CREDENTIALS` when there is no token, or one that cannot stand in a header.
    pub fn new(host: &'a Host, base_url: BaseUrl, credentials: &'a Credentials) -> Result<Self> {
        let token = credentials
            .value("access_token")
            .ok_or_else(|| Error::credentials("there is no access_token for GitHub"))?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::credentials(
                "the access_token for GitHub has characters that no token has, such as a space or a line break",
            ));
        }
        Ok(Self {
            host,
            base_url,
            token,
        })
    }

    /// The host, for randomness and log.
    pub fn host(&self) -> &Host {
        self.host
    }

    /// Reads one thing; `path` begins with a slash.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.send("GET", path, None).await?;
        Ok(response.json()?)
    }

    /// Reads one page of a list, by a path or by the address that the page before gave.
    pub async fn page<T: DeserializeOwned>(&self, address: &str) -> Result<Page<T>, Failure> {
        let response = self.send("GET", address, None).await?;
        Ok(Page {
            items: response.json()?,
            next: response.header("link").and_then(next_link),
        })
    }

    /// Reads a list to its end.
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let mut items = Vec::new();
        let mut address = Some(path.to_owned());
        for _ in 0..PAGES_MAX {
            let Some(next) = address else {
                return Ok(items);
            };
            let page = self.page(&next).await?;
            items.extend(page.items);
            address = page.next;
        }
        Err(Failure::Endless { pages: PAGES_MAX })
    }

    /// Sends a request and takes any refusal apart.
    pub async fn send(
        &self,
        method: &str,
        address: &str,
        body: Option<&Value>,
    ) -> Result<HttpResponse, Failure> {
        let mut url = self.base_url.join(address)?;
        for _ in 0..=REDIRECTS_MAX {
            let response = self.host.http(self.request(method, &url, body)).await?;
            match (response.status, response.header("location")) {
                (200..=299, _) => return Ok(response),
                (301 | 302 | 307 | 308, Some(location)) => url = self.base_url.join(location)?,
                _ => return Err(Failure::of(&response, self.host.now_ms())),
            }
        }
        Err(Failure::RedirectLoop)
    }

    fn request(&self, method: &str, url: &str, body: Option<&Value>) -> HttpRequest {
        let request = HttpRequest::new(method, url)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION)
            .header("user-agent", USER_AGENT)
            .header("authorization", format!("Bearer {}", self.token));
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

/// The address with `rel="next"` in a `Link` header (RFC 8288).
fn next_link(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (address, attributes) = link.split_once(';')?;
        let is_next = attributes
            .split(';')
            .any(|attribute| matches!(attribute.trim(), r#"rel="next""# | "rel=next"));
        let address = address.trim().strip_prefix('<')?.strip_suffix('>')?;
        is_next.then(|| address.to_owned())
    })
}
