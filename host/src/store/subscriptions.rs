//! Subscriptions.

use super::changes::Edit;
use super::connection::Connection;
use super::keys::subscription_place;
use super::select::Select;
use super::sql::{FromRow, Row, Statement, Text};
use super::{Store, StoreError, polls};
use crate::id::{EndpointId, SubscriptionId, WorkspaceId};
use crate::model::{
    ChangedKind, NewSubscription, Page, PageQuery, Policy, SecretsUpdate, Subscription,
    SubscriptionMode, SubscriptionState, SubscriptionUpdate, SyncAction, Terms,
};
use crate::secret::Secret;

macro_rules! subscription_columns {
    () => {
        "id, workspace_id, name, provider, endpoint, mode, parameters, properties, \
         case when secrets is null then 0 else 1 end as has_secrets, state, state_reason, \
         state_since, credential_id, events, on_missing, on_drift, is_deleting, revision, \
         created_at, updated_at, poll_every, poll_cron, poll_timezone"
    };
}
pub(super) use subscription_columns;

macro_rules! select_subscriptions {
    () => {
        concat!("select ", subscription_columns!(), " from subscriptions")
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
            terms: Terms {
                credential_id: row.parsed_opt("credential_id")?,
                events: match row.text_opt("events")? {
                    Some(_) => Some(row.json("events")?),
                    None => None,
                },
                policy: Policy {
                    missing: row.parsed("on_missing")?,
                    drift: row.parsed("on_drift")?,
                },
                poll: polls::read(row)?,
            },
            is_deleting: row.flag("is_deleting")?,
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
        self.note_named_by_socket(&new.parameters);
        let place = subscription_place(new.id.as_str());
        let is_managed = new.mode == SubscriptionMode::Managed;
        let made = Statement::new(
            "create a subscription",
            "insert into subscriptions (id, workspace_id, name, provider, endpoint, mode, \
             parameters, properties, secrets, state, state_reason, state_since, revision, \
             created_at, updated_at, credential_id, events, on_missing, on_drift, due_at, \
             next_action) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14, $15, $16, \
             $17, $18, $19, $20) on conflict (workspace_id, name) do nothing",
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
        .bind(&new.terms.credential_id)
        .bind(new.terms.events.as_ref().map(json))
        .bind(new.terms.policy.missing)
        .bind(new.terms.policy.drift)
        .bind(is_managed.then_some(self.now))
        .bind(is_managed.then_some(SyncAction::Make.as_str()))
        .run(self.connection)
        .await?;
        match made {
            0 => Err(StoreError::Conflict(format!(
                "there is a subscription `{}` already",
                new.name
            ))),
            _ => {
                self.set_poll(&new.id, new.terms.poll.as_ref()).await?;
                Ok(ChangedKind::Created)
            }
        }
    }

    pub(super) async fn update_subscription(
        &mut self,
        update: &SubscriptionUpdate,
    ) -> Result<ChangedKind, StoreError> {
        self.note_named_by_socket(&update.parameters);
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
             revision = revision + 1, updated_at = $5, credential_id = $6, events = $7, \
             on_missing = $8, on_drift = $9 \
             where id = $10 and workspace_id = $11 and revision = $12 and is_deleting = 0",
        )
        .bind(json(&update.parameters))
        .bind(json(&update.properties))
        .bind(keep)
        .bind(secrets)
        .bind(self.now)
        .bind(&update.terms.credential_id)
        .bind(update.terms.events.as_ref().map(json))
        .bind(update.terms.policy.missing)
        .bind(update.terms.policy.drift)
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
        let poll = update.terms.poll.as_ref();
        self.set_poll(&update.id, poll).await?;
        self.poke_subscription(&update.id).await?;
        Ok(ChangedKind::Updated)
    }

    /// A paused one that goes on is `pending` until something was made for it; it catches up with
    /// what it missed.
    pub(super) async fn set_subscription_state(
        &mut self,
        id: &SubscriptionId,
        state: SubscriptionState,
        reason: Option<&str>,
    ) -> Result<ChangedKind, StoreError> {
        self.find_name(SUBSCRIPTION_NAME, id.as_str()).await?;
        let updated = Statement::new(
            "set a subscription's state",
            "update subscriptions set state = case when mode = 'managed' and $1 = 'active' \
             and not exists (select 1 from registrations r \
             where r.subscription_id = subscriptions.id and r.state = 'live') \
             then 'pending' else $2 end, state_reason = $3, state_since = $4, \
             pull_at = case when pulled_at is null then pull_at else $5 end, \
             revision = revision + 1, updated_at = $6 \
             where id = $7 and workspace_id = $8 \
             and (state <> $9 or coalesce(state_reason, '') <> coalesce($10, ''))",
        )
        .bind(state)
        .bind(state)
        .bind(reason)
        .bind(self.now)
        .bind(self.now)
        .bind(self.now)
        .bind(id)
        .bind(&self.actor.workspace_id)
        .bind(state)
        .bind(reason)
        .run(self.connection)
        .await?;
        if updated == 0 {
            return Ok(ChangedKind::Unchanged);
        }
        self.poke_subscription(id).await?;
        Ok(ChangedKind::Updated)
    }

    /// One that has something at its service is ended there first; the row says so until then.
    pub(super) async fn delete_subscription(
        &mut self,
        id: &SubscriptionId,
    ) -> Result<ChangedKind, StoreError> {
        self.check_subscription_unused(id).await?;
        let marked = Statement::new(
            "mark a subscription as being deleted",
            "update subscriptions set is_deleting = 1, revision = revision + 1, updated_at = $1 \
             where id = $2 and exists (select 1 from registrations r \
             where r.subscription_id = subscriptions.id)",
        )
        .bind(self.now)
        .bind(id)
        .run(self.connection)
        .await?;
        if marked > 0 {
            self.poke_subscription(id).await?;
        } else {
            remove_subscription(self.connection, id).await?;
        }
        Ok(ChangedKind::Deleted)
    }

    /// Without a word to its service.
    pub(super) async fn force_delete_subscription(
        &mut self,
        id: &SubscriptionId,
    ) -> Result<ChangedKind, StoreError> {
        self.check_subscription_unused(id).await?;
        remove_subscription(self.connection, id).await?;
        Ok(ChangedKind::Deleted)
    }

    async fn check_subscription_unused(&mut self, id: &SubscriptionId) -> Result<(), StoreError> {
        let name = self.find_name(SUBSCRIPTION_NAME, id.as_str()).await?;
        let users: Vec<Text> = Statement::new(
            "find the triggers of a subscription",
            "select name as text from triggers where subscription_id = $1 order by name limit 5",
        )
        .bind(id)
        .all(self.connection)
        .await?;
        self.check_unused("subscription", &name, &users)
    }

    /// What is wanted of it may have changed: the host looks at it.
    pub(super) async fn poke_subscription(
        &mut self,
        id: &SubscriptionId,
    ) -> Result<(), StoreError> {
        Statement::new(
            "poke a subscription",
            "update subscriptions set pokes = pokes + 1, due_at = $1, retry_at = null, \
             retry_action = null \
             where id = $2 and mode = 'managed'",
        )
        .bind(self.now)
        .bind(id)
        .run(self.connection)
        .await
        .map(|_| ())
    }
}

/// Removes a subscription with everything that is kept for it but its history.
pub(super) async fn remove_subscription(
    connection: &mut impl Connection,
    id: &SubscriptionId,
) -> Result<(), StoreError> {
    const PARTS: [&str; 5] = [
        "delete from sockets where subscription_id = $1",
        "delete from timers where subscription_id = $1",
        "delete from subscription_state where subscription_id = $1",
        "delete from registrations where subscription_id = $1",
        "delete from subscriptions where id = $1",
    ];
    for part in PARTS {
        Statement::new("delete a subscription", part)
            .bind(id)
            .run(connection)
            .await?;
    }
    Ok(())
}

/// Reads a subscription's name and holds its row until the commit.
pub(super) const SUBSCRIPTION_NAME: &str =
    "select name as text from subscriptions where id = $1 and workspace_id = $2";

/// A document as it is stored.
pub(super) fn json(document: &impl serde::Serialize) -> String {
    serde_json::to_string(document).expect("invariant: JSON values serialize")
}
