//! Whose webhook it is: a repository's, an organisation's, or a GitHub App's own.

use std::fmt;

use serde_json::Value;
use trigger_plugin_api::prelude::*;

/// What a subscription is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A webhook among others, which can be made and deleted.
    Webhook(Target),
    /// The one webhook that every GitHub App has.
    App,
}

/// What a webhook belongs to. Its names are safe to stand in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Repository { owner: String, name: String },
    Organization { login: String },
}

impl Subject {
    /// Reads `repository`, `organization` or `app`.
    ///
    /// # Errors
    /// `INVALID_INPUT` when none is given, or more than one, or a name that none of GitHub's looks
    /// like.
    pub fn of_parameters(parameters: &Map) -> Result<Self> {
        match parameters.get("app") {
            None | Some(Value::Null | Value::Bool(false)) => {
                Target::of_parameters(parameters).map(Self::Webhook)
            }
            Some(Value::Bool(true)) if names_target(parameters) => Err(Error::invalid_input(
                "parameters.app is true and a repository or an organisation is given: choose one of them",
            )),
            Some(Value::Bool(true)) => Ok(Self::App),
            Some(other) => Err(Error::invalid_input(format!(
                "parameters.app is {other}, but must be true or false"
            ))),
        }
    }

    /// What a subscription that we hold is about: what `create` noted, else the parameters.
    ///
    /// # Errors
    /// As of [`Subject::of_parameters`].
    pub fn of_held(held: &ExistingSubscription) -> Result<Self> {
        let noted = ["repository", "organization", "app"]
            .iter()
            .any(|name| held.properties.contains_key(*name));
        Self::of_parameters(if noted {
            &held.properties
        } else {
            &held.parameters
        })
    }

    /// The path of the webhook that we hold; its deliveries are below it.
    ///
    /// # Errors
    /// `INVALID_INPUT` when its id is none of GitHub's.
    pub fn hook_path(&self, held: &ExistingSubscription) -> Result<String> {
        match self {
            Self::Webhook(target) => target.hook_path(&held.external_id),
            Self::App => Ok("/app/hook".to_owned()),
        }
    }
}

impl Target {
    fn of_parameters(parameters: &Map) -> Result<Self> {
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
                "parameters.repository is missing: give `owner/name`, or an organisation in parameters.organization, or parameters.app for a GitHub App's own webhook",
            )),
            (Some(_), Some(_)) => Err(Error::invalid_input(
                "parameters.repository and parameters.organization are both given: a webhook belongs to one of them",
            )),
        }
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

    /// The path of one of them.
    ///
    /// # Errors
    /// `INVALID_INPUT` when its id is none of GitHub's.
    pub fn hook_path(&self, external_id: &str) -> Result<String> {
        let id: u64 = external_id.parse().map_err(|_| {
            Error::invalid_input(format!(
                "the webhook's id is `{external_id}`, but GitHub's ids are numbers"
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

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(target) => target.fmt(f),
            Self::App => f.write_str("the GitHub App"),
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

fn names_target(parameters: &Map) -> bool {
    ["repository", "organization"].iter().any(|name| {
        let text = parameters.get(*name).and_then(Value::as_str);
        text.is_some_and(|text| !text.trim().is_empty())
    })
}

/// Names of owners and repositories are letters, digits, `-`, `_` and `.`.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !matches!(text, "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
