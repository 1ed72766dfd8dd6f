//! Credentials, as operators make and change them. How they are renewed stands in `refreshes`.

use super::changes::Edit;
use super::keys::credential_place;
use super::select::Select;
use super::sql::{FromRow, Number, Row, Statement, Text};
use super::subscriptions::{Envelope, json};
use super::upkeep::poke_of_credential;
use super::{Store, StoreError};
use crate::id::{CredentialId, WorkspaceId};
use crate::model::{
    ChangedKind, Credential, CredentialUpdate, Holding, NewCredential, Page, PageQuery,
};

macro_rules! credential_columns {
    () => {
        "id, workspace_id, name, provider, integration_id, kind, fields, account_id, account_name, \
         scopes, state, state_reason, state_since, generation, expires_at, refresh_due_at, \
         refresh_failures, lease_expires_at, throttled_until, revision, created_at, updated_at"
    };
}

macro_rules! select_credentials {
    () => {
        concat!("select ", credential_columns!(), " from credentials")
    };
}

impl Store {
    /// A credential of this workspace.
    pub async fn credential(
        &self,
        workspace: &WorkspaceId,
        id: &CredentialId,
    ) -> Result<Option<Credential>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a credential",
            concat!(
                select_credentials!(),
                " where workspace_id = $1 and id = $2"
            ),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// By its name.
    pub async fn credential_by_name(
        &self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a credential",
            concat!(
                select_credentials!(),
                " where workspace_id = $1 and name = $2"
            ),
        )
        .bind(workspace)
        .bind(name)
        .one(&mut connection)
        .await
    }

    /// Newest first.
    pub async fn list_credentials(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Credential>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list credentials", select_credentials!())
            .and_value("workspace_id =", workspace.clone())
            .page(&mut connection, page, |row: &Credential| row.id.as_str())
            .await
    }

    /// A credential with its secrets, whatever its workspace: for calls that act for it.
    pub async fn credential_held(&self, id: &CredentialId) -> Result<Option<Holding>, StoreError> {
        let mut connection = self.database.read().await?;
        let row: Option<Sealed> = Statement::new(
            "read a credential's secrets",
            concat!(
                "select secrets, ",
                credential_columns!(),
                " from credentials where id = $1"
            ),
        )
        .bind(id)
        .one(&mut connection)
        .await?;
        let Some(Sealed {
            credential,
            envelope,
        }) = row
        else {
            return Ok(None);
        };
        let place = credential_place(id.as_str());
        let envelope = envelope.0.unwrap_or_default();
        let secrets = self.open_envelope("open a credential's secrets", &place, &envelope)?;
        Ok(Some(Holding {
            credential,
            secrets,
        }))
    }

    /// How many other credentials act for the same account by the same OAuth client, in any
    /// workspace: where a service ends a whole grant, they would end with it.
    pub async fn count_same_grants(&self, credential: &Credential) -> Result<i64, StoreError> {
        let mut connection = self.database.read().await?;
        let found: Option<Number> = Statement::new(
            "count the credentials of one grant",
            "select count(*) as n from credentials other \
             left join integrations theirs on theirs.id = other.integration_id \
             where other.id <> $1 and other.provider = $2 and other.account_id = $3 \
             and other.kind = 'oauth' and other.state = 'active' \
             and coalesce(theirs.client_id, '') = coalesce( \
               (select client_id from integrations where id = $4), '')",
        )
        .bind(&credential.id)
        .bind(&credential.provider)
        .bind(&credential.account_id)
        .bind(&credential.integration_id)
        .one(&mut connection)
        .await?;
        Ok(found.map_or(0, |found| found.0))
    }

    /// The names of the subscriptions that act for it.
    pub async fn subscriptions_of_credential(
        &self,
        id: &CredentialId,
    ) -> Result<Vec<String>, StoreError> {
        let mut connection = self.database.read().await?;
        let names: Vec<Text> = Statement::new(
            "find the subscriptions of a credential",
            "select name as text from subscriptions where credential_id = $1 \
             order by name limit 1000",
        )
        .bind(id)
        .all(&mut connection)
        .await?;
        Ok(names.into_iter().map(|name| name.0).collect())
    }
}

/// A credential with its envelope.
struct Sealed {
    credential: Credential,
    envelope: Envelope,
}

impl FromRow for Sealed {
    fn from_row(row: &Row<'_>) -> Result<Sealed, StoreError> {
        Ok(Sealed {
            credential: Credential::from_row(row)?,
            envelope: Envelope::from_row(row)?,
        })
    }
}

impl FromRow for Credential {
    fn from_row(row: &Row<'_>) -> Result<Credential, StoreError> {
        Ok(Credential {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            name: row.text("name")?,
            provider: row.text("provider")?,
            integration_id: row.parsed_opt("integration_id")?,
            kind: row.parsed("kind")?,
            fields: row.json("fields")?,
            account_id: row.text_opt("account_id")?,
            account_name: row.text_opt("account_name")?,
            scopes: row.json("scopes")?,
            state: row.parsed("state")?,
            state_reason: row.text_opt("state_reason")?,
            state_since: row.millis("state_since")?,
            generation: row.int("generation")?,
            expires_at: row.millis_opt("expires_at")?,
            refresh_due_at: row.millis_opt("refresh_due_at")?,
            refresh_failures: row.number("refresh_failures")?,
            lease_expires_at: row.millis_opt("lease_expires_at")?,
            throttled_until: row.millis_opt("throttled_until")?,
            revision: row.int("revision")?,
            created_at: row.millis("created_at")?,
            updated_at: row.millis("updated_at")?,
        })
    }
}

impl Edit<'_> {
    pub(super) async fn create_credential(
        &mut self,
        new: &NewCredential,
    ) -> Result<ChangedKind, StoreError> {
        self.check_workspace(&new.workspace_id)?;
        let place = credential_place(new.id.as_str());
        let made = Statement::new(
            "create a credential",
            "insert into credentials (id, workspace_id, name, provider, integration_id, kind, \
             fields, secrets, account_id, account_name, scopes, state, state_since, generation, \
             expires_at, refresh_due_at, refresh_failures, fence, revision, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'active', $12, 1, $13, $14, 0, \
             0, 1, $15, $16) \
             on conflict (workspace_id, name) do nothing",
        )
        .bind(&new.id)
        .bind(&new.workspace_id)
        .bind(&new.name)
        .bind(&new.provider)
        .bind(&new.integration_id)
        .bind(new.kind)
        .bind(json(&new.fields))
        .bind(self.seal(&place, Some(&new.secrets)))
        .bind(&new.account_id)
        .bind(&new.account_name)
        .bind(json(&new.scopes))
        .bind(self.now)
        .bind(new.expires_at)
        .bind(new.refresh_due_at)
        .bind(self.now)
        .bind(self.now)
        .run(self.connection)
        .await?;
        match made {
            0 => Err(StoreError::Conflict(format!(
                "there is a credential `{}` already",
                new.name
            ))),
            _ => Ok(ChangedKind::Created),
        }
    }

    pub(super) async fn update_credential(
        &mut self,
        update: &CredentialUpdate,
    ) -> Result<ChangedKind, StoreError> {
        let place = credential_place(update.id.as_str());
        let updated = Statement::new(
            "update a credential",
            "update credentials set integration_id = $1, fields = $2, secrets = $3, \
             account_id = $4, account_name = $5, scopes = $6, state = 'active', \
             state_reason = null, \
             state_since = case when state = 'active' then state_since else $7 end, \
             generation = generation + 1, expires_at = $8, refresh_due_at = $9, \
             refresh_failures = 0, cut_off_at = null, lease_owner = null, \
             lease_expires_at = null, fence = fence + 1, revision = revision + 1, updated_at = $10 \
             where id = $11 and workspace_id = $12 and revision = $13",
        )
        .bind(&update.integration_id)
        .bind(json(&update.fields))
        .bind(self.seal(&place, Some(&update.secrets)))
        .bind(&update.account_id)
        .bind(&update.account_name)
        .bind(json(&update.scopes))
        .bind(self.now)
        .bind(update.expires_at)
        .bind(update.refresh_due_at)
        .bind(self.now)
        .bind(&update.id)
        .bind(&self.actor.workspace_id)
        .bind(update.revision)
        .run(self.connection)
        .await?;
        if updated == 0 {
            self.find_name(CREDENTIAL_NAME, update.id.as_str()).await?;
            return Err(StoreError::Conflict(format!(
                "{} was changed meanwhile: read it again",
                update.id
            )));
        }
        // Whatever waited for it goes on.
        poke_of_credential(self.connection, update.id.as_str(), self.now).await?;
        Ok(ChangedKind::Updated)
    }

    pub(super) async fn detach_credential(
        &mut self,
        id: &CredentialId,
    ) -> Result<ChangedKind, StoreError> {
        let name = self.find_name(CREDENTIAL_NAME, id.as_str()).await?;
        // What was made in its name before another took over can be ended by nobody any more.
        const REGISTRATIONS: [&str; 2] = [
            "delete from registrations where credential_id = $1 and state in ('old', 'lost') \
             and exists (select 1 from subscriptions s where s.id = registrations.subscription_id \
             and s.credential_id <> registrations.credential_id)",
            "update registrations set credential_id = null where credential_id = $1",
        ];
        for text in REGISTRATIONS {
            Statement::new("take a credential from registrations", text)
                .bind(id)
                .run(self.connection)
                .await?;
        }
        let detached = Statement::new(
            "take a credential from its subscriptions",
            "update subscriptions set credential_id = null, \
             state = case when state = 'paused' then state else 'degraded' end, \
             state_reason = $1, state_since = $2, revision = revision + 1, updated_at = $3 \
             where credential_id = $4",
        )
        .bind(format!(
            "its credential `{name}` was deleted: give it another one"
        ))
        .bind(self.now)
        .bind(self.now)
        .bind(id)
        .run(self.connection)
        .await?;
        Ok(match detached {
            0 => ChangedKind::Unchanged,
            _ => ChangedKind::Updated,
        })
    }

    pub(super) async fn delete_credential(
        &mut self,
        id: &CredentialId,
    ) -> Result<ChangedKind, StoreError> {
        let name = self.find_name(CREDENTIAL_NAME, id.as_str()).await?;
        let users: Vec<Text> = Statement::new(
            "find the subscriptions of a credential",
            "select name as text from subscriptions where credential_id = $1 \
             or id in (select subscription_id from registrations where credential_id = $2) \
             order by name limit 5",
        )
        .bind(id)
        .bind(id)
        .all(self.connection)
        .await?;
        self.check_unused_by("credential", &name, "subscriptions", &users)?;
        Statement::new(
            "delete a credential",
            "delete from credentials where id = $1",
        )
        .bind(id)
        .run(self.connection)
        .await?;
        Ok(ChangedKind::Deleted)
    }
}

const CREDENTIAL_NAME: &str =
    "select name as text from credentials where id = $1 and workspace_id = $2";
