//! Finding what a call names: token, workspace and runnable, by one look.

use super::call_keys::read_ids;
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{JobId, TokenId, VersionId, WorkspaceId};
use crate::model::{Addressed, CalledVersion, Callee, Runnable, Runs, Token, Workspace};

/// The columns of an [`Addressed`].
macro_rules! select_addressed {
    ($versions:literal) => {
        concat!(
            "select t.id as t_id, t.workspace_id as t_workspace, t.name as t_name, t.scopes, \
             t.created_at as t_created, t.expires_at, t.last_used_at, t.revoked_at, t.runs_path, \
             t.runs_kind, w.id as w_id, w.name as w_name, w.created_at as w_created, r.id as r_id, \
             r.path, r.version_id, r.state, r.state_reason, r.created_at as r_created, \
             r.updated_at as r_updated, r.deleted_at, r.wanted, r.kind from tokens t \
             left join workspaces w on w.name = $1 left join (",
            $versions,
            ") r on r.workspace_id = w.id where t.hash = $3"
        )
    };
}

const BY_PATH: &str = select_addressed!(
    "select runnables.*, v.id as wanted, v.kind from runnables \
     join runnable_versions v on v.id = runnables.version_id \
     where path = $2 and deleted_at is null"
);
const BY_VERSION: &str = select_addressed!(
    "select runnables.*, v.id as wanted, v.kind from runnable_versions v \
     join runnables on runnables.id = v.runnable_id \
     where (v.hash = $2 or v.id = $2) and runnables.deleted_at is null"
);

impl Store {
    /// What a call names. `None`: there is no such token (also no revoked or expired one).
    pub async fn find_called(
        &self,
        token_hash: &[u8; 32],
        workspace: &str,
        callee: Callee<'_>,
    ) -> Result<Option<Addressed>, StoreError> {
        let (text, named) = match callee {
            Callee::Path(path) => (BY_PATH, path),
            Callee::Version(hash) => (BY_VERSION, hash),
        };
        // What is asked before a change is answered as it was before it.
        let changes = self.database.changes.count();
        let asked = (!self.may_be_shared()).then(|| Asked::new(token_hash, workspace, callee));
        let known = asked
            .as_ref()
            .and_then(|asked| self.called.get(changes, asked));
        if known.is_some() {
            return Ok(known);
        }
        let select = Statement::new("find what a call names", text)
            .bind(workspace)
            .bind(named)
            .bind(token_hash.as_slice());
        let rows: Vec<AddressedRow> = self.database.look(select).await?;
        let mut rows = rows.into_iter();
        let Some(AddressedRow(mut addressed)) = rows.next() else {
            return Ok(None);
        };
        addressed
            .runnables
            .extend(rows.flat_map(|row| row.0.runnables));
        // What is not there has no end of names.
        if let (Some(asked), false) = (asked, addressed.runnables.is_empty()) {
            self.called.keep(changes, asked, addressed.clone());
        }
        Ok(Some(addressed))
    }

    /// Whose token made a job of this workspace by a call.
    pub async fn job_caller(
        &self,
        workspace: &WorkspaceId,
        job: &JobId,
    ) -> Result<Option<TokenId>, StoreError> {
        let mut connection = self.database.read().await?;
        let caller: Option<Text> = Statement::new(
            "read whose token made a job",
            "select token_id as text from jobs \
             where workspace_id = $1 and id = $2 and token_id is not null",
        )
        .bind(workspace)
        .bind(job)
        .one(&mut connection)
        .await?;
        caller
            .map(|id| {
                id.0.parse()
                    .map_err(|error| StoreError::corrupt("token_id", error))
            })
            .transpose()
    }

    /// The jobs that a key stands for, of whichever runnable; `None` also if it stands for several
    /// runnables' jobs, or for those of a batch.
    pub async fn job_of_key(
        &self,
        workspace: &WorkspaceId,
        key: &str,
        now: Millis,
    ) -> Result<Option<JobId>, StoreError> {
        let mut connection = self.database.read().await?;
        let found: Vec<Text> = Statement::new(
            "find the job of a key",
            "select jobs as text from call_keys \
             where workspace_id = $1 and key = $2 and expires_at > $3 limit 2",
        )
        .bind(workspace)
        .bind(key)
        .bind(now)
        .all(&mut connection)
        .await?;
        let [one] = found.as_slice() else {
            return Ok(None);
        };
        let mut jobs = read_ids(&one.0)?;
        Ok(match jobs.len() {
            1 => jobs.pop(),
            _ => None,
        })
    }
}

/// What a call asked, as it is remembered.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Asked {
    token_hash: [u8; 32],
    workspace: String,
    is_version: bool,
    named: String,
}

impl Asked {
    fn new(token_hash: &[u8; 32], workspace: &str, callee: Callee<'_>) -> Asked {
        let (is_version, named) = match callee {
            Callee::Path(path) => (false, path),
            Callee::Version(version) => (true, version),
        };
        Asked {
            token_hash: *token_hash,
            workspace: workspace.to_owned(),
            is_version,
            named: named.to_owned(),
        }
    }
}

struct AddressedRow(Addressed);

impl FromRow for AddressedRow {
    fn from_row(row: &Row<'_>) -> Result<AddressedRow, StoreError> {
        let scopes: Result<Vec<_>, _> = row
            .text("scopes")?
            .split_ascii_whitespace()
            .map(str::parse)
            .collect();
        let token = Token {
            id: row.parsed("t_id")?,
            workspace_id: row.parsed_opt("t_workspace")?,
            name: row.text("t_name")?,
            scopes: scopes.map_err(|error| StoreError::corrupt("scopes", error))?,
            created_at: row.millis("t_created")?,
            expires_at: row.millis_opt("expires_at")?,
            last_used_at: row.millis_opt("last_used_at")?,
            revoked_at: row.millis_opt("revoked_at")?,
            runs: match (row.text_opt("runs_path")?, row.parsed_opt("runs_kind")?) {
                (Some(path), Some(kind)) => Some(Runs { path, kind }),
                _ => None,
            },
        };
        let workspace = match row.parsed_opt("w_id")? {
            Some(id) => Some(Workspace {
                id,
                name: row.text("w_name")?,
                created_at: row.millis("w_created")?,
            }),
            None => None,
        };
        let mut runnables = Vec::new();
        if let (Some(workspace), Some(id)) = (&workspace, row.parsed_opt("r_id")?) {
            let wanted: VersionId = row.parsed("wanted")?;
            let runnable = Runnable {
                id,
                workspace_id: workspace.id.clone(),
                path: row.text("path")?,
                version_id: row.parsed("version_id")?,
                state: row.parsed("state")?,
                state_reason: row.text_opt("state_reason")?,
                created_at: row.millis("r_created")?,
                updated_at: row.millis("r_updated")?,
                deleted_at: row.millis_opt("deleted_at")?,
            };
            runnables.push(CalledVersion {
                runnable,
                version_id: wanted,
                kind: row.parsed("kind")?,
            });
        }
        Ok(AddressedRow(Addressed {
            token,
            workspace,
            runnables,
        }))
    }
}
