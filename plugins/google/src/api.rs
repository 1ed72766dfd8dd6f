//! Google's REST APIs for Drive (v3) and Calendar (v3), as far as channels and changes need them.
//!
//! <https://developers.google.com/workspace/drive/api/reference/rest/v3>,
//! <https://developers.google.com/workspace/calendar/api/v3/reference>

mod address;
mod failure;

pub use address::{BaseUrl, encoded};
pub use failure::Failure;

use serde::de::DeserializeOwned;
use serde_json::Value;
use trigger_plugin_api::prelude::*;

const USER_AGENT: &str = concat!("triggerd-google/", env!("CARGO_PKG_VERSION"));

/// The APIs as one account sees them. The host attaches the token.
pub struct Api<'a> {
    host: &'a Host,
    base_url: &'a BaseUrl,
}

impl<'a> Api<'a> {
    /// The APIs at an address.
    pub fn new(host: &'a Host, base_url: &'a BaseUrl) -> Self {
        Self { host, base_url }
    }

    /// The host, for its clock and the state it keeps.
    pub fn host(&self) -> &Host {
        self.host
    }

    /// Reads one thing; `path` begins with a slash and is encoded already.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Failure> {
        let response = self.send("GET", path, query, None).await?;
        Ok(response.json()?)
    }

    /// Sends a request and takes any refusal apart.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<HttpResponse, Failure> {
        let request = HttpRequest::new(method, self.base_url.join(path, query))
            .header("accept", "application/json")
            .header("user-agent", USER_AGENT);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = self.host.http(request).await?;
        match response.is_success() {
            true => Ok(response),
            false => Err(Failure::of(&response)),
        }
    }

    /// What Google's own clock showed, which is the one that its times are told by.
    pub fn google_now_ms(&self, response: &HttpResponse) -> i64 {
        let date = response.header("date");
        let told = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        told.map_or_else(
            || self.host.now_ms(),
            |told| told.timestamp().as_millisecond(),
        )
    }
}
