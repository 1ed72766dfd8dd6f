//! Who is told when a job is given up. That a job was given up is noted in the commit that ends it; the
//! job that tells of it is made, and the note removed, in one commit later.

use super::body::Stored;
use super::changes::Edit;
use super::connection::Connection;
use super::jobs::{PackedJob, insert_jobs};
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{JobId, WorkspaceId};
use crate::model::{ChangedKind, ErrorHandler, HandlerChange, HandlerScope, Job, NewJob, Pin};

static NOTE: ManyRows = ManyRows::new(
    "with given_up (job_id, at) as (values ",
    "(?, ?)",
    ") insert into job_failures (job_id, at) select g.job_id, g.at from given_up g \
     join jobs j on j.id = g.job_id where exists \
     (select 1 from error_handlers h where h.workspace_id = j.workspace_id) \
     on conflict (job_id) do nothing",
);

/// These jobs were given up; somebody is to be told where a workspace has error handlers at all.
pub(super) async fn note(
    connection: &mut impl Connection,
    backend: Backend,
    jobs: &[JobId],
    at: Millis,
) -> Result<(), StoreError> {
    for chunk in chunks(jobs) {
        let text = NOTE.text(backend, chunk.len());
        let mut insert = Statement::composed("note jobs that were given up", text);
        for job in chunk {
            insert.push(job);
            insert.push(at);
        }
        insert.run(connection).await?;
    }
    Ok(())
}

impl Store {
    /// Jobs that were given up and of which nobody was told, with their workspaces.
    pub async fn untold_failures(&self, limit: u32) -> Result<Vec<JobId>, StoreError> {
        let mut connection = self.database.read().await?;
        let found: Vec<Text> = Statement::new(
            "find jobs that were given up",
            "select job_id as text from job_failures order by at, job_id limit $1",
        )
        .bind(limit)
        .all(&mut connection)
        .await?;
        let ids = found.into_iter().map(|id| {
            id.0.parse()
                .map_err(|error| StoreError::corrupt("job_id", error))
        });
        ids.collect()
    }

    /// A job, of whichever workspace.
    pub async fn failed_job(&self, id: &JobId) -> Result<Option<Job>, StoreError> {
        let mut connection = self.database.read().await?;
        let workspace: Option<Text> = Statement::new(
            "find the workspace of a job",
            "select workspace_id as text from jobs where id = $1",
        )
        .bind(id)
        .one(&mut connection)
        .await?;
        drop(connection);
        let Some(workspace) = workspace else {
            return Ok(None);
        };
        let workspace: WorkspaceId = workspace
            .0
            .parse()
            .map_err(|error| StoreError::corrupt("workspace_id", error))?;
        self.job(&workspace, id).await
    }

    /// Who is to be told of a job: the handler of its trigger, else of its runnable, else of its
    /// workspace.
    pub async fn error_handler_of(&self, job: &Job) -> Result<Option<Pin>, StoreError> {
        let mut connection = self.database.read().await?;
        let pin: Option<PinRow> = Statement::new(
            "find who is told of a job",
            "select r.id, r.version_id from error_handlers h \
             join runnables r on r.id = h.runnable_id and r.deleted_at is null \
             where (h.scope = 'trigger' and h.object_id = $1) \
             or (h.scope = 'runnable' and h.object_id = $2) \
             or (h.scope = 'workspace' and h.object_id = $3) \
             order by case h.scope when 'trigger' then 0 when 'runnable' then 1 else 2 end limit 1",
        )
        .bind(&job.trigger_id)
        .bind(&job.runnable_id)
        .bind(&job.workspace_id)
        .one(&mut connection)
        .await?;
        Ok(pin.map(|row| row.0))
    }

    /// Makes the job that tells of a failed one, if there is somebody to be told, and forgets that
    /// nobody was. `false`: another host did it already.
    pub async fn tell_failure(
        &self,
        failed: &JobId,
        told: Option<NewJob>,
    ) -> Result<bool, StoreError> {
        let packed = match told {
            Some(mut job) => {
                let arguments = Stored::pack(job.arguments.take()).await;
                Some(PackedJob { job, arguments })
            }
            None => None,
        };
        let mut transaction = self.database.write().await?;
        let is_ours = Statement::new(
            "take a job that was given up",
            "delete from job_failures where job_id = $1",
        )
        .bind(failed)
        .run(&mut transaction)
        .await?;
        if is_ours == 0 {
            return Ok(false);
        }
        if let Some(packed) = &packed {
            insert_jobs(&mut transaction, self.database.backend, &[packed]).await?;
            Statement::new(
                "name the job that was given up",
                "update jobs set origin_job_id = $1 where id = $2",
            )
            .bind(failed)
            .bind(&packed.job.id)
            .run(&mut transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// All error handlers of a workspace.
    pub async fn list_error_handlers(
        &self,
        workspace: &WorkspaceId,
    ) -> Result<Vec<ErrorHandler>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "list error handlers",
            "select scope, object_id, runnable_id from error_handlers \
             where workspace_id = $1 order by scope, object_id",
        )
        .bind(workspace)
        .all(&mut connection)
        .await
    }
}

impl Edit<'_> {
    pub(super) async fn set_error_handler(
        &mut self,
        change: &HandlerChange,
    ) -> Result<ChangedKind, StoreError> {
        self.check_object(change).await?;
        let Some(runnable) = &change.runnable_id else {
            let gone = Statement::new(
                "remove an error handler",
                "delete from error_handlers where scope = $1 and object_id = $2",
            )
            .bind(change.scope)
            .bind(&change.object_id)
            .run(self.connection)
            .await?;
            return Ok(match gone {
                0 => ChangedKind::Unchanged,
                _ => ChangedKind::Updated,
            });
        };
        self.find_name(super::runnables::RUNNABLE_PATH, runnable.as_str())
            .await?;
        let set = Statement::new(
            "set an error handler",
            "insert into error_handlers (scope, object_id, workspace_id, runnable_id, created_at) \
             values ($1, $2, $3, $4, $5) on conflict (scope, object_id) do update \
             set runnable_id = excluded.runnable_id, created_at = excluded.created_at \
             where error_handlers.runnable_id <> excluded.runnable_id",
        )
        .bind(change.scope)
        .bind(&change.object_id)
        .bind(&self.actor.workspace_id)
        .bind(runnable)
        .bind(self.now)
        .run(self.connection)
        .await?;
        Ok(match set {
            0 => ChangedKind::Unchanged,
            _ => ChangedKind::Updated,
        })
    }

    /// A trigger or runnable is deleted: nobody is told of its jobs any more.
    pub(super) async fn forget_error_handlers(&mut self, object: &str) -> Result<(), StoreError> {
        Statement::new(
            "forget error handlers",
            "delete from error_handlers where object_id = $1",
        )
        .bind(object)
        .run(self.connection)
        .await
        .map(|_| ())
    }

    async fn check_object(&mut self, change: &HandlerChange) -> Result<(), StoreError> {
        let select = match change.scope {
            HandlerScope::Trigger => {
                "select name as text from triggers where id = $1 and workspace_id = $2"
            }
            HandlerScope::Runnable => super::runnables::RUNNABLE_PATH,
            HandlerScope::Workspace => {
                "select name as text from workspaces where id = $1 and id = $2"
            }
        };
        self.find_name(select, &change.object_id).await.map(|_| ())
    }
}

struct PinRow(Pin);

impl FromRow for PinRow {
    fn from_row(row: &Row<'_>) -> Result<PinRow, StoreError> {
        Ok(PinRow(Pin {
            runnable_id: row.parsed("id")?,
            version_id: row.parsed("version_id")?,
        }))
    }
}

impl FromRow for ErrorHandler {
    fn from_row(row: &Row<'_>) -> Result<ErrorHandler, StoreError> {
        Ok(ErrorHandler {
            scope: row.parsed("scope")?,
            object_id: row.text("object_id")?,
            runnable_id: row.parsed("runnable_id")?,
        })
    }
}
