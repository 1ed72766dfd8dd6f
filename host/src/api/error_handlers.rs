//! Who is told of jobs that are given up.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{InWorkspace, Read};
use super::names::Names;
use super::page::Listed;
use super::problem::Problem;
use super::state::ApiState;
use crate::model::HandlerScope;

/// An error handler; documents set them as `on_error`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorHandlerView {
    /// trigger, runnable or workspace; the first that a job has is told.
    pub scope: String,
    /// The trigger's name, the runnable's path or the workspace's name.
    pub of: String,
    /// The path of the runnable that is told.
    pub on_error: Option<String>,
}

/// All error handlers of a workspace.
#[utoipa::path(get, path = "/api/v1/workspaces/{workspace}/error-handlers", tag = "runnables",
    params(("workspace" = String, Path)),
    responses((status = 200, body = Listed<ErrorHandlerView>)))]
pub async fn list_error_handlers(
    State(state): State<ApiState>,
    place: InWorkspace<Read>,
) -> Result<Json<Listed<ErrorHandlerView>>, Problem> {
    let workspace = &place.workspace;
    let held = state.store().list_error_handlers(&workspace.id).await?;
    let mut names = Names::new(state.store(), &workspace.id);
    let mut items = Vec::with_capacity(held.len());
    for handler in held {
        let id = handler.object_id;
        let of = match (handler.scope, id.parse(), id.parse()) {
            (HandlerScope::Trigger, Ok(trigger), _) => names.trigger(&trigger).await?,
            (HandlerScope::Runnable, _, Ok(runnable)) => names.runnable(&runnable).await?,
            _ => Some(workspace.name.clone()),
        };
        items.push(ErrorHandlerView {
            scope: handler.scope.to_string(),
            of: of.unwrap_or(id),
            on_error: names.runnable(&handler.runnable_id).await?,
        });
    }
    Ok(Json(Listed::whole(items)))
}
