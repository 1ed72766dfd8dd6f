//! Nextcloud's own interfaces as one account sees them: OCS for hooks and people, WebDAV for files,
//! calendars and tags.
//!
//! <https://docs.nextcloud.com/server/latest/developer_manual/client_apis/OCS/ocs-api-overview.html>.
//! Who we are is attached by the host, and only to requests to the integration's own server.

mod base_url;
pub mod dav;
mod failure;

pub use base_url::{BaseUrl, encode};
pub use failure::Failure;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use trigger_plugin_api::prelude::*;

use self::dav::Resource;

const USER_AGENT: &str = concat!("triggerd-nextcloud/", env!("CARGO_PKG_VERSION"));

/// The server as one account sees it.
pub struct Api<'a> {
    host: &'a Host,
    base_url: BaseUrl,
}

/// What every answer of OCS is wrapped into.
#[derive(Deserialize)]
struct Envelope {
    ocs: Answer,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Value,
}

impl<'a> Api<'a> {
    /// The server that the credential's integration names.
    ///
    /// # Errors
    /// `INVALID_INPUT` when it names none.
    pub fn new(host: &'a Host, credentials: &Credentials) -> Result<Self> {
        let base_url = credentials.value("base_url").ok_or_else(|| {
            Error::invalid_input(
                "there is no base_url: name the Nextcloud server in the integration of this credential",
            )
        })?;
        Ok(Self {
            host,
            base_url: BaseUrl::parse(base_url)?,
        })
    }

    /// The host, for randomness and log.
    pub fn host(&self) -> &Host {
        self.host
    }

    /// Asks OCS, version 2, where the HTTP status says how it went; `path` follows `/ocs/v2.php`.
    pub async fn ocs<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        let request = HttpRequest::new(method, self.base_url.join(&format!("/ocs/v2.php{path}")))
            .header("accept", "application/json")
            .header("ocs-apirequest", "true")
            .header("user-agent", USER_AGENT);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let response = self.host.http(request).await?;
        if !response.is_success() {
            return Err(Failure::of(&response, path));
        }
        let unreadable = || Failure::Unreadable {
            is_page: failure::is_page(&response),
        };
        let envelope: Envelope =
            serde_json::from_slice(&response.body).map_err(|_| unreadable())?;
        serde_json::from_value(envelope.ocs.data).map_err(|_| unreadable())
    }

    /// Lists what is directly at or below a WebDAV path, which follows `/remote.php/dav`. What is
    /// asked for are properties of these namespaces: `d` DAV:, `oc` ownCloud's, `c` CalDAV's.
    pub async fn propfind(&self, path: &str, properties: &str) -> Result<Vec<Resource>, Failure> {
        let body = format!(
            r#"<?xml version="1.0" encoding="utf-8"?><d:propfind xmlns:d="DAV:" xmlns:oc="{}" xmlns:c="{}"><d:prop>{properties}</d:prop></d:propfind>"#,
            dav::OWNCLOUD,
            dav::CALDAV,
        );
        let url = self.base_url.join(&format!("/remote.php/dav{path}"));
        let mut request = HttpRequest::new("PROPFIND", url)
            .header("depth", "1")
            .header("content-type", "application/xml; charset=utf-8")
            .header("user-agent", USER_AGENT);
        request.body = body.into_bytes();
        let response = self.host.http(request).await?;
        if response.status != 207 {
            return Err(Failure::of(&response, path));
        }
        dav::read(&response.body).map_err(Failure::Multistatus)
    }
}
