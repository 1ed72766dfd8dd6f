//! Who asks: the tokens that there are, and what each may do.

use std::collections::BTreeMap;

use super::app;
use super::bodies::refusal;
use crate::{Answer, Exchange};

/// A token that is there from the start, as if somebody had made it in their settings.
pub const TOKEN: &str = "ghp_demo";
/// The account that all tokens of users belong to.
pub const LOGIN: &str = "octocat";
const ALL_SCOPES: [&str; 4] = ["repo", "admin:repo_hook", "admin:org_hook", "read:org"];

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Absent for kinds of tokens that have none.
    pub scopes: Option<Vec<String>>,
    pub expires_at_ms: Option<i64>,
}

/// The tokens that are good now.
#[derive(Debug)]
pub struct Accounts {
    pub tokens: BTreeMap<String, Token>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    User {
        scopes: Option<Vec<String>>,
    },
    /// An app at one of the accounts that have it, which is no user.
    Installation,
    /// The app itself, by a token that it signed.
    App,
}

impl Accounts {
    /// Makes a token good, for these scopes, or for all.
    pub fn add(&mut self, token: &str, scopes: Option<Vec<String>>, expires_at_ms: Option<i64>) {
        let has_scopes = ["ghp_", "gho_"].iter().any(|kind| token.starts_with(kind));
        let all = || ALL_SCOPES.iter().map(|&scope| scope.to_owned()).collect();
        let scopes = has_scopes.then(|| scopes.unwrap_or_else(all));
        let token_is = Token {
            scopes,
            expires_at_ms,
        };
        self.tokens.insert(token.to_owned(), token_is);
    }

    /// Whose request it is, or 401.
    pub fn caller(&self, at_ms: i64, request: &Exchange) -> Result<Caller, Answer> {
        let Some(token) = request.bearer() else {
            return Err(refusal(401, "Requires authentication"));
        };
        if token.matches('.').count() == 2 {
            return app::verify(token, at_ms).map_err(|reason| refusal(401, &reason));
        }
        let held = self.tokens.get(token);
        let held = held.filter(|held| held.expires_at_ms.is_none_or(|end_ms| at_ms < end_ms));
        match held {
            None => Err(refusal(401, "Bad credentials")),
            Some(_) if token.starts_with("ghs_") => Ok(Caller::Installation),
            Some(held) => Ok(Caller::User {
                scopes: held.scopes.clone(),
            }),
        }
    }
}

impl Default for Accounts {
    fn default() -> Self {
        let mut accounts = Self {
            tokens: BTreeMap::new(),
        };
        accounts.add(TOKEN, None, None);
        accounts
    }
}

impl Caller {
    /// Whether it has one of these scopes, or needs none.
    pub fn has_scope(&self, wanted: &[&str]) -> bool {
        match self {
            Self::User {
                scopes: Some(scopes),
            } => scopes.iter().any(|scope| wanted.contains(&scope.as_str())),
            _ => true,
        }
    }
}
