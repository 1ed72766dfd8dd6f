//! The tables of both databases, made step by step. The same numbers and names stand in both folders.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, SqlSafeStr};

use super::database::Database;
use super::open::Backend;
use super::sql::{Number, Statement};
use super::{StoreError, sqlite};

macro_rules! migrations {
    ($folder:literal: $($number:literal $name:literal),*) => {
        vec![$(Migration::new(
            $number,
            $name.into(),
            MigrationType::Simple,
            include_str!(concat!("../../../migrations/", $folder, "/", $name, ".sql")).into_sql_str(),
            false,
        )),*]
    };
}

fn of(backend: Backend) -> Migrator {
    Migrator::with_migrations(match backend {
        Backend::Sqlite => {
            migrations!("sqlite": 1 "0001_base", 3 "0003_credentials", 4 "0004_sync", 5 "0005_cancelled",
                7 "0007_calls", 8 "0008_flows", 9 "0009_schedules",
                10 "0010_routes", 13 "0013_registration_credentials", 15 "0015_sockets",
                16 "0016_cut_off_renewals", 17 "0017_fewer_indexes",
                18 "0018_cheaper_rows", 19 "0019_dictionaries")
        }
        Backend::Postgres => {
            migrations!("postgres": 1 "0001_base", 3 "0003_credentials", 4 "0004_sync", 5 "0005_cancelled",
                7 "0007_calls", 8 "0008_flows", 9 "0009_schedules",
                10 "0010_routes", 13 "0013_registration_credentials", 15 "0015_sockets",
                16 "0016_cut_off_renewals", 17 "0017_fewer_indexes",
                18 "0018_cheaper_rows", 19 "0019_dictionaries")
        }
    })
}

/// Brings the tables to the newest form.
pub(super) async fn run(database: &Database) -> Result<(), StoreError> {
    let mut connection = database.writer().await?;
    let steps = of(database.backend);
    let newest = steps.iter().map(|step| step.version).max();
    let upgraded = made_before(&mut connection, database.backend)
        .await?
        .filter(|step| Some(*step) < newest);
    if let (Some(from), Some(to)) = (upgraded, newest) {
        tracing::info!(
            from,
            to,
            "the database's tables are brought to their newest form; where they are long this takes a while"
        );
    }
    let done = steps.run(&mut *connection).await;
    done.map_err(|error| match error {
        MigrateError::VersionMissing(number) => StoreError::Refused(format!(
            "the database was made by a newer triggerd (it has step {number}): use that version or a newer one"
        )),
        MigrateError::VersionMismatch(number) => StoreError::Refused(format!(
            "the database's step {number} differs from the one this triggerd knows: use the version that made it"
        )),
        other => StoreError::Refused(format!("the database's tables cannot be made: {other}")),
    })?;
    if database.backend == Backend::Sqlite {
        // The pages that it read and wrote are not needed again.
        Statement::new("give memory back", "pragma shrink_memory")
            .run(&mut connection)
            .await?;
    }
    if upgraded.is_some() {
        tracing::info!("the database's tables have their newest form");
        if database.backend == Backend::Sqlite {
            sqlite::empty_log(&mut connection).await?;
        }
    }
    Ok(())
}

/// The newest step that an earlier start made; none if there was none.
async fn made_before(
    connection: &mut AnyConnection,
    backend: Backend,
) -> Result<Option<i64>, StoreError> {
    let is_there = match backend {
        Backend::Sqlite => {
            "select count(*) as n from sqlite_schema where name = '_sqlx_migrations'"
        }
        Backend::Postgres => "select cast(count(to_regclass('_sqlx_migrations')) as bigint) as n",
    };
    let is_there: Option<Number> = Statement::new("look for tables", is_there)
        .one(connection)
        .await?;
    if is_there.is_none_or(|tables| tables.0 == 0) {
        return Ok(None);
    }
    let newest: Option<Number> = Statement::new(
        "read which steps were made",
        "select coalesce(max(version), 0) as n from _sqlx_migrations",
    )
    .one(connection)
    .await?;
    Ok(newest.map(|step| step.0))
}
