//! GitHub's REST API, version 2022-11-28, as far as webhooks need it.
//!
//! <https://docs.github.com/en/rest/using-the-rest-api>. The host attaches the account's token; a
//! GitHub App's own is made here from its key. Neither a link to a next page nor a redirect leads
//! a token away from the configured address.

mod app_token;
mod base_url;
mod failure;
mod instant;
mod quota;

pub use base_url::BaseUrl;
pub use failure::Failure;
pub use instant::instant_ms;
pub use quota::Quota;

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
    /// A GitHub App's own token; absent: the host attaches what it holds.
    app_token: Option<String>,
}

/// One page of a list.
pub struct Page<T> {
    /// Most lists come as they are, a few within an object.
    pub body: T,
    /// Path and query of the next page, if there is one.
    pub next: Option<String>,
    /// What is left of the account's requests.
    pub quota: Option<Quota>,
}

impl<'a> Api<'a> {
    /// The API at an address, as the account of these credentials.
    ///
    /// # Errors
    /// `CREDENTIALS` for a GitHub App's key that is none.
    pub fn new(host: &'a Host, base_url: BaseUrl, credentials: &Credentials) -> Result<Self> {
        let app_token = match (
            credentials.value("app_id"),
            credentials.value("private_key"),
        ) {
            (Some(app_id), Some(key)) => Some(app_token::sign(app_id, key, host.now_ms())?),
            (None, Some(_)) => {
                return Err(Error::credentials(
                    "there is a private_key and no app_id: a GitHub App needs both",
                ));
            }
            _ => None,
        };
        Ok(Self {
            host,
            base_url,
            app_token,
        })
    }

    /// The host, for time and log.
    pub fn host(&self) -> &Host {
        self.host
    }

    /// Whether we act as a GitHub App itself, which alone may see the app's own webhook.
    pub fn is_app(&self) -> bool {
        self.app_token.is_some()
    }

    /// Reads one thing; `path` begins with a slash.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let response = self.send("GET", path, None).await?;
        Ok(response.json()?)
    }

    /// Reads one page of a list, by a path or by the one that the page before gave.
    pub async fn page<T: DeserializeOwned>(&self, address: &str) -> Result<Page<T>, Failure> {
        let response = self.send("GET", address, None).await?;
        let next = response.header("link").and_then(next_link);
        Ok(Page {
            body: response.json()?,
            next: match next {
                Some(next) => Some(self.base_url.path_of(&next)?.to_owned()),
                None => None,
            },
            quota: Quota::of(&response),
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
            let page = self.page::<Vec<T>>(&next).await?;
            items.extend(page.body);
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
        let mut request = HttpRequest::new(method, url)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", API_VERSION)
            .header("user-agent", USER_AGENT);
        if let Some(token) = &self.app_token {
            request.anonymous = true;
            request = request.header("authorization", format!("Bearer {token}"));
        }
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

impl<T> Page<T> {
    /// The same page, its body seen otherwise.
    pub fn map<U>(self, see: impl FnOnce(T) -> U) -> Page<U> {
        Page {
            body: see(self.body),
            next: self.next,
            quota: self.quota,
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
