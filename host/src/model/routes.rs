//! Routes: addresses of a workspace's own, who may call them, and what they run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::objects::SecretsUpdate;
use super::route_pattern::RoutePattern;
use crate::clock::Millis;
use crate::id::{RouteId, RunnableId, WorkspaceId};
use crate::secret::Secret;

/// A route. Its secrets are asked for apart (`Store::route_secrets`).
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub id: RouteId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub content: RouteContent,
    pub has_secrets: bool,
    /// Rises with every change.
    pub revision: i64,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// What a route says.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteContent {
    pub path: RoutePattern,
    /// In capitals, sorted, at least one.
    pub methods: Vec<String>,
    /// None: it only answers.
    pub runnable_id: Option<RunnableId>,
    /// Shapes the arguments first.
    pub preprocessor_id: Option<RunnableId>,
    pub spec: RouteSpec,
    pub enabled: bool,
}

/// A route to be made.
#[derive(Clone, Debug)]
pub struct NewRoute {
    pub id: RouteId,
    pub workspace_id: WorkspaceId,
    pub name: String,
    pub content: RouteContent,
    /// A JSON object, value by name.
    pub secrets: Option<Secret<String>>,
}

/// A route's new content; its name stays.
#[derive(Clone, Debug)]
pub struct RouteUpdate {
    pub id: RouteId,
    /// The revision that was read; another one by now is a conflict.
    pub revision: i64,
    pub content: RouteContent,
    pub secrets: SecretsUpdate,
}

/// Who may call, what is handed over, what is answered; stored as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteSpec {
    pub mode: RouteMode,
    pub auth: RouteAuth,
    /// Origins of pages that may call; `*` alone: all. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Headers that become arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include_headers: Vec<String>,
    /// Arguments of the query that become arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include_query: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrap_body: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
    /// How long a caller waits at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// For a job that failed, instead of 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_status: Option<u16>,
    /// What every caller is answered, once what it sent is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<RouteAnswer>,
}

/// Whether the caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteMode {
    Async,
    Sync,
}

/// Who may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum RouteAuth {
    /// Everyone: the operator said so.
    None,
    /// Who holds a token that may run the runnable.
    Token,
    /// Who knows the password, secret `password`.
    Basic { username: String },
    /// Who signs by rules in the words of a declaration.
    Verify { rules: Map<String, Value> },
    /// Whom a provider takes for genuine.
    Provider {
        provider: String,
        #[serde(default)]
        parameters: Map<String, Value>,
        #[serde(default)]
        properties: Map<String, Value>,
    },
}

/// An answer that is always the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteAnswer {
    pub status: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

impl RouteAuth {
    /// `none`, `token`, `basic`, `verify` or `provider`.
    pub fn kind(&self) -> &'static str {
        match self {
            RouteAuth::None => "none",
            RouteAuth::Token => "token",
            RouteAuth::Basic { .. } => "basic",
            RouteAuth::Verify { .. } => "verify",
            RouteAuth::Provider { .. } => "provider",
        }
    }
}

impl Route {
    /// That this route takes requests that one of `workspace` wants too, in words. Of another
    /// workspace's routes nothing is told.
    pub fn clash_with(&self, wanted: &RouteContent, workspace: &WorkspaceId) -> String {
        let path = &wanted.path;
        if self.workspace_id != *workspace {
            return format!("`{path}` overlaps with a path that another workspace has taken");
        }
        self.content.clash_as(&self.name, wanted)
    }
}

impl RouteContent {
    /// That the route of this name and content takes requests that another one wants too.
    pub fn clash_as(&self, name: &str, wanted: &RouteContent) -> String {
        let shared = wanted.methods.iter();
        let shared: Vec<&str> = shared
            .filter(|method| self.methods.contains(method))
            .map(String::as_str)
            .collect();
        format!(
            "`{}` overlaps with the route `{name}` ({} {})",
            wanted.path,
            shared.join(", "),
            self.path
        )
    }

    /// Whether one request fits both.
    pub fn overlaps(&self, other: &RouteContent) -> bool {
        let shares = self.methods.iter().any(|one| other.methods.contains(one));
        shares && self.path.overlaps(&other.path)
    }
}
