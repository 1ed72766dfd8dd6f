//! Which server is meant, and with which token: as told, else the one that runs on this machine.

use std::path::{Path, PathBuf};

use url::Url;

use super::arguments::ClientArgs;
use super::failure::CliError;
use crate::config::server_file::ServerFile;
use crate::outbound::api_client::ApiClient;
use crate::secret::Secret;

/// Where a server's file is looked for, in this order.
const PLACES: [&str; 2] = ["run", "/var/lib/triggerd"];

/// A server and a workspace in it.
pub struct Connection {
    pub client: ApiClient,
    workspace: Option<String>,
}

impl Connection {
    /// Finds server and token.
    pub fn open(args: &ClientArgs) -> Result<Connection, CliError> {
        let args = &with_variables(args, |name| std::env::var(name).ok());
        match &args.data {
            Some(data) => Connection::open_from(args, std::slice::from_ref(data)),
            None => Connection::open_from(args, &PLACES.map(PathBuf::from)),
        }
    }

    fn open_from(args: &ClientArgs, places: &[PathBuf]) -> Result<Connection, CliError> {
        let found = ServerFile::find(places);
        let (url, token_file) = match (&args.url, &found) {
            // The token of a server found here is sent to no other server.
            (Some(url), Some(file)) if same(url, &file.url) => (url, Some(&file.admin_token_file)),
            (Some(url), _) => (url, None),
            (None, Some(file)) => (&file.url, Some(&file.admin_token_file)),
            (None, None) => {
                let places: Vec<String> = places
                    .iter()
                    .map(|place| place.display().to_string())
                    .collect();
                return Err(CliError::NoServer {
                    places: places.join(", "),
                });
            }
        };
        let base = Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.ok_or_else(|| CliError::BadUrl { url: url.clone() })?;
        let token = match (&args.token, token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(file)) => read_token(file),
            (None, None) => None,
        };
        let client = ApiClient::new(base, token.map(Secret::new))?;
        Ok(Connection {
            client,
            workspace: args.workspace.clone(),
        })
    }

    /// The workspace that was named, or `default`.
    pub fn workspace(&self) -> &str {
        self.workspace.as_deref().unwrap_or("default")
    }

    /// The workspace, only if it was named.
    pub fn workspace_named(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// The path of something in the workspace.
    pub fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        let mut path = vec!["api", "v1", "workspaces", self.workspace()];
        path.extend(rest);
        path
    }
}

/// A flag beats its variable; an empty variable is none.
fn with_variables(args: &ClientArgs, variable: impl Fn(&str) -> Option<String>) -> ClientArgs {
    let given = |flag: &Option<String>, name: &str| {
        let value = || variable(name).filter(|value| !value.is_empty());
        flag.clone().or_else(value)
    };
    ClientArgs {
        url: given(&args.url, "TRIGGERD_URL"),
        token: given(&args.token, "TRIGGERD_TOKEN"),
        workspace: given(&args.workspace, "TRIGGERD_WORKSPACE"),
        ..args.clone()
    }
}

fn same(url: &str, other: &str) -> bool {
    match (Url::parse(url), Url::parse(other)) {
        (Ok(url), Ok(other)) => url.origin() == other.origin(),
        _ => false,
    }
}

/// None: it may be removed, or not be for this user; the server then says that a token is missing.
fn read_token(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(url: Option<&str>) -> ClientArgs {
        ClientArgs {
            url: url.map(str::to_owned),
            token: None,
            workspace: None,
            data: None,
            json: false,
        }
    }

    #[test]
    fn a_local_server_is_found_by_its_file() {
        let data = tempfile::tempdir().expect("a folder");
        let places = [data.path().to_owned()];
        let missing = Connection::open_from(&args(None), &places)
            .err()
            .expect("no server");
        assert!(
            missing.text().contains("triggerd serve"),
            "{}",
            missing.text()
        );

        let file = ServerFile {
            url: "http://127.0.0.1:18080".into(),
            admin_token_file: data.path().join("admin.token"),
            pid: 1,
        };
        file.write(data.path()).expect("written");
        let found = Connection::open_from(&args(None), &places).expect("a server");
        assert_eq!(found.client.base().as_str(), "http://127.0.0.1:18080/");
        assert_eq!(found.workspace(), "default");
    }

    #[test]
    fn flags_beat_variables_and_an_empty_variable_is_none() {
        let variable = |name: &str| match name {
            "TRIGGERD_URL" => Some("http://127.0.0.1:1".to_owned()),
            "TRIGGERD_WORKSPACE" => Some(String::new()),
            _ => None,
        };
        let by_variable = with_variables(&args(None), variable);
        assert_eq!(by_variable.url.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!((by_variable.token, by_variable.workspace), (None, None));
        let by_flag = with_variables(&args(Some("http://127.0.0.1:2")), variable);
        assert_eq!(by_flag.url.as_deref(), Some("http://127.0.0.1:2"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for url in ["", "localhost:8080", "ftp://x"] {
            assert!(
                Connection::open_from(&args(Some(url)), &[]).is_err(),
                "{url}"
            );
        }
    }
}
