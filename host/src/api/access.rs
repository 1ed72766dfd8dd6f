//! Who calls and what they may do, as the arguments of handlers: a handler that takes
//! [`InWorkspace`] or [`Holder`] cannot be reached without the scope it names.

use std::marker::PhantomData;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problem::Problem;
use super::state::ApiState;
use crate::model::{Actor, Scope, Workspace};
use crate::tokens::Caller;

/// A scope as a type.
pub trait Needs: std::marker::Send + Sync + 'static {
    const SCOPE: Scope;
}

macro_rules! scopes {
    ($($name:ident)*) => {$(
        pub struct $name;
        impl Needs for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

scopes! { Admin Read Apply Run Send }

/// The workspace of the path, and a caller who has the scope in it.
pub struct InWorkspace<S> {
    pub workspace: Workspace,
    pub caller: Caller,
    scope: PhantomData<S>,
}

impl<S> InWorkspace<S> {
    /// Who makes a change here.
    pub fn actor(&self) -> Actor {
        Actor {
            workspace_id: self.workspace.id.clone(),
            token_id: Some(self.caller.token_id.clone()),
        }
    }
}

impl<S: Needs> FromRequestParts<ApiState> for InWorkspace<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let caller = caller(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::bad_request(error.to_string()))?;
        let named = params.iter().find(|(key, _)| *key == "workspace");
        let name = named.map_or("", |(_, value)| value);
        let found = state.store().workspace_by_name(name).await?;
        // What another workspace's token asks for is not there, whether it is or not.
        let Some(workspace) = found.filter(|found| caller.reaches(&found.id)) else {
            return Err(Problem::not_found(format!(
                "there is no workspace `{name}`"
            )));
        };
        require::<S>(&caller)?;
        Ok(InWorkspace {
            workspace,
            caller,
            scope: PhantomData,
        })
    }
}

/// A caller who has the scope, in one workspace or everywhere.
pub struct Holder<S> {
    pub caller: Caller,
    scope: PhantomData<S>,
}

impl<S: Needs> FromRequestParts<ApiState> for Holder<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let caller = caller(parts, state).await?;
        require::<S>(&caller)?;
        Ok(Holder {
            caller,
            scope: PhantomData,
        })
    }
}

/// A caller who rules the whole instance.
pub struct InstanceAdmin {
    pub caller: Caller,
}

impl FromRequestParts<ApiState> for InstanceAdmin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let caller = caller(parts, state).await?;
        if !caller.is_instance_admin() {
            let detail = "this needs a token with scope `admin` for the whole instance";
            return Err(Problem::forbidden(detail));
        }
        Ok(InstanceAdmin { caller })
    }
}

/// What the last parameter of the path names.
pub struct Named(pub String);

impl FromRequestParts<ApiState> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::bad_request(error.to_string()))?;
        let last = params.iter().last().map(|(_, value)| value.to_owned());
        last.map(Named)
            .ok_or_else(|| Problem::not_found("the path names nothing"))
    }
}

async fn caller(parts: &Parts, state: &ApiState) -> Result<Caller, Problem> {
    let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (sent.next(), sent.next()) else {
        return Err(Problem::unauthenticated());
    };
    let text = header.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthenticated());
    }
    let caller = state.tokens().recognise(token.trim()).await?;
    caller.ok_or_else(Problem::unauthenticated)
}

fn require<S: Needs>(caller: &Caller) -> Result<(), Problem> {
    if caller.may(S::SCOPE) {
        return Ok(());
    }
    Err(Problem::forbidden(format!(
        "this needs a token with scope `{}`",
        S::SCOPE
    )))
}
