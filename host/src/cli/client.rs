//! The API as the commands call it: finds the server and its token, says what it refused.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::arguments::Connection;
use super::run::Failure;
use crate::config::server_file::ServerFile;
use crate::outbound::{PlainClient, PlainRequest};

/// Where a local server keeps its data unless it is told otherwise, in the order of looking.
const DATA_FOLDERS: [&str; 2] = ["run", "/var/lib/triggerd"];
/// The longest call: rotating the key of a large database.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A connection to one server, in one workspace.
#[derive(Clone)]
pub struct Client {
    plain: PlainClient,
    url: String,
    token: String,
    /// The workspace's name.
    pub workspace: String,
}

impl Client {
    /// As the flags say, else the server that runs on this machine.
    pub fn find(connection: &Connection) -> Result<Client, Failure> {
        let folders: Vec<PathBuf> = match &connection.data {
            Some(data) => vec![data.clone()],
            None => DATA_FOLDERS.iter().map(PathBuf::from).collect(),
        };
        let local = ServerFile::find(&folders);
        let url = match (&connection.url, &local) {
            (Some(url), _) => url.clone(),
            (None, Some(local)) => local.url.clone(),
            (None, None) => {
                let looked = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
                return Err(Failure::new(format!(
                    "no server was found (looked into {looked}): start one with `triggerd serve`, or name it with \
                     --url or TRIGGERD_URL"
                )));
            }
        };
        let token = match (&connection.token, local) {
            (Some(token), _) => token.trim().to_owned(),
            // The first token belongs to the server that wrote it, and goes to no other.
            (None, Some(local)) if local.url == url => {
                let file = &local.admin_token_file;
                let text = std::fs::read_to_string(file).map_err(|error| {
                    Failure::new(format!("{}: cannot be read: {error}; name a token with --token or TRIGGERD_TOKEN", file.display()))
                })?;
                text.trim().to_owned()
            }
            (None, _) => {
                return Err(Failure::new("no token: name one with --token or TRIGGERD_TOKEN".to_owned()));
            }
        };
        let plain = PlainClient::open(TIMEOUT).map_err(|error| Failure::of(&error))?;
        Ok(Client {
            plain,
            url: url.trim_end_matches('/').to_owned(),
            token,
            workspace: connection.workspace.clone(),
        })
    }

    /// A path below this workspace.
    pub fn in_workspace(&self, path: &str) -> String {
        format!("/api/v1/workspaces/{}/{path}", encode(&self.workspace))
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call("GET", path, None).await
    }

    /// Sends JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call("POST", path, Some(body)).await
    }

    /// Removes.
    pub async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.call("DELETE", path, None).await
    }

    /// The client itself, for requests to endpoints.
    pub fn plain(&self) -> &PlainClient {
        &self.plain
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let mut request = PlainRequest {
            method: method.to_owned(),
            url: format!("{}{path}", self.url),
            token: Some(self.token.clone()),
            ..PlainRequest::default()
        };
        if let Some(body) = body {
            request.headers.push(("content-type".to_owned(), "application/json".to_owned()));
            request.body = body.to_string().into();
        }
        let answer = self.plain.send(request).await.map_err(|error| Failure::of(&error))?;
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match answer.status {
            200..=299 => Ok(value),
            status => Err(Failure::refused(status, value)),
        }
    }
}

/// A text as one segment of a path or one value of a query.
pub fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
