//! Delivery ids whose window is over are found by looking at all of them, a few at a time: an index by
//! their ends would cost every request more than it would ever save here.

use super::sql::{FromRow, Row, Statement};
use super::{Store, StoreError};
use crate::clock::Millis;

/// The delivery id that was looked at last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPlace {
    subscription_id: String,
    delivery_id: String,
}

impl Store {
    /// Looks at the next `limit` delivery ids after `place`, or at the first ones, and removes those
    /// whose window is over. Returns how many these were, and where to go on; none: that was the end.
    pub async fn trim_deliveries(
        &self,
        now: Millis,
        place: Option<DeliveryPlace>,
        limit: u32,
    ) -> Result<(u64, Option<DeliveryPlace>), StoreError> {
        let after = place.unwrap_or_else(|| DeliveryPlace {
            subscription_id: String::new(),
            delivery_id: String::new(),
        });
        let mut reader = self.database.read().await?;
        let seen: Vec<SeenRow> = Statement::new(
            "look at delivery ids",
            "select subscription_id, delivery_id, expires_at from deliveries \
             where (subscription_id, delivery_id) > ($1, $2) \
             order by subscription_id, delivery_id limit $3",
        )
        .bind(&after.subscription_id)
        .bind(&after.delivery_id)
        .bind(limit)
        .all(&mut reader)
        .await?;
        drop(reader);
        let is_end = seen.len() < limit as usize;
        let is_any_over = seen.iter().any(|row| row.expires_at <= now);
        let Some(SeenRow { place: last, .. }) = seen.into_iter().next_back() else {
            return Ok((0, None));
        };
        let mut removed = 0;
        if is_any_over {
            let mut writer = self.database.writer().await?;
            removed = Statement::new(
                "trim delivery ids",
                "delete from deliveries where (subscription_id, delivery_id) > ($1, $2) \
                 and (subscription_id, delivery_id) <= ($3, $4) and expires_at <= $5",
            )
            .bind(&after.subscription_id)
            .bind(&after.delivery_id)
            .bind(&last.subscription_id)
            .bind(&last.delivery_id)
            .bind(now)
            .run(&mut writer)
            .await?;
        }
        Ok((removed, (!is_end).then_some(last)))
    }
}

struct SeenRow {
    place: DeliveryPlace,
    expires_at: Millis,
}

impl FromRow for SeenRow {
    fn from_row(row: &Row<'_>) -> Result<SeenRow, StoreError> {
        Ok(SeenRow {
            place: DeliveryPlace {
                subscription_id: row.text("subscription_id")?,
                delivery_id: row.text("delivery_id")?,
            },
            expires_at: row.millis("expires_at")?,
        })
    }
}
