//! Workspaces and tokens.

use sqlx::AnyConnection;

use super::sql::{FromRow, Row, Statement};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{TokenId, WorkspaceId};
use crate::model::{NewToken, Runs, Scope, Token, Workspace};

macro_rules! select_tokens {
    () => {
        "select id, workspace_id, name, scopes, created_at, expires_at, last_used_at, revoked_at, \
         runs_path, runs_kind from tokens"
    };
}

impl Store {
    /// Makes a workspace; a conflict if the name is taken.
    pub async fn insert_workspace(&self, name: &str) -> Result<Workspace, StoreError> {
        let mut connection = self.database.writer().await?;
        self.insert_workspace_in(&mut connection, name).await
    }

    /// The same in a transaction.
    pub(super) async fn insert_workspace_in(
        &self,
        connection: &mut AnyConnection,
        name: &str,
    ) -> Result<Workspace, StoreError> {
        let now = self.clock.now();
        let workspace = Workspace {
            id: WorkspaceId::generate(now),
            name: name.to_owned(),
            created_at: now,
        };
        let made = Statement::new(
            "insert a workspace",
            "insert into workspaces (id, name, created_at) values ($1, $2, $3) \
             on conflict (name) do nothing",
        )
        .bind(&workspace.id)
        .bind(name)
        .bind(now)
        .run(connection)
        .await?;
        match made {
            0 => Err(StoreError::Conflict(format!(
                "there is a workspace `{name}` already"
            ))),
            _ => Ok(workspace),
        }
    }

    /// The workspace of this name, made if it is not there.
    pub async fn ensure_workspace(&self, name: &str) -> Result<Workspace, StoreError> {
        if let Some(workspace) = self.workspace_by_name(name).await? {
            return Ok(workspace);
        }
        match self.insert_workspace(name).await {
            Err(error) if error.is_conflict() => self
                .workspace_by_name(name)
                .await?
                .ok_or_else(|| StoreError::NotFound(format!("there is no workspace `{name}`"))),
            made => made,
        }
    }

    /// By its name.
    pub async fn workspace(&self, id: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a workspace",
            "select id, name, created_at from workspaces where id = $1",
        )
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// By its name.
    pub async fn workspace_by_name(&self, name: &str) -> Result<Option<Workspace>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a workspace",
            "select id, name, created_at from workspaces where name = $1",
        )
        .bind(name)
        .one(&mut connection)
        .await
    }

    /// All of them, by name.
    pub async fn list_workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "list workspaces",
            "select id, name, created_at from workspaces order by name",
        )
        .all(&mut connection)
        .await
    }

    /// Deletes a workspace, the tokens of it that are revoked or expired, and what is left of its
    /// deleted runnables; a conflict while it holds subscriptions, runnables or good tokens, or while
    /// jobs of deleted runnables go on.
    pub async fn delete_workspace(&self, workspace: &Workspace) -> Result<(), StoreError> {
        let mut transaction = self.database.write().await?;
        self.delete_workspace_in(&mut transaction, workspace)
            .await?;
        transaction.commit().await
    }

    /// The same in a transaction.
    pub(super) async fn delete_workspace_in(
        &self,
        connection: &mut AnyConnection,
        workspace: &Workspace,
    ) -> Result<(), StoreError> {
        let Workspace { id, name, .. } = workspace;
        Statement::new(
            "delete the dead tokens of a workspace",
            "delete from tokens where workspace_id = $1 \
             and (revoked_at is not null or expires_at <= $2)",
        )
        .bind(id)
        .bind(self.clock.now())
        .run(&mut *connection)
        .await?;
        for (operation, delete) in [
            (
                "delete the versions of a workspace's deleted runnables",
                "delete from runnable_versions where runnable_id in",
            ),
            (
                "delete the deleted runnables of a workspace",
                "delete from runnables where id in",
            ),
        ] {
            Statement::composed(
                operation,
                format!(
                    "{delete} (select r.id from runnables r where r.workspace_id = $1 \
                     and r.deleted_at is not null and not exists (select 1 from jobs j \
                     where j.workspace_id = r.workspace_id \
                     and j.state in ('ready', 'running', 'waiting')))"
                ),
            )
            .bind(id)
            .run(&mut *connection)
            .await?;
        }
        let deleted = Statement::new("delete a workspace", "delete from workspaces where id = $1")
            .bind(id)
            .run(connection)
            .await
            .map_err(|error| match error {
                StoreError::Conflict(_) => StoreError::Conflict(format!(
                    "the workspace `{name}` still holds subscriptions, runnables, triggers, schedules, credentials, integrations or tokens, or jobs of it have not ended: delete or cancel those first"
                )),
                other => other,
            })?;
        match deleted {
            0 => Err(StoreError::NotFound(format!(
                "there is no workspace `{name}`"
            ))),
            _ => Ok(()),
        }
    }

    /// Keeps a token.
    pub async fn insert_token(&self, token: NewToken) -> Result<Token, StoreError> {
        let mut connection = self.database.writer().await?;
        self.insert_token_in(&mut connection, token).await
    }

    /// The same in a transaction.
    pub(super) async fn insert_token_in(
        &self,
        connection: &mut AnyConnection,
        token: NewToken,
    ) -> Result<Token, StoreError> {
        let now = self.clock.now();
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        Statement::new(
            "insert a token",
            "insert into tokens (id, workspace_id, name, hash, scopes, created_at, expires_at, \
             runs_path, runs_kind) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&token.id)
        .bind(&token.workspace_id)
        .bind(&token.name)
        .bind(token.hash.as_slice())
        .bind(scopes.join(" "))
        .bind(now)
        .bind(token.expires_at)
        .bind(token.runs.as_ref().map(|runs| runs.path.as_str()))
        .bind(token.runs.as_ref().map(|runs| runs.kind.as_str()))
        .run(connection)
        .await?;
        Ok(Token {
            id: token.id,
            workspace_id: token.workspace_id,
            name: token.name,
            scopes: token.scopes,
            created_at: now,
            expires_at: token.expires_at,
            last_used_at: None,
            revoked_at: None,
            runs: token.runs,
        })
    }

    /// The token with this SHA-256, also if it is revoked or expired.
    pub async fn token_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a token",
            concat!(select_tokens!(), " where hash = $1"),
        )
        .bind(hash.as_slice())
        .one(&mut connection)
        .await
    }

    /// By its id, also if it is revoked or expired.
    pub async fn token(&self, id: &TokenId) -> Result<Option<Token>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new("read a token", concat!(select_tokens!(), " where id = $1"))
            .bind(id)
            .one(&mut connection)
            .await
    }

    /// All tokens, or those of one workspace, newest first.
    pub async fn list_tokens(
        &self,
        workspace: Option<&WorkspaceId>,
    ) -> Result<Vec<Token>, StoreError> {
        let mut connection = self.database.read().await?;
        match workspace {
            Some(workspace) => Statement::new(
                "list tokens",
                concat!(
                    select_tokens!(),
                    " where workspace_id = $1 order by id desc"
                ),
            )
            .bind(workspace),
            None => Statement::new(
                "list tokens",
                concat!(select_tokens!(), " order by id desc"),
            ),
        }
        .all(&mut connection)
        .await
    }

    /// Revokes a token; absent or already revoked: not found.
    pub async fn revoke_token(&self, id: &TokenId) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        self.revoke_token_in(&mut connection, id).await
    }

    /// The same in a transaction.
    pub(super) async fn revoke_token_in(
        &self,
        connection: &mut AnyConnection,
        id: &TokenId,
    ) -> Result<(), StoreError> {
        let revoked = Statement::new(
            "revoke a token",
            "update tokens set revoked_at = $1 where id = $2 and revoked_at is null",
        )
        .bind(self.clock.now())
        .bind(id)
        .run(connection)
        .await?;
        match revoked {
            0 => Err(StoreError::NotFound(format!(
                "there is no token {id} that could be revoked"
            ))),
            _ => Ok(()),
        }
    }

    /// Notes when tokens were last used; call it now and then, not with each request.
    pub async fn touch_tokens(&self, used: Vec<(TokenId, Millis)>) -> Result<(), StoreError> {
        let mut transaction = self.database.write().await?;
        for (id, at) in &used {
            Statement::new(
                "note the use of a token",
                "update tokens set last_used_at = $1 \
                 where id = $2 and (last_used_at is null or last_used_at < $3)",
            )
            .bind(*at)
            .bind(id)
            .bind(*at)
            .run(&mut transaction)
            .await?;
        }
        transaction.commit().await
    }
}

impl FromRow for Workspace {
    fn from_row(row: &Row<'_>) -> Result<Workspace, StoreError> {
        Ok(Workspace {
            id: row.parsed("id")?,
            name: row.text("name")?,
            created_at: row.millis("created_at")?,
        })
    }
}

impl FromRow for Token {
    fn from_row(row: &Row<'_>) -> Result<Token, StoreError> {
        let scopes: Result<Vec<Scope>, _> = row
            .text("scopes")?
            .split_ascii_whitespace()
            .map(str::parse)
            .collect();
        Ok(Token {
            id: row.parsed("id")?,
            workspace_id: row.parsed_opt("workspace_id")?,
            name: row.text("name")?,
            scopes: scopes.map_err(|error| StoreError::corrupt("scopes", error))?,
            created_at: row.millis("created_at")?,
            expires_at: row.millis_opt("expires_at")?,
            last_used_at: row.millis_opt("last_used_at")?,
            revoked_at: row.millis_opt("revoked_at")?,
            runs: match (row.text_opt("runs_path")?, row.parsed_opt("runs_kind")?) {
                (Some(path), Some(kind)) => Some(Runs { path, kind }),
                _ => None,
            },
        })
    }
}
