//! Subscriptions.

use super::changes::Edit;
use super::keys::subscription_place;
use super::select::Select;
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError};
use crate::id::{EndpointId, SubscriptionId, WorkspaceId};
use crate::model::{
    ChangedKind, NewSubscription, Page, PageQuery, SecretsUpdate, Subscription, SubscriptionState,
    SubscriptionUpdate,
};
use crate::secret::Secret;

macro_rules! select_subscriptions {
    () => {
        "select id, workspace_id, name, provider, endpoint, mode, parameters, properties, \
         case when secrets is null then 0 else 1 end as has_secrets, state, state_reason, \
         state_since, revision, created_at, updated_at from subscriptions"
    };
}

impl Store {
    /// A subscription of this workspace.
    pub async fn subscription(
        &self,
        workspace: &WorkspaceId,
        id: &SubscriptionId,
    ) -> Result<Option<Subscription>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a subscription",
            concat!(
                select_subscriptions!(),
                " where workspace_id = $1 and id = $2"
            ),
        )
        .bind(workspace)
        .bind(id)
        .one(&mut connection)
        .await
    }

    /// The subscription that listens at an endpoint.
    pub async fn subscription_by_endpoint(
        &self,
        endpoint: &EndpointId,
    ) -> Result<Option<Subscription>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a subscription",
            concat!(select_subscriptions!(), " where endpoint = $1"),
        )
        .bind(endpoint)
        .one(&mut connection)
        .await
    }

    /// By its name.
    pub async fn subscription_by_name(
        &self,
        workspace: &WorkspaceId,
        name: &str,
    ) -> Result<Option<Subscription>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read a subscription",
            concat!(
                select_subscriptions!(),
                " where workspace_id = $1 and name = $2"
            ),
        )
        .bind(workspace)
        .bind(name)
        .one(&mut connection)
        .await
    }

    /// Its secrets opened: a JSON object, value by field name.
    pub async fn subscription_secrets(
        &self,
        id: &SubscriptionId,
    ) -> Result<Option<Secret<String>>, StoreError> {
        let mut connection = self.database.read().await?;
        let envelope: Option<Envelope> = Statement::new(
            "read a subscription's secrets",
            "select secrets from subscriptions where id = $1",
        )
        .bind(id)
        .one(&mut connection)
        .await?;
        envelope
            .and_then(|envelope| envelope.0)
            .map(|envelope| {
                let place = subscription_place(id.as_str());
                self.open_envelope("open a subscription's secrets", &place, &envelope)
            })
            .transpose()
    }

    /// All of the instance, whatever the workspace, for routing.
    pub async fn all_subscriptions(&self) -> Result<Vec<Subscription>, StoreError> {
        let mut connection = self.database.read().await?;
        Statement::new(
            "read all subscriptions",
            concat!(select_subscriptions!(), " order by id"),
        )
        .all(&mut connection)
        .await
    }

    /// Newest first.
    pub async fn list_subscriptions(
        &self,
        workspace: &WorkspaceId,
        page: &PageQuery,
    ) -> Result<Page<Subscription>, StoreError> {
        let mut connection = self.database.read().await?;
        Select::new("list subscriptions", select_subscriptions!())
            .and_value("workspace_id =", workspace.clone())
            .page(&mut connection, page, |row: &Subscription| row.id.as_str())
            .await
    }

    /// Opens an envelope whose content is text.
    pub(super) fn open_envelope(
        &self,
        operation: &'static str,
        place: &str,
        envelope: &[u8],
    ) -> Result<Secret<String>, StoreError> {
        let plain = self
            .keys
            .open(place, envelope)
            .map_err(|error| StoreError::seal(operation, error))?;
        match std::str::from_utf8(plain.expose()) {
            Ok(text) => Ok(Secret::new(text.to_owned())),
            Err(_) => Err(StoreError::corrupt("secrets", "the secret is not text")),
        }
    }
}

/// The sealed secrets of a row.
pub(super) struct Envelope(pub(super) Option<Vec<u8>>);

impl FromRow for Envelope {
    fn from_row(row: &Row<'_>) -> Result<Envelope, StoreError> {
        row.bytes_opt("secrets").map(Envelope)
    }
}

impl FromRow for Subscription {
    fn from_row(row: &Row<'_>) -> Result<Subscription, StoreError> {
        Ok(Subscription {
            id: row.parsed("id")?,
            workspace_id: row.parsed("workspace_id")?,
            name: row.text("name")?,
            provider: row.text("provider")?,
            endpoint: row.parsed("endpoint")?,
            mode: row.parsed("mode")?,
            parameters: row.json("parameters")?,
            properties: row.json("properties")?,
            has_secrets: row.flag("has_secrets")?,
            state: row.parsed("state")?,
            state_reason: row.text_opt("state_reason")?,
            state_since: row.millis("state_since")?,
            revision: row.int("revision")?,
            created_at: row.millis("created_at")?,
            updated_at: row.millis("updated_at")?,
        })
    }
}

impl Edit<'_> {
    pub(super) async fn create_subscription(
        &mut self,
        new: &NewSubscription,
    ) -> Result<ChangedKind, StoreError> {
        self.check_workspace(&new.workspace_id)?;
        let place = subscription_place(new.id.as_str());
        let made = Statement::new(
            "create a subscription",
            "insert into subscriptions (id, workspace_id, name, provider, endpoint, mode, \
             parameters, properties, secrets, state, state_reason, state_since, revision, \
             created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14) \
             on conflict (workspace_id, name) do nothing",
        )
        .bind(&new.id)
        .bind(&new.workspace_id)
        .bind(&new.name)
        .bind(&new.provider)
        .bind(&new.endpoint)
        .bind(new.mode)
        .bind(json(&new.parameters))
        .bind(json(&new.properties))
        .bind(self.seal(&place, new.secrets.as_ref()))
        .bind(new.state)
        .bind(&new.state_reason)
        .bind(self.now)
        .bind(self.now)
        .bind(self.now)
        .run(self.connection)
        .await?;
        match made {
            0 => Err(StoreError::Conflict(format!(
                "there is a subscription `{}` already",
                new.name
            ))),
            _ => Ok(ChangedKind::Created),
        }
    }

    pub(super) async fn update_subscription(
        &mut self,
        update: &SubscriptionUpdate,
    ) -> Result<ChangedKind, StoreError> {
        let place = subscription_place(update.id.as_str());
        let (secrets, keep) = match &update.secrets {
            SecretsUpdate::Keep => (None, true),
            SecretsUpdate::Replace(secrets) => (self.seal(&place, Some(secrets)), false),
            SecretsUpdate::Remove => (None, false),
        };
        let updated = Statement::new(
            "update a subscription",
            "update subscriptions set parameters = $1, properties = $2, \
             secrets = case when $3 = 1 then secrets else $4 end, \
             revision = revision + 1, updated_at = $5 \
             where id = $6 and workspace_id = $7 and revision = $8",
        )
        .bind(json(&update.parameters))
        .bind(json(&update.properties))
        .bind(keep)
        .bind(secrets)
        .bind(self.now)
        .bind(&update.id)
        .bind(&self.actor.workspace_id)
        .bind(update.revision)
        .run(self.connection)
        .await?;
        if updated == 0 {
            self.find_name(SUBSCRIPTION_NAME, update.id.as_str())
                .await?;
            return Err(StoreError::Conflict(format!(
                "{} was changed meanwhile: read it again",
                update.id
            )));
        }
        Ok(ChangedKind::Updated)
    }

    pub(super) async fn set_subscription_state(
        &mut self,
        id: &SubscriptionId,
        state: SubscriptionState,
        reason: Option<&str>,
    ) -> Result<ChangedKind, StoreError> {
        self.find_name(SUBSCRIPTION_NAME, id.as_str()).await?;
        let updated = Statement::new(
            "set a subscription's state",
            "update subscriptions set state = $1, state_reason = $2, state_since = $3, \
             revision = revision + 1, updated_at = $4 \
             where id = $5 and workspace_id = $6 \
             and (state <> $7 or coalesce(state_reason, '') <> coalesce($8, ''))",
        )
        .bind(state)
        .bind(reason)
        .bind(self.now)
        .bind(self.now)
        .bind(id)
        .bind(&self.actor.workspace_id)
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

    pub(super) async fn delete_subscription(
        &mut self,
        id: &SubscriptionId,
    ) -> Result<ChangedKind, StoreError> {
        let name = self.find_name(SUBSCRIPTION_NAME, id.as_str()).await?;
        let users: Vec<Text> = Statement::new(
            "find the triggers of a subscription",
            "select name as text from triggers where subscription_id = $1 order by name limit 5",
        )
        .bind(id)
        .all(self.connection)
        .await?;
        self.check_unused("subscription", &name, &users)?;
        Statement::new(
            "delete a subscription",
            "delete from subscriptions where id = $1",
        )
        .bind(id)
        .run(self.connection)
        .await?;
        Ok(ChangedKind::Deleted)
    }
}

/// Reads a subscription's name and holds its row until the commit.
pub(super) const SUBSCRIPTION_NAME: &str =
    "select name as text from subscriptions where id = $1 and workspace_id = $2";

/// A document as it is stored.
pub(super) fn json(document: &impl serde::Serialize) -> String {
    serde_json::to_string(document).expect("invariant: JSON values serialize")
}
