//! Whose webhook it is: a repository's or an organisation's.

use std::fmt;

use serde_json::Value;
use trigger_plugin_api::prelude::*;

/// What a webhook belongs to. Its names are safe to stand in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Repository { owner: String, name: String },
    Organization { login: String },
}

impl Target {
    /// Reads `repository` or `organization`.
    ///
    /// # Errors
    /// `INVALID_INPUT` when neither is given, or both, or one that no GitHub name looks like.
    pub fn of_parameters(parameters: &Map) -> Result<Self> {
        let text = |name: &str| match parameters.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
            Some(other) => Err(Error::invalid_input(format!(
                "parameters.{name} is {other}, but must be text"
            ))),
        };
        match (text("repository")?, text("organization")?) {
            (Some(repository), None) => Self::repository(repository),
            (None, Some(login)) if is_name(login) => Ok(Self::Organization {
                login: login.to_owned(),
            }),
            (None, Some(login)) => Err(Error::invalid_input(format!(
                "parameters.organization is `{login}`, but must be an organisation's login such as `acme`"
            ))),
            (None, None) => Err(Error::invalid_input(
                "parameters.repository is missing: give `owner/name`, or an organisation in parameters.organization",
            )),
            (Some(_), Some(_)) => Err(Error::invalid_input(
                "parameters.repository and parameters.organization are both given: a webhook belongs to one of them",
            )),
        }
    }

    /// What a webhook that we hold belongs to: what `create` noted, else the parameters.
    ///
    /// # Errors
    /// As of [`Target::of_parameters`].
    pub fn of_held(held: &ExistingSubscription) -> Result<Self> {
        let noted = ["repository", "organization"]
            .iter()
            .any(|name| held.properties.contains_key(*name));
        Self::of_parameters(if noted {
            &held.properties
        } else {
            &held.parameters
        })
    }

    /// How `create` notes it.
    pub fn properties(&self) -> Map {
        let (name, value) = match self {
            Self::Repository { owner, name } => ("repository", format!("{owner}/{name}")),
            Self::Organization { login } => ("organization", login.clone()),
        };
        Map::from_iter([(name.to_owned(), Value::String(value))])
    }

    /// The path of the repository or organisation itself.
    pub fn path(&self) -> String {
        match self {
            Self::Repository { owner, name } => format!("/repos/{owner}/{name}"),
            Self::Organization { login } => format!("/orgs/{login}"),
        }
    }

    /// The path of all its webhooks.
    pub fn hooks_path(&self) -> String {
        format!("{}/hooks", self.path())
    }

    /// The path of the one that we hold.
    ///
    /// # Errors
    /// `INVALID_INPUT` when its id is none of GitHub's.
    pub fn hook_path(&self, held: &ExistingSubscription) -> Result<String> {
        let id: u64 = held.external_id.parse().map_err(|_| {
            Error::invalid_input(format!(
                "the webhook's id is `{}`, but GitHub's ids are numbers",
                held.external_id
            ))
        })?;
        Ok(format!("{}/{id}", self.hooks_path()))
    }

    fn repository(full_name: &str) -> Result<Self> {
        match full_name.split_once('/') {
            Some((owner, name)) if is_name(owner) && is_name(name) => Ok(Self::Repository {
                owner: owner.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(Error::invalid_input(format!(
                "parameters.repository is `{full_name}`, but must be `owner/name`"
            ))),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { owner, name } => write!(f, "{owner}/{name}"),
            Self::Organization { login } => write!(f, "the organisation {login}"),
        }
    }
}

/// Names of owners and repositories are letters, digits, `-`, `_` and `.`.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !matches!(text, "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
