//! Runnables that others name, looked for when all changes of a commit are made: an error handler by its
//! id, the current steps of flows and the connections of subscriptions by its path. Whose runnable is
//! deleted is a conflict, and so is what names one that somebody else deleted meanwhile.
//!
//! Not looked at: older versions of flows, which jobs that wait may still begin, and runnables that a
//! provider's own declaration of a connection asks.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::StoreError;
use super::changes::Edit;
use super::sql::{FromRow, Row, Statement, Text};
use crate::model::{NewVersion, RunnableKind, runnables_of_flow, runnables_of_socket};

/// So many are named in an error.
const NAMED_MAX: usize = 5;

impl Edit<'_> {
    /// Notes what a version of a runnable names.
    pub(super) fn note_named_by_version(&mut self, version: &NewVersion) {
        if version.kind == RunnableKind::Flow {
            let named = runnables_of_flow(&version.spec["flow"]).into_iter();
            self.named_runnables
                .extend(named.map(|(_, path)| path.to_owned()));
        }
    }

    /// Notes what the connection of a subscription names, if it has one.
    pub(super) fn note_named_by_socket(&mut self, parameters: &Map<String, Value>) {
        let named = parameters.get("socket").map(runnables_of_socket);
        let named = named.unwrap_or_default().into_iter();
        self.named_runnables
            .extend(named.map(|(_, path)| path.to_owned()));
    }

    pub(super) async fn check_named_runnables(&mut self) -> Result<(), StoreError> {
        for path in std::mem::take(&mut self.named_runnables) {
            if !self.is_runnable_there(&path).await? {
                return Err(StoreError::Conflict(format!(
                    "there is no runnable `{path}` any more"
                )));
            }
        }
        Ok(())
    }

    pub(super) async fn check_deleted_runnables(&mut self) -> Result<(), StoreError> {
        let mut gone = Vec::new();
        for (id, path) in std::mem::take(&mut self.deleted_runnables) {
            let told_by: Vec<Text> = Statement::new(
                "find whose errors a runnable is told of",
                "select coalesce(t.name, r.path, 'the workspace') as text from error_handlers h \
                 left join triggers t on h.scope = 'trigger' and t.id = h.object_id \
                 left join runnables r on h.scope = 'runnable' and r.id = h.object_id \
                 where h.runnable_id = $1 order by 1 limit 5",
            )
            .bind(&id)
            .all(self.connection)
            .await?;
            self.check_unused_by("runnable", &path, "`on_error`", &told_by)?;
            if !self.is_runnable_there(&path).await? {
                gone.push(path);
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let (flows, connections) = (
            self.flows_by_step().await?,
            self.asking_connections().await?,
        );
        for path in gone {
            let steps_of = flows.get(&path).map_or(&[][..], Vec::as_slice);
            self.check_unused_by("runnable", &path, "flows", steps_of)?;
            let asked_by = connections.get(&path).map_or(&[][..], Vec::as_slice);
            self.check_unused_by("runnable", &path, "connections", asked_by)?;
        }
        Ok(())
    }

    /// A runnable that was deleted may have been made anew.
    async fn is_runnable_there(&mut self, path: &str) -> Result<bool, StoreError> {
        let found: Option<Text> = Statement::new(
            "find a runnable by its path",
            "select path as text from runnables \
             where workspace_id = $1 and path = $2 and deleted_at is null",
        )
        .bind(&self.actor.workspace_id)
        .bind(path)
        .one(self.connection)
        .await?;
        Ok(found.is_some())
    }

    async fn flows_by_step(&mut self) -> Result<HashMap<String, Vec<Text>>, StoreError> {
        let flows: Vec<Named> = Statement::new(
            "read the flows of a workspace",
            "select r.path as name, v.spec as content from runnables r \
             join runnable_versions v on v.id = r.version_id \
             where r.workspace_id = $1 and r.deleted_at is null and v.kind = 'flow' \
             order by r.path",
        )
        .bind(&self.actor.workspace_id)
        .all(self.connection)
        .await?;
        Ok(by_path(&flows, |spec| runnables_of_flow(&spec["flow"])))
    }

    async fn asking_connections(&mut self) -> Result<HashMap<String, Vec<Text>>, StoreError> {
        let connections: Vec<Named> = Statement::new(
            "read the connections of a workspace",
            "select name, parameters as content from subscriptions \
             where workspace_id = $1 and parameters like '%\"socket\"%' order by name",
        )
        .bind(&self.actor.workspace_id)
        .all(self.connection)
        .await?;
        Ok(by_path(&connections, |parameters| {
            runnables_of_socket(&parameters["socket"])
        }))
    }
}

/// The names of those that name a path, a few of each.
fn by_path<'a>(
    all: &'a [Named],
    named: impl Fn(&'a Value) -> Vec<(String, &'a str)>,
) -> HashMap<String, Vec<Text>> {
    let mut found: HashMap<String, Vec<Text>> = HashMap::new();
    for one in all {
        for (_, path) in named(&one.content) {
            let users = found.entry(path.to_owned()).or_default();
            let is_noted = users.last().is_some_and(|last| last.0 == one.name);
            if !is_noted && users.len() < NAMED_MAX {
                users.push(Text(one.name.clone()));
            }
        }
    }
    found
}

/// Something with what it says.
struct Named {
    name: String,
    content: Value,
}

impl FromRow for Named {
    fn from_row(row: &Row<'_>) -> Result<Named, StoreError> {
        Ok(Named {
            name: row.text("name")?,
            content: row.json("content")?,
        })
    }
}
