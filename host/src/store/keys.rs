//! The keys that seal secrets, as the database knows them, and their rotation.

use sqlx::AnyConnection;

use super::database::Database;
use super::sql::{FromRow, Row, Statement};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::seal::{KeyId, KeyRing, key_of};

/// What every key seals once, so that a wrong key is noticed at start.
const CHECK_TEXT: &[u8] = b"triggerd";

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub key_id: String,
    /// Secrets sealed anew.
    pub resealed: u64,
    /// Keys that seal nothing any more.
    pub retired: Vec<String>,
}

impl Store {
    /// Adds a key, seals everything with it in small steps while the host runs, and retires the
    /// others. Interrupted anywhere, the next call goes on where it stopped.
    pub async fn rotate_keys(&self) -> Result<Rotation, StoreError> {
        let current = self.keys.current();
        let mut others = self.other_keys(current).await?;
        let current = if others.is_empty() {
            let added = self
                .keys
                .add_key()
                .map_err(|error| StoreError::seal("add a key", error))?;
            others = vec![current.to_string()];
            added
        } else {
            current
        };
        let mut transaction = self.database.write().await?;
        insert_key(&mut transaction, &self.keys, self.clock.now()).await?;
        transaction.commit().await?;

        let mut resealed = 0;
        // A secret that was sealed just before the key changed may be committed behind our back, so
        // we look until nothing is found.
        loop {
            let mut found = 0;
            for table in SEALED {
                found += self.reseal(table, current).await?;
            }
            resealed += found;
            if found == 0 {
                break;
            }
        }
        self.retire_keys(current).await?;
        Ok(Rotation {
            key_id: current.to_string(),
            resealed,
            retired: others,
        })
    }

    async fn other_keys(&self, current: KeyId) -> Result<Vec<String>, StoreError> {
        let mut connection = self.database.read().await?;
        let keys = known_keys(&mut connection).await?;
        Ok(keys
            .into_iter()
            .filter(|key| key.key_id != current.to_string() && key.retired_at.is_none())
            .map(|key| key.key_id)
            .collect())
    }

    async fn reseal(&self, table: &SealedTable, current: KeyId) -> Result<u64, StoreError> {
        let mut resealed = 0;
        let mut after = String::new();
        loop {
            let rows: Vec<SealedRow> = {
                let mut connection = self.database.read().await?;
                Statement::new("read sealed secrets", table.select)
                    .bind(after.as_str())
                    .all(&mut connection)
                    .await?
            };
            let Some(last) = rows.last() else {
                return Ok(resealed);
            };
            after.clone_from(&last.id);
            let mut transaction = self.database.write().await?;
            for row in &rows {
                if key_of(&row.secrets).map_err(|error| StoreError::seal("seal anew", error))?
                    == current
                {
                    continue;
                }
                let place = (table.place)(&row.id);
                let plain = self
                    .keys
                    .open(&place, &row.secrets)
                    .map_err(|error| StoreError::seal("seal anew", error))?;
                resealed += Statement::new("seal a secret anew", table.update)
                    .bind(self.keys.seal(&place, plain.expose()))
                    .bind(row.id.as_str())
                    .bind(row.secrets.as_slice())
                    .run(&mut transaction)
                    .await?;
            }
            transaction.commit().await?;
        }
    }

    async fn retire_keys(&self, current: KeyId) -> Result<(), StoreError> {
        let mut connection = self.database.writer().await?;
        Statement::new(
            "retire keys",
            "update seal_keys set retired_at = $1 where key_id <> $2 and retired_at is null",
        )
        .bind(self.clock.now())
        .bind(current.to_string())
        .run(&mut connection)
        .await
        .map(|_| ())
    }
}

/// Where a subscription's secrets stand.
pub(super) fn subscription_place(id: &str) -> String {
    format!("subscriptions:{id}:secrets")
}

/// Where a version's secrets stand.
pub(super) fn version_place(id: &str) -> String {
    format!("runnable_versions:{id}:secrets")
}

/// Where a registration's secrets stand.
pub(super) fn registration_place(id: &str) -> String {
    format!("registrations:{id}:secrets")
}

/// Where an integration's client secret stands.
pub(super) fn integration_place(id: &str) -> String {
    format!("integrations:{id}:client_secret")
}

/// Where a credential's secrets stand.
pub(super) fn credential_place(id: &str) -> String {
    format!("credentials:{id}:secrets")
}

/// Where the PKCE verifier of an account to be connected stands.
pub(super) fn connect_place(id: &str) -> String {
    format!("oauth_states:{id}:verifier")
}

/// Where a route's secrets stand.
pub(super) fn route_place(id: &str) -> String {
    format!("routes:{id}:secrets")
}

/// Where the secret of a workspace's webhook stands.
pub(super) fn hook_place(id: &str) -> String {
    format!("workspace_hooks:{id}:secret")
}

/// Every table with a sealed column.
const SEALED: [&SealedTable; 8] = [
    &SUBSCRIPTIONS,
    &REGISTRATIONS,
    &VERSIONS,
    &INTEGRATIONS,
    &CREDENTIALS,
    &CONNECTS,
    &ROUTES,
    &HOOKS,
];

struct SealedTable {
    select: &'static str,
    /// Only if nobody changed it meanwhile.
    update: &'static str,
    place: fn(&str) -> String,
}

const SUBSCRIPTIONS: SealedTable = SealedTable {
    select: "select id, secrets from subscriptions where secrets is not null and id > $1 order by id limit 100",
    update: "update subscriptions set secrets = $1 where id = $2 and secrets = $3",
    place: subscription_place,
};

const REGISTRATIONS: SealedTable = SealedTable {
    select: "select id, secrets from registrations where secrets is not null and id > $1 order by id limit 100",
    update: "update registrations set secrets = $1 where id = $2 and secrets = $3",
    place: registration_place,
};

const VERSIONS: SealedTable = SealedTable {
    select: "select id, secrets from runnable_versions where secrets is not null and id > $1 order by id limit 100",
    update: "update runnable_versions set secrets = $1 where id = $2 and secrets = $3",
    place: version_place,
};

const INTEGRATIONS: SealedTable = SealedTable {
    select: "select id, client_secret as secrets from integrations where client_secret is not null and id > $1 order by id limit 100",
    update: "update integrations set client_secret = $1 where id = $2 and client_secret = $3",
    place: integration_place,
};

const CREDENTIALS: SealedTable = SealedTable {
    select: "select id, secrets from credentials where id > $1 order by id limit 100",
    update: "update credentials set secrets = $1 where id = $2 and secrets = $3",
    place: credential_place,
};

const CONNECTS: SealedTable = SealedTable {
    select: "select id, verifier as secrets from oauth_states where verifier is not null and id > $1 order by id limit 100",
    update: "update oauth_states set verifier = $1 where id = $2 and verifier = $3",
    place: connect_place,
};

const ROUTES: SealedTable = SealedTable {
    select: "select id, secrets from routes where secrets is not null and id > $1 order by id limit 100",
    update: "update routes set secrets = $1 where id = $2 and secrets = $3",
    place: route_place,
};

const HOOKS: SealedTable = SealedTable {
    select: "select workspace_id as id, secret as secrets from workspace_hooks where workspace_id > $1 order by workspace_id limit 100",
    update: "update workspace_hooks set secret = $1 where workspace_id = $2 and secret = $3",
    place: hook_place,
};

struct SealedRow {
    id: String,
    secrets: Vec<u8>,
}

impl FromRow for SealedRow {
    fn from_row(row: &Row<'_>) -> Result<SealedRow, StoreError> {
        Ok(SealedRow {
            id: row.text("id")?,
            secrets: row.bytes_opt("secrets")?.unwrap_or_default(),
        })
    }
}

struct KnownKey {
    key_id: String,
    check_value: Vec<u8>,
    retired_at: Option<Millis>,
}

impl FromRow for KnownKey {
    fn from_row(row: &Row<'_>) -> Result<KnownKey, StoreError> {
        Ok(KnownKey {
            key_id: row.text("key_id")?,
            check_value: row.bytes_opt("check_value")?.unwrap_or_default(),
            retired_at: row.millis_opt("retired_at")?,
        })
    }
}

/// Refuses to start with keys that are not those of the database.
pub(super) async fn check(
    database: &Database,
    keys: &KeyRing,
    now: Millis,
) -> Result<(), StoreError> {
    let mut transaction = database.write().await?;
    for known in known_keys(&mut transaction).await? {
        let id = KeyId::parse(&known.key_id)
            .ok_or_else(|| StoreError::corrupt("key_id", "expected 16 hexadecimal digits"))?;
        if !keys.holds(id) {
            if known.retired_at.is_none() {
                return Err(StoreError::Refused(format!(
                    "the secrets in this database are sealed with the key {id}, which this host does not have: put back the file `keys` of its data folder (or the variable {})",
                    crate::seal::KEY_VARIABLE
                )));
            }
            continue;
        }
        if keys
            .open(&check_place(&known.key_id), &known.check_value)
            .is_err()
        {
            return Err(StoreError::Refused(format!(
                "the key {id} of this host is not the one that sealed the secrets in this database, though it bears its name: put back the file `keys` that belongs to it"
            )));
        }
    }
    insert_key(&mut transaction, keys, now).await?;
    transaction.commit().await
}

/// Notes the key that seals from now on.
async fn insert_key(
    connection: &mut AnyConnection,
    keys: &KeyRing,
    now: Millis,
) -> Result<(), StoreError> {
    let id = keys.current().to_string();
    Statement::new(
        "note a key",
        "insert into seal_keys (key_id, check_value, created_at) values ($1, $2, $3) \
         on conflict (key_id) do update set retired_at = null",
    )
    .bind(id.as_str())
    .bind(keys.seal(&check_place(&id), CHECK_TEXT))
    .bind(now)
    .run(connection)
    .await
    .map(|_| ())
}

async fn known_keys(connection: &mut AnyConnection) -> Result<Vec<KnownKey>, StoreError> {
    Statement::new(
        "read the keys",
        "select key_id, check_value, retired_at from seal_keys order by key_id",
    )
    .all(connection)
    .await
}

fn check_place(key_id: &str) -> String {
    format!("seal_keys:{key_id}:check_value")
}
