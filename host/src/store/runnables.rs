//! Runnables and their versions.
//!
//! A version is never changed. Content that a runnable already had leads back to the version that
//! holds it; anything else makes a new one. Content with secrets is compared opened, and its hash is
//! salted, so that the database tells nobody whether a guessed secret is right.

use sha2::{Digest, Sha256};

use super::changes::Edit;
use super::flows;
use super::job_locks;
use super::keys::version_place;
use super::select::Select;
use super::sql::{FromRow, Row, Statement, Text};
use super::subscriptions::json;
use super::{Store, StoreError};
use crate::id::{RunnableId, VersionId, WorkspaceId};
use crate::model::{
    ChangedKind, NewRunnable, NewVersion, Page, PageQuery, Runnable, RunnableState, RunnableUpdate,
    RunnableVersion,
};

const SELECT: &str = "select id, workspace_id, path, version_id, state, state_reason, created_at, \
    updated_at, deleted_at from runnables";

macro_rules! select_versions {
    () => {
        "select id, runnable_id, number, hash, kind, spec, secrets, created_at \
         from runnable_versions"
    };
}

impl Store {
    /// A runnable of this workspace, also a deleted one.
    pub async fn runnable(
        &self,
        workspace: &WorkspaceId,
        id: &RunnableId,
    ) -> Result<Option<Runnable>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "read a runnable",
            format!("{SELECT} where workspace_id = $1 and id = $2"),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// The runnable at a path; deleted ones have none.
    pub async fn runnable_by_path(
        &self,
        workspace: &WorkspaceId,
        path: &str,
    ) -> Result<Option<Runnable>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::composed(
            "read a runnable",
            format!("{SELECT} where workspace_id = $1 and path = $2 and deleted_at is null"),
        )
        .bind(workspace)
        .bind(path)
        .one(&mut connection)
        .await
    }

    /// A version with its secrets opened.
    pub async fn runnable_version(
        &self,
        id: &VersionId,
    ) -> Result<Option<RunnableVersion>, StoreError> {
        let mut connection = self.database.read().await?;
        let row: Option<VersionRow> = Statement::new(
            "read a version",
            concat!(select_versions!(), " where id = $1"),
        )
        .bind(id)
        .one(&mut connection)
        .await?;
        row.map(|row| self.open_version(row)).transpose()
    }

    /// All versions of a runnable, newest first.
    pub async fn list_runnable_versions(
        &self,
        id: &RunnableId,
    ) -> Result<Vec<RunnableVersion>, StoreError> {
        let mut connection = self.database.read().await?;
        let rows: Vec<VersionRow> = Statement::new(
            "list versions",
            concat!(
                select_versions!(),
                " where runnable_id = $1 order by number desc"
            ),
        )
        .bind(id)
        .all(&mut connection)
        .await?;
        rows.into_iter().map(|row| self.open_version(row)).collect()
    }

    /// Newest first, without deleted ones.
    pub async fn list_runnables(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Runnable>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list runnables", SELECT)
            .and_value("workspace_id =", workspace.clone())
            .and("deleted_at is null")
            .page(&mut connection, page, |row: &Runnable| row.id.as_str())
            .await
    }

    /// Switches a runnable on or off for a reason the host found (the target said it is gone).
    /// `false`: it is deleted, and nobody could switch it on again.
    pub async fn set_runnable_state(
        &self,
        id: &RunnableId,
        state: RunnableState,
        reason: Option<String>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.database.write().await?;
        let switched = Statement::new(
            "set a runnable's state",
            "update runnables set state = $1, state_reason = $2, updated_at = $3 \
             where id = $4 and deleted_at is null",
        )
        .bind(state)
        .bind(reason)
        .bind(self.clock.now())
        .bind(id)
        .run(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(switched > 0)
    }

    fn open_version(&self, row: VersionRow) -> Result<RunnableVersion, StoreError> {
        let VersionRow {
            mut version,
            envelope,
        } = row;
        if let Some(envelope) = envelope {
            let place = version_place(version.id.as_str());
            version.secrets =
                Some(self.open_envelope("open a version's secrets", &place, &envelope)?);
        }
        Ok(version)
    }
}

impl FromRow for Runnable {
    fn from_row(row: &Row<'_>) -> Result<Runnable, StoreError> {
        Ok(Runnable {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            path: row.text("path")?,
            version_id: row.parsed("version_id")?,
            state: row.parsed("state")?,
            state_reason: row.text_opt("state_reason")?,
            created_at: row.millis("created_at")?,
            updated_at: row.millis("updated_at")?,
            deleted_at: row.millis_opt("deleted_at")?,
        })
    }
}

struct VersionRow {
    version: RunnableVersion,
    envelope: Option<Vec<u8>>,
}

impl FromRow for VersionRow {
    fn from_row(row: &Row<'_>) -> Result<VersionRow, StoreError> {
        Ok(VersionRow {
            version: RunnableVersion {
                id: row.parsed("id")?,
                runnable_id: row.parsed("runnable_id")?,
                number: row.int("number")?,
                hash: row.text("hash")?,
                kind: row.parsed("kind")?,
                spec: row.json("spec")?,
                secrets: None,
                created_at: row.millis("created_at")?,
            },
            envelope: row.bytes_opt("secrets")?,
        })
    }
}

impl Edit<'_> {
    pub(super) async fn create_runnable(
        &mut self,
        new: &NewRunnable,
    ) -> Result<ChangedKind, StoreError> {
        self.check_workspace(&new.workspace_id)?;
        let version_id = VersionId::generate(self.now);
        let made = Statement::new(
            "create a runnable",
            "insert into runnables (id, workspace_id, path, version_id, state, created_at, \
             updated_at) values ($1, $2, $3, $4, 'enabled', $5, $6) on conflict do nothing",
        )
        .bind(&new.id)
        .bind(&new.workspace_id)
        .bind(&new.path)
        .bind(&version_id)
        .bind(self.now)
        .bind(self.now)
        .run(self.connection)
        .await?;
        if made == 0 {
            return Err(StoreError::Conflict(format!(
                "there is a runnable `{}` already",
                new.path
            )));
        }
        self.note_named_by_version(&new.version);
        self.insert_version(&version_id, &new.id, 1, &new.version)
            .await?;
        Ok(ChangedKind::Created)
    }

    pub(super) async fn update_runnable(
        &mut self,
        update: &RunnableUpdate,
    ) -> Result<ChangedKind, StoreError> {
        self.find_name(RUNNABLE_PATH, update.id.as_str()).await?;
        self.note_named_by_version(&update.version);
        let versions: Vec<VersionRow> = Statement::new(
            "read the versions of a runnable",
            concat!(
                select_versions!(),
                " where runnable_id = $1 order by number desc"
            ),
        )
        .bind(&update.id)
        .all(self.connection)
        .await?;
        let number = versions.first().map_or(0, |row| row.version.number) + 1;
        let version_id = match self.same_version(&versions, &update.version)? {
            Some(id) => id,
            None => {
                let id = VersionId::generate(self.now);
                self.insert_version(&id, &update.id, number, &update.version)
                    .await?;
                id
            }
        };
        let updated = Statement::new(
            "update a runnable",
            "update runnables set version_id = $1, updated_at = $2 \
             where id = $3 and version_id <> $4",
        )
        .bind(&version_id)
        .bind(self.now)
        .bind(&update.id)
        .bind(&version_id)
        .run(self.connection)
        .await?;
        Ok(if updated == 0 {
            ChangedKind::Unchanged
        } else {
            ChangedKind::Updated
        })
    }

    pub(super) async fn change_runnable_state(
        &mut self,
        id: &RunnableId,
        state: RunnableState,
        reason: Option<&str>,
    ) -> Result<ChangedKind, StoreError> {
        self.find_name(RUNNABLE_PATH, id.as_str()).await?;
        let updated = Statement::new(
            "set a runnable's state",
            "update runnables set state = $1, state_reason = $2, updated_at = $3 \
             where id = $4 and (state <> $5 or coalesce(state_reason, '') <> coalesce($6, ''))",
        )
        .bind(state)
        .bind(reason)
        .bind(self.now)
        .bind(id)
        .bind(state)
        .bind(reason)
        .run(self.connection)
        .await?;
        Ok(if updated == 0 {
            ChangedKind::Unchanged
        } else {
            ChangedKind::Updated
        })
    }

    pub(super) async fn delete_runnable(
        &mut self,
        id: &RunnableId,
    ) -> Result<ChangedKind, StoreError> {
        let path = self.find_name(RUNNABLE_PATH, id.as_str()).await?;
        let users: Vec<Text> = Statement::new(
            "find the triggers of a runnable",
            "select name as text from triggers where runnable_id = $1 order by name limit 5",
        )
        .bind(id)
        .all(self.connection)
        .await?;
        self.check_unused("runnable", &path, &users)?;
        let schedules: Vec<Text> = Statement::new(
            "find the schedules of a runnable",
            "select name as text from schedules where runnable_id = $1 order by name limit 5",
        )
        .bind(id)
        .all(self.connection)
        .await?;
        self.check_unused_by("runnable", &path, "schedules", &schedules)?;
        let routes: Vec<Text> = Statement::new(
            "find the routes of a runnable",
            "select name as text from routes where runnable_id = $1 or preprocessor_id = $2 \
             order by name limit 5",
        )
        .bind(id)
        .bind(id)
        .all(self.connection)
        .await?;
        self.check_unused_by("runnable", &path, "routes", &routes)?;
        Statement::new(
            "delete a runnable",
            "update runnables set deleted_at = $1, updated_at = $2 where id = $3",
        )
        .bind(self.now)
        .bind(self.now)
        .bind(id)
        .run(self.connection)
        .await?;
        self.forget_error_handlers(id.as_str()).await?;
        self.deleted_runnables.push((id.clone(), path));
        job_locks::hold_jobs_of(self.connection, self.backend, id).await?;
        flows::cancel_flows_of(self.connection, self.for_update, id, self.now).await?;
        Statement::new(
            "cancel the jobs of a runnable",
            "update jobs set state = 'cancelled', error = 'its runnable was deleted', \
             finished_at = $1 where runnable_id = $2 and state = 'ready'",
        )
        .bind(self.now)
        .bind(id)
        .run(self.connection)
        .await?;
        Ok(ChangedKind::Deleted)
    }

    /// The version that already holds this content.
    fn same_version(
        &self,
        versions: &[VersionRow],
        wanted: &NewVersion,
    ) -> Result<Option<VersionId>, StoreError> {
        let hash = content_hash(wanted);
        for VersionRow { version, envelope } in versions {
            let same = match (&wanted.secrets, envelope) {
                (None, None) => version.hash == hash,
                (Some(secrets), Some(envelope)) if version.hash.starts_with(&hash) => {
                    let place = version_place(version.id.as_str());
                    let held = self
                        .keys
                        .open(&place, envelope)
                        .map_err(|error| StoreError::seal("open a version's secrets", error))?;
                    held.expose() == secrets.expose().as_bytes()
                }
                _ => false,
            };
            if same {
                return Ok(Some(version.id.clone()));
            }
        }
        Ok(None)
    }

    async fn insert_version(
        &mut self,
        id: &VersionId,
        runnable: &RunnableId,
        number: i64,
        version: &NewVersion,
    ) -> Result<(), StoreError> {
        let mut hash = content_hash(version);
        if version.secrets.is_some() {
            let mut salt = [0u8; 8];
            crate::clock::random(&mut salt);
            hash = format!("{hash}.{}", hex::encode(salt));
        }
        Statement::new(
            "insert a version",
            "insert into runnable_versions (id, runnable_id, number, hash, kind, spec, secrets, \
             created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id)
        .bind(runnable)
        .bind(number)
        .bind(hash)
        .bind(version.kind)
        .bind(json(&version.spec))
        .bind(self.seal(&version_place(id.as_str()), version.secrets.as_ref()))
        .bind(self.now)
        .run(self.connection)
        .await
        .map(|_| ())
    }
}

/// Reads a runnable's path and holds its row until the commit.
pub(super) const RUNNABLE_PATH: &str = "select path as text from runnables \
    where id = $1 and workspace_id = $2 and deleted_at is null";

/// SHA-256 over kind and spec; the order of keys does not matter.
fn content_hash(version: &NewVersion) -> String {
    let mut spec = version.spec.clone();
    spec.sort_all_objects();
    let mut hash = Sha256::new();
    hash.update(version.kind.as_str());
    hash.update([0]);
    hash.update(json(&spec));
    hex::encode(hash.finalize())
}
