//! What a plugin keeps for a subscription: small JSON values by key.

use std::collections::BTreeMap;

use super::connection::Connection;
use super::sql::{FromRow, Row, Statement};
use super::{Store, StoreError};
use crate::id::SubscriptionId;
use serde_json::Value;

impl Store {
    /// The values of these keys; absent ones are left out.
    pub async fn subscription_state(
        &self,
        subscription: &SubscriptionId,
        keys: &[String],
    ) -> Result<BTreeMap<String, Value>, StoreError> {
        let mut found = BTreeMap::new();
        let mut connection = self.database.read().await?;
        for some in keys.chunks(256) {
            let places: Vec<String> = (2..some.len() + 2).map(|n| format!("${n}")).collect();
            let mut select = Statement::composed(
                "read a subscription's state",
                format!(
                    "select key, value from subscription_state \
                     where subscription_id = $1 and key in ({})",
                    places.join(", ")
                ),
            )
            .bind(subscription);
            for key in some {
                select.push(key);
            }
            let rows: Vec<StateRow> = select.all(&mut connection).await?;
            found.extend(rows.into_iter().map(|row| (row.key, row.value)));
        }
        Ok(found)
    }

    /// Keeps a value; none removes it.
    pub async fn put_subscription_state(
        &self,
        subscription: &SubscriptionId,
        key: &str,
        value: Option<&Value>,
    ) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        put(&mut connection, subscription, key, value).await
    }
}

/// The same within a commit.
pub(super) async fn put(
    connection: &mut impl Connection,
    subscription: &SubscriptionId,
    key: &str,
    value: Option<&Value>,
) -> Result<(), StoreError> {
    let statement = match value {
        Some(value) => Statement::new(
            "keep a subscription's state",
            "insert into subscription_state (subscription_id, key, value) values ($1, $2, $3) \
             on conflict (subscription_id, key) do update set value = excluded.value",
        )
        .bind(subscription)
        .bind(key)
        .bind(value.to_string()),
        None => Statement::new(
            "remove a subscription's state",
            "delete from subscription_state where subscription_id = $1 and key = $2",
        )
        .bind(subscription)
        .bind(key),
    };
    statement.run(connection).await.map(|_| ())
}

struct StateRow {
    key: String,
    value: Value,
}

impl FromRow for StateRow {
    fn from_row(row: &Row<'_>) -> Result<StateRow, StoreError> {
        Ok(StateRow {
            key: row.text("key")?,
            value: row.json("value")?,
        })
    }
}
