//! Which events a trigger waits for. The others are done when they are kept: they need no reading of
//! their payload, no second write and no place in the queue.

use std::collections::HashSet;

use super::StoreError;
use super::connection::Connection;
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{FromRow, Row, Statement};

/// A subscription's id and the name of one of its events.
pub(super) type Kind<'a> = (&'a str, &'a str);

static SELECT_WAITED_FOR: ManyRows = ManyRows::new(
    "with kinds (subscription_id, event) as (values ",
    "(?, ?)",
    ") select k.subscription_id, k.event from kinds k where exists (select 1 from triggers t \
     join runnables r on r.id = t.runnable_id where t.subscription_id = k.subscription_id \
     and t.event = k.event and t.enabled = 1 and r.deleted_at is null)",
);

/// Leaves those kinds that an enabled trigger waits for, as of this transaction.
pub(super) async fn waited_for<'a>(
    connection: &mut impl Connection,
    backend: Backend,
    mut waited_for: HashSet<Kind<'a>>,
) -> Result<HashSet<Kind<'a>>, StoreError> {
    let kinds: Vec<Kind<'a>> = waited_for.iter().copied().collect();
    let mut found = HashSet::with_capacity(kinds.len());
    for chunk in chunks(&kinds) {
        let mut select = Statement::composed(
            "find the events that triggers wait for",
            SELECT_WAITED_FOR.text(backend, chunk.len()),
        );
        for (subscription, event) in chunk {
            select.push(*subscription);
            select.push(*event);
        }
        let rows: Vec<KindRow> = select.all(connection).await?;
        found.extend(rows.into_iter().map(|row| (row.subscription_id, row.event)));
    }
    waited_for.retain(|(subscription, event)| {
        found.contains(&((*subscription).to_owned(), (*event).to_owned()))
    });
    Ok(waited_for)
}

struct KindRow {
    subscription_id: String,
    event: String,
}

impl FromRow for KindRow {
    fn from_row(row: &Row<'_>) -> Result<KindRow, StoreError> {
        Ok(KindRow {
            subscription_id: row.text("subscription_id")?,
            event: row.text("event")?,
        })
    }
}
