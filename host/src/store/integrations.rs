//! Integrations: OAuth clients and base URLs.

use super::changes::Edit;
use super::keys::{credential_place, integration_place};
use super::select::Select;
use super::sql::{FromRow, Row, Statement, Text};
use super::subscriptions::Envelope;
use super::upkeep::poke_of_credential;
use super::{Store, StoreError};
use crate::id::{IntegrationId, WorkspaceId};
use crate::model::{
    ChangedKind, Integration, IntegrationUpdate, NewIntegration, Page, PageQuery, SecretsUpdate,
};
use crate::secret::Secret;

macro_rules! select_integrations {
    () => {
        "select id, workspace_id, name, provider, base_url, client_id, \
         case when client_secret is null then 0 else 1 end as has_client_secret, revision, \
         created_at, updated_at from integrations"
    };
}

impl Store {
    /// An integration of this workspace.
    pub async fn integration(
        &self,
        workspace: &WorkspaceId,
        id: &IntegrationId,
    ) -> Result<Option<Integration>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read an integration",
            concat!(
                select_integrations!(),
                " where workspace_id = $1 and id = $2"
            ),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// By its name.
    pub async fn integration_by_name(
        &self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<Option<Integration>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read an integration",
            concat!(
                select_integrations!(),
                " where workspace_id = $1 and name = $2"
            ),
        )
        .bind(workspace)
        .bind(name)
        .one(&mut connection)
        .await
    }

    /// Newest first.
    pub async fn list_integrations(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Integration>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list integrations", select_integrations!())
            .and_value("workspace_id =", workspace.clone())
            .page(&mut connection, page, |row: &Integration| row.id.as_str())
            .await
    }

    /// Its client secret, opened.
    pub async fn integration_secret(
        &self,
        id: &IntegrationId,
    ) -> Result<Option<Secret<String>>, StoreError> {
        let mut connection = self.database.read().await?;
        let envelope: Option<Envelope> = Statement::new(
            "read a client secret",
            "select client_secret as secrets from integrations where id = $1",
        )
        .bind(id)
        .one(&mut connection)
        .await?;
        envelope
            .and_then(|envelope| envelope.0)
            .map(|envelope| {
                let place = integration_place(id.as_str());
                self.open_envelope("open a client secret", &place, &envelope)
            })
            .transpose()
    }

    /// The names of the credentials that came from it.
    pub async fn credentials_of_integration(
        &self,
        id: &IntegrationId,
    ) -> Result<Vec<String>, StoreError> {
        let mut connection = self.database.read().await?;
        let names: Vec<Text> = Statement::new(
            "find the credentials of an integration",
            "select name as text from credentials where integration_id = $1 \
             order by name limit 1000",
        )
        .bind(id)
        .all(&mut connection)
        .await?;
        Ok(names.into_iter().map(|name| name.0).collect())
    }
}

impl FromRow for Integration {
    fn from_row(row: &Row<'_>) -> Result<Integration, StoreError> {
        Ok(Integration {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            name: row.text("name")?,
            provider: row.text("provider")?,
            base_url: row.text_opt("base_url")?,
            client_id: row.text_opt("client_id")?,
            has_client_secret: row.flag("has_client_secret")?,
            revision: row.int("revision")?,
            created_at: row.millis("created_at")?,
            updated_at: row.millis("updated_at")?,
        })
    }
}

impl Edit<'_> {
    pub(super) async fn create_integration(
        &mut self,
        new: &NewIntegration,
    ) -> Result<ChangedKind, StoreError> {
        self.check_workspace(&new.workspace_id)?;
        let place = integration_place(new.id.as_str());
        let made = Statement::new(
            "create an integration",
            "insert into integrations (id, workspace_id, name, provider, base_url, client_id, \
             client_secret, revision, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, 1, $8, $9) \
             on conflict (workspace_id, name) do nothing",
        )
        .bind(&new.id)
        .bind(&new.workspace_id)
        .bind(&new.name)
        .bind(&new.provider)
        .bind(&new.base_url)
        .bind(&new.client_id)
        .bind(self.seal(&place, new.client_secret.as_ref()))
        .bind(self.now)
        .bind(self.now)
        .run(self.connection)
        .await?;
        match made {
            0 => Err(StoreError::Conflict(format!(
                "there is an integration `{}` already",
                new.name
            ))),
            _ => Ok(ChangedKind::Created),
        }
    }

    pub(super) async fn update_integration(
        &mut self,
        update: &IntegrationUpdate,
    ) -> Result<ChangedKind, StoreError> {
        let place = integration_place(update.id.as_str());
        let (secret, keep) = match &update.client_secret {
            SecretsUpdate::Keep => (None, true),
            SecretsUpdate::Replace(secret) => (self.seal(&place, Some(secret)), false),
            SecretsUpdate::Remove => (None, false),
        };
        let updated = Statement::new(
            "update an integration",
            "update integrations set base_url = $1, client_id = $2, \
             client_secret = case when $3 = 1 then client_secret else $4 end, \
             revision = revision + 1, updated_at = $5 \
             where id = $6 and workspace_id = $7 and revision = $8",
        )
        .bind(&update.base_url)
        .bind(&update.client_id)
        .bind(keep)
        .bind(secret)
        .bind(self.now)
        .bind(&update.id)
        .bind(&self.actor.workspace_id)
        .bind(update.revision)
        .run(self.connection)
        .await?;
        if updated == 0 {
            self.find_name(INTEGRATION_NAME, update.id.as_str()).await?;
            return Err(StoreError::Conflict(format!(
                "{} was changed meanwhile: read it again",
                update.id
            )));
        }
        self.end_connects_of(&update.id).await?;
        if update.is_moved {
            self.forget_secrets_of(update).await?;
        }
        Ok(ChangedKind::Updated)
    }

    /// What set out with the former client or to the former server does not come back to this one.
    async fn end_connects_of(&mut self, id: &IntegrationId) -> Result<(), StoreError> {
        Statement::new(
            "end the connecting of accounts by an integration that changes",
            "update oauth_states set phase = 'failed', reason = $1, state_hash = null, \
             session_hash = null, verifier = null \
             where integration_id = $2 and phase in ('waiting', 'started')",
        )
        .bind("the integration was changed meanwhile: begin again with `triggerd connect`")
        .bind(id)
        .run(self.connection)
        .await
        .map(|_| ())
    }

    /// Tokens and keys for one server are not shown to another, whoever names it.
    async fn forget_secrets_of(&mut self, update: &IntegrationUpdate) -> Result<(), StoreError> {
        let ids: Vec<Text> = Statement::new(
            "find the credentials of an integration",
            "select id as text from credentials where integration_id = $1",
        )
        .bind(&update.id)
        .all(self.connection)
        .await?;
        let nothing = Secret::new("{}".to_owned());
        let base_url = update.base_url.as_deref().unwrap_or_default();
        let reason = format!("its integration is at another server now: {base_url}");
        for Text(id) in ids {
            let sealed = self.seal(&credential_place(&id), Some(&nothing));
            Statement::new(
                "forget the secrets of a credential whose server changes",
                "update credentials set secrets = $1, state = 'needs_reconnect', \
                 state_reason = $2, state_since = $3, generation = generation + 1, \
                 refresh_due_at = null, expires_at = null, cut_off_at = null, lease_owner = null, \
                 lease_expires_at = null, fence = fence + 1, updated_at = $4 where id = $5",
            )
            .bind(sealed)
            .bind(&reason)
            .bind(self.now)
            .bind(self.now)
            .bind(&id)
            .run(self.connection)
            .await?;
            // That it needs reconnecting shows at everything that hangs on it.
            poke_of_credential(self.connection, &id, self.now).await?;
        }
        Ok(())
    }

    pub(super) async fn delete_integration(
        &mut self,
        id: &IntegrationId,
    ) -> Result<ChangedKind, StoreError> {
        let name = self.find_name(INTEGRATION_NAME, id.as_str()).await?;
        let users: Vec<Text> = Statement::new(
            "find the credentials of an integration",
            "select name as text from credentials where integration_id = $1 order by name limit 5",
        )
        .bind(id)
        .all(self.connection)
        .await?;
        self.check_unused_by("integration", &name, "credentials", &users)?;
        Statement::new(
            "delete an integration",
            "delete from integrations where id = $1",
        )
        .bind(id)
        .run(self.connection)
        .await?;
        Ok(ChangedKind::Deleted)
    }
}

const INTEGRATION_NAME: &str =
    "select name as text from integrations where id = $1 and workspace_id = $2";
