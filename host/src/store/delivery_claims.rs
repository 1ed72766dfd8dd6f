//! Who owns a delivery id: the request that made its row in `deliveries`, until it expires.

use std::collections::HashMap;
use std::sync::Arc;

use super::StoreError;
use super::connection::Connection;
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{FromRow, Row, Statement};
use crate::clock::Millis;
use crate::id::RequestId;

/// SQLite could have to undo a statement that may change rows as well, and copies each page for that.
static INSERT_DELIVERIES: ManyRows = ManyRows::new(
    "insert into deliveries (subscription_id, delivery_id, request_id, expires_at) values ",
    "(?, ?, ?, ?)",
    " on conflict (subscription_id, delivery_id) do nothing",
);

static CLAIM_DELIVERIES: ManyRows = ManyRows::new(
    "insert into deliveries (subscription_id, delivery_id, request_id, expires_at) values ",
    "(?, ?, ?, ?)",
    " on conflict (subscription_id, delivery_id) do update \
     set request_id = excluded.request_id, expires_at = excluded.expires_at \
     where deliveries.expires_at <= ?",
);

static SELECT_OWNERS: ManyRows = ManyRows::new(
    "with wanted (subscription_id, delivery_id) as (values ",
    "(?, ?)",
    ") select d.subscription_id, d.delivery_id, d.request_id \
     from wanted w cross join deliveries d \
     where d.subscription_id = w.subscription_id and d.delivery_id = w.delivery_id",
);

/// A subscription and a delivery id.
pub(super) type Key<'a> = (&'a str, &'a str);

/// What is asked for, the request that came with it, until when it is remembered.
pub(super) type Claim<'a> = (Key<'a>, &'a RequestId, Millis);

/// Which request owns each delivery id that is asked for.
pub(super) async fn claim<'a>(
    connection: &mut impl Connection,
    backend: Backend,
    asked: impl Iterator<Item = Claim<'a>>,
    now: Millis,
) -> Result<HashMap<Key<'a>, String>, StoreError> {
    let mut owners = HashMap::new();
    let mut claims: Vec<Claim<'a>> = Vec::new();
    for (key, request, expires_at) in asked {
        // The first of equal ones asks for it.
        owners.entry(key).or_insert_with(|| {
            claims.push((key, request, expires_at));
            request.as_str().to_owned()
        });
    }
    // In one order everywhere, so that two hosts do not wait for each other in a circle.
    claims.sort_unstable_by_key(|(key, ..)| *key);
    let mut contested = Vec::new();
    for chunk in chunks(&claims) {
        let text = INSERT_DELIVERIES.text(backend, chunk.len());
        let insert = of_claims("insert delivery ids", text, chunk);
        if insert.run(connection).await? < chunk.len() as u64 {
            contested.push(chunk);
        }
    }
    // After all inserts: who holds an older row for a change waits for nobody's insert.
    for chunk in contested {
        let text = CLAIM_DELIVERIES.text(backend, chunk.len());
        let claim = of_claims("claim delivery ids", text, chunk);
        claim.bind(now).run(connection).await?;
        let mut select = Statement::composed(
            "find the owners of delivery ids",
            SELECT_OWNERS.text(backend, chunk.len()),
        );
        for ((subscription, delivery), _, _) in chunk {
            select.push(*subscription);
            select.push(*delivery);
        }
        let rows: Vec<OwnerRow> = select.all(connection).await?;
        for (key, ..) in chunk {
            let is_owned =
                |row: &&OwnerRow| (row.subscription_id.as_str(), row.delivery_id.as_str()) == *key;
            if let Some(row) = rows.iter().find(is_owned) {
                owners.insert(*key, row.request_id.as_str().to_owned());
            }
        }
    }
    Ok(owners)
}

fn of_claims<'q>(operation: &'static str, text: Arc<str>, claims: &[Claim<'q>]) -> Statement<'q> {
    let mut statement = Statement::composed(operation, text);
    for ((subscription, delivery), request, expires_at) in claims {
        statement.push(*subscription);
        statement.push(*delivery);
        statement.push(*request);
        statement.push(*expires_at);
    }
    statement
}

struct OwnerRow {
    subscription_id: String,
    delivery_id: String,
    request_id: RequestId,
}

impl FromRow for OwnerRow {
    fn from_row(row: &Row<'_>) -> Result<OwnerRow, StoreError> {
        Ok(OwnerRow {
            subscription_id: row.text("subscription_id")?,
            delivery_id: row.text("delivery_id")?,
            request_id: row.parsed("request_id")?,
        })
    }
}
