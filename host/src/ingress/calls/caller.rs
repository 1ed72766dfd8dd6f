//! Who calls, and what: token, workspace and runnable by one look, before anything of the body is read.
//!
//! Whoever has no good token hears 401 whatever they asked for: what is there is not told to them.

use axum::http::{HeaderMap, StatusCode, header};

use super::options;
use super::refusal::Refusal;
use super::routes::Calls;
use crate::model::{CallKind, CalledVersion, Callee, RunnableKind, Scope, Workspace};
use crate::tokens::{Caller, TokenText};

/// What a call names.
pub(super) struct Address<'a> {
    pub(super) kind: CallKind,
    pub(super) workspace: &'a str,
    pub(super) callee: Callee<'a>,
}

/// A caller who may run this.
pub(super) struct Found {
    pub(super) caller: Caller,
    pub(super) workspace: Workspace,
    pub(super) runnable: Result<CalledVersion, Refusal>,
    pub(super) is_token_in_header: bool,
}

/// The token of a request, and whether a header carried it.
pub(super) fn token_of(headers: &HeaderMap, query: &str) -> Result<(TokenText, bool), Refusal> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let bearer = match (sent.next(), sent.next()) {
        (None, _) => None,
        (Some(value), None) => value.to_str().ok().and_then(|text| {
            let (scheme, token) = text.split_once(' ')?;
            let is_bearer = scheme.eq_ignore_ascii_case("bearer");
            is_bearer.then(|| token.trim().to_owned())
        }),
        (Some(_), Some(_)) => return Err(Refusal::unauthenticated()),
    };
    let (text, is_in_header) = match bearer {
        Some(text) => (Some(text), true),
        None => (options::token_of(query)?, false),
    };
    let token = text.as_deref().and_then(TokenText::parse);
    let token = token.ok_or_else(Refusal::unauthenticated)?;
    Ok((token, is_in_header))
}

impl Calls {
    /// Finds who calls what. The inner refusal is for a caller who may know: it is logged.
    pub(super) async fn find(
        &self,
        headers: &HeaderMap,
        query: &str,
        address: &Address<'_>,
    ) -> Result<Found, Refusal> {
        let (token, is_token_in_header) = token_of(headers, query)?;
        let hash = token.hash();
        let found = self
            .parts
            .store
            .find_called(&hash, address.workspace, address.callee)
            .await?;
        let addressed = found.ok_or_else(Refusal::unauthenticated)?;
        let caller = self.parts.tokens.caller_of(addressed.token);
        let caller = caller.ok_or_else(Refusal::unauthenticated)?;
        let workspace = addressed.workspace;
        let Some(workspace) = workspace.filter(|workspace| caller.reaches(&workspace.id)) else {
            return Err(no_workspace(address.workspace));
        };
        let runnable = choose(&caller, address, addressed.runnables);
        Ok(Found {
            caller,
            workspace,
            runnable,
            is_token_in_header,
        })
    }
}

/// 403: the caller is known, and may not.
pub(super) fn forbidden(detail: impl Into<String>) -> Refusal {
    Refusal::of(StatusCode::FORBIDDEN, detail).at("token")
}

pub(super) fn no_workspace(name: &str) -> Refusal {
    let detail = format!("there is no workspace `{name}`");
    Refusal::of(StatusCode::NOT_FOUND, detail)
        .at("workspace")
        .cut_off()
}

fn choose(
    caller: &Caller,
    address: &Address<'_>,
    mut found: Vec<CalledVersion>,
) -> Result<CalledVersion, Refusal> {
    if let Some(runs) = &caller.runs {
        // Of everything else it learns nothing.
        found.retain(|called| called.runnable.path == runs.path);
        let is_named = match address.callee {
            Callee::Path(path) => path == runs.path,
            Callee::Version(_) => !found.is_empty(),
        };
        if !is_named || runs.kind != address.kind {
            let detail = format!(
                "this token runs `{}` as a {} and nothing else",
                runs.path, runs.kind
            );
            return Err(forbidden(detail).cut_off());
        }
    } else if !caller.may(Scope::Run) {
        let detail = "this needs a token with scope `run`";
        return Err(forbidden(detail).cut_off());
    }
    let (Callee::Path(named) | Callee::Version(named)) = address.callee;
    let several = found.len() > 1;
    let Some(chosen) = found.pop() else {
        let what = match (address.kind, address.callee) {
            (CallKind::Flow, _) => "flow",
            (_, Callee::Path(_)) => "runnable",
            (_, Callee::Version(_)) => "version",
        };
        let detail = format!("there is no {what} `{named}` in this workspace");
        return Err(Refusal::of(StatusCode::NOT_FOUND, detail)
            .at("path")
            .cut_off());
    };
    if several {
        found.push(chosen);
        let ids: Vec<String> = found
            .iter()
            .map(|called| format!("{} ({})", called.version_id, called.runnable.path))
            .collect();
        let detail = format!(
            "several runnables have this content, name one by its id: {}",
            ids.join(", ")
        );
        return Err(Refusal::of(StatusCode::CONFLICT, detail)
            .at("hash")
            .cut_off());
    }
    let is_flow = chosen.kind == RunnableKind::Flow;
    let other = match (address.kind, address.callee) {
        (CallKind::Flow, _) if !is_flow => Some(("is no flow", "p")),
        (CallKind::Runnable, Callee::Path(_)) if is_flow => Some(("is a flow", "f")),
        _ => None,
    };
    if let Some((what, at)) = other {
        let detail = format!(
            "`{named}` {what}: call it at `…/jobs/run/{at}/{named}` or `…/jobs/run_wait_result/{at}/{named}`"
        );
        return Err(Refusal::of(StatusCode::UNPROCESSABLE_ENTITY, detail)
            .at("path")
            .cut_off());
    }
    Ok(chosen)
}
