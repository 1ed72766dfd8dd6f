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
    /// With other words than before the time that was set by those goes: what is left to its provider
    /// again is pulled now, and then as that declares; else the next run finds its time.
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
            "update subscriptions set pull_at = case \
             when poll_every is not distinct from $1 and poll_cron is not distinct from $2 \
             and poll_timezone is not distinct from $3 then pull_at \
             when poll_every is null and poll_cron is null then pull_at \
             when pull_at > $4 and $5 = 1 then null \
             when pull_at > $4 then $4 else pull_at end, \
             poll_every = $1, poll_cron = $2, poll_timezone = $3 \
             where id = $6 and workspace_id = $7",
        )
        .bind(every)
        .bind(cron)
        .bind(timezone)
        .bind(self.now)
        .bind(poll.is_some())
        .bind(id)
        .bind(&self.actor.workspace_id)
        .run(self.connection)
        .await
        .map(|_| ())
    }
}
