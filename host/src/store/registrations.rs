//! Registrations: what was made at services, with their sealed secrets.

use super::connection::Connection;
use super::keys::registration_place;
use super::sql::{FromRow, Row, Statement};
use super::subscriptions::json;
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{RegistrationId, SubscriptionId};
use crate::model::{Registration, RegistrationChange};
use crate::seal::KeyRing;
use crate::secret::Secret;

impl Store {
    /// Those of a subscription that are not gone, newest first, their secrets opened.
    pub async fn registrations(
        &self,
        subscription: &SubscriptionId,
    ) -> Result<Vec<Registration>, StoreError> {
        let mut connection = self.database.read().await?;
        let rows: Vec<SealedRegistration> = Statement::new(
            "read a subscription's registrations",
            "select id, subscription_id, state, credential_id, external_id, endpoint_url, parameters, events, \
             properties, learned, secrets, expires_at, created_at, updated_at \
             from registrations where subscription_id = $1 order by id desc",
        )
        .bind(subscription)
        .all(&mut connection)
        .await?;
        drop(connection);
        rows.into_iter().map(|row| self.open_secrets(row)).collect()
    }

    fn open_secrets(&self, row: SealedRegistration) -> Result<Registration, StoreError> {
        let mut registration = row.registration;
        if let Some(envelope) = &row.secrets {
            let place = registration_place(registration.id.as_str());
            let operation = "open a registration's secrets";
            registration.secrets = self.open_envelope(operation, &place, envelope)?;
        }
        Ok(registration)
    }

    /// Keeps what a genuine request taught about the registration that verified it.
    pub async fn learn_of_registration(
        &self,
        subscription: &SubscriptionId,
        id: &RegistrationId,
        learned: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.database.write().await?;
        let taught = Statement::new(
            "learn of a registration",
            "update registrations set learned = $1 where id = $2 and subscription_id = $3",
        )
        .bind(json(learned))
        .bind(id)
        .bind(subscription)
        .run(&mut transaction)
        .await?;
        if taught > 0 {
            bump_revision(&mut transaction, subscription).await?;
        }
        transaction.commit().await
    }
}

/// Whoever opened the subscription opens it anew.
async fn bump_revision(
    connection: &mut impl Connection,
    id: &SubscriptionId,
) -> Result<(), StoreError> {
    Statement::new(
        "note a subscription's change",
        "update subscriptions set revision = revision + 1 where id = $1",
    )
    .bind(id)
    .run(connection)
    .await
    .map(|_| ())
}

/// A change with its secrets sealed, ready for the commit.
pub(super) struct SealedChange {
    change: RegistrationChange,
    secrets: Option<Vec<u8>>,
}

impl SealedChange {
    pub(super) fn seal(keys: &KeyRing, change: RegistrationChange) -> SealedChange {
        let found = match &change {
            RegistrationChange::Insert(new) => Some((&new.id, &new.secrets)),
            RegistrationChange::Answered { id, answer } => {
                answer.secrets.as_ref().map(|secrets| (id, secrets))
            }
            RegistrationChange::State { .. } | RegistrationChange::Delete(_) => None,
        };
        let secrets = found.map(|(id, secrets)| {
            let place = registration_place(id.as_str());
            keys.seal(&place, secrets.expose().as_bytes())
        });
        SealedChange { change, secrets }
    }
}

/// Makes one change; repeated, it changes nothing more.
pub(super) async fn change(
    connection: &mut impl Connection,
    subscription: &SubscriptionId,
    sealed: &SealedChange,
    now: Millis,
) -> Result<(), StoreError> {
    let statement = match &sealed.change {
        RegistrationChange::Insert(new) => Statement::new(
            "insert a registration",
            "insert into registrations (id, subscription_id, state, external_id, endpoint_url, \
             parameters, events, properties, learned, secrets, created_at, updated_at, \
             credential_id) \
             values ($1, $2, 'making', '', $3, $4, $5, '{}', '{}', $6, $7, $8, $9) \
             on conflict (id) do nothing",
        )
        .bind(&new.id)
        .bind(subscription)
        .bind(&new.endpoint_url)
        .bind(json(&new.parameters))
        .bind(json(&new.events))
        .bind(sealed.secrets.clone())
        .bind(now)
        .bind(now)
        .bind(&new.credential_id),
        RegistrationChange::Answered { id, answer } => Statement::new(
            "keep what a service answered",
            "update registrations set external_id = $1, endpoint_url = $2, parameters = $3, \
             events = $4, properties = $5, secrets = case when $6 = 1 then $7 else secrets end, \
             expires_at = $8, updated_at = $9, credential_id = $10 \
             where id = $11 and subscription_id = $12",
        )
        .bind(&answer.external_id)
        .bind(&answer.endpoint_url)
        .bind(json(&answer.parameters))
        .bind(json(&answer.events))
        .bind(json(&answer.properties))
        .bind(sealed.secrets.is_some())
        .bind(sealed.secrets.clone())
        .bind(answer.expires_at)
        .bind(now)
        .bind(&answer.credential_id)
        .bind(id)
        .bind(subscription),
        RegistrationChange::State { id, state } => Statement::new(
            "set a registration's state",
            "update registrations set state = $1, updated_at = $2 \
             where id = $3 and subscription_id = $4",
        )
        .bind(*state)
        .bind(now)
        .bind(id)
        .bind(subscription),
        RegistrationChange::Delete(id) => Statement::new(
            "delete a registration",
            "delete from registrations where id = $1 and subscription_id = $2",
        )
        .bind(id)
        .bind(subscription),
    };
    statement.run(connection).await.map(|_| ())
}

struct SealedRegistration {
    registration: Registration,
    secrets: Option<Vec<u8>>,
}

impl FromRow for SealedRegistration {
    fn from_row(row: &Row<'_>) -> Result<SealedRegistration, StoreError> {
        Ok(SealedRegistration {
            registration: Registration {
                id: row.parsed("id")?,
                subscription_id: row.parsed("subscription_id")?,
                state: row.parsed("state")?,
                credential_id: row.parsed_opt("credential_id")?,
                external_id: row.text("external_id")?,
                endpoint_url: row.text("endpoint_url")?,
                parameters: row.json("parameters")?,
                events: row.json("events")?,
                properties: row.json("properties")?,
                learned: row.json("learned")?,
                secrets: Secret::new("{}".to_owned()),
                expires_at: row.millis_opt("expires_at")?,
                created_at: row.millis("created_at")?,
                updated_at: row.millis("updated_at")?,
            },
            secrets: row.bytes_opt("secrets")?,
        })
    }
}
