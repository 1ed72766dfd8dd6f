//! What still names a runnable that is deleted, looked for when all changes of a commit are made: an
//! error handler by its id, the steps of flows and the connections of subscriptions by its path.

use serde_json::Value;

use super::StoreError;
use super::changes::Edit;
use super::sql::{FromRow, Row, Statement, Text};
use crate::model::{runnables_of_flow, runnables_of_socket};

/// So many are named in an error.
const NAMED_MAX: usize = 5;

impl Edit<'_> {
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
            let made_anew: Option<Text> = Statement::new(
                "find a runnable by its path",
                "select path as text from runnables \
                 where workspace_id = $1 and path = $2 and deleted_at is null",
            )
            .bind(&self.actor.workspace_id)
            .bind(&path)
            .one(self.connection)
            .await?;
            if made_anew.is_none() {
                gone.push(path);
            }
        }
        self.check_paths(&gone).await
    }

    async fn check_paths(&mut self, gone: &[String]) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
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
        let connections: Vec<Named> = Statement::new(
            "read the connections of a workspace",
            "select name, parameters as content from subscriptions \
             where workspace_id = $1 and parameters like '%\"socket\"%' order by name",
        )
        .bind(&self.actor.workspace_id)
        .all(self.connection)
        .await?;
        for path in gone {
            let steps_of = users(&flows, path, |spec| runnables_of_flow(&spec["flow"]));
            self.check_unused_by("runnable", path, "flows", &steps_of)?;
            let asked_by = users(&connections, path, |parameters| {
                runnables_of_socket(&parameters["socket"])
            });
            self.check_unused_by("runnable", path, "connections", &asked_by)?;
        }
        Ok(())
    }
}

/// The names of those that name the runnable at this path.
fn users<'a>(
    all: &'a [Named],
    path: &str,
    named: impl Fn(&'a Value) -> Vec<(String, &'a str)>,
) -> Vec<Text> {
    let names_it = |one: &&'a Named| named(&one.content).iter().any(|(_, other)| *other == path);
    let found = all.iter().filter(names_it).take(NAMED_MAX);
    found.map(|one| Text(one.name.clone())).collect()
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
