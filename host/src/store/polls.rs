//! When subscriptions are pulled, where an operator says it.

use std::time::Duration;

use super::StoreError;
use super::changes::Edit;
use super::sql::{Row, Statement};
use crate::id::SubscriptionId;
use crate::model::Poll;

/// Of a row of a subscription.
pub(super) fn read(row: &Row<'_>) -> Result<Option<Poll>, StoreError> {
    if let Some(every) = row.number_opt("poll_every")? {
        return Ok(Some(Poll::Every(Duration::from_millis(every))));
    }
    let cron = row.text_opt("poll_cron")?;
    let timezone = row.text_opt("poll_timezone")?;
    Ok(cron
        .zip(timezone)
        .map(|(cron, timezone)| Poll::At { cron, timezone }))
}

impl Edit<'_> {
    pub(super) async fn set_poll(
        &mut self,
        id: &SubscriptionId,
        poll: Option<&Poll>,
    ) -> Result<(), StoreError> {
        let (every, cron, timezone) = match poll {
            Some(Poll::Every(every)) => (i64::try_from(every.as_millis()).ok(), None, None),
            Some(Poll::At { cron, timezone }) => {
                (None, Some(cron.as_str()), Some(timezone.as_str()))
            }
            None => (None, None, None),
        };
        Statement::new(
            "set when a subscription is pulled",
            "update subscriptions set poll_every = $1, poll_cron = $2, poll_timezone = $3 \
             where id = $4 and workspace_id = $5",
        )
        .bind(every)
        .bind(cron)
        .bind(timezone)
        .bind(id)
        .bind(&self.actor.workspace_id)
        .run(self.connection)
        .await
        .map(|_| ())
    }
}
