//! Both migration folders make the same tables, columns and indexes.

use std::collections::BTreeSet;

use sqlx::Row;

use crate::fixture::Fixture;

async fn rows(fixture: &Fixture, text: &'static str) -> BTreeSet<String> {
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(fixture.config.url.expose())
        .await
        .expect("connected");
    let rows = sqlx::query(text).fetch_all(&pool).await.expect("read");
    rows.iter()
        .map(|row| row.get::<String, _>(0).to_lowercase())
        .collect()
}

#[tokio::test]
async fn both_databases_have_the_same_columns() {
    let (sqlite, postgres) = (Fixture::sqlite().await, Fixture::postgres().await);
    let of_sqlite = rows(
        &sqlite,
        "select t.name || '.' || c.name || ' ' || replace(lower(c.type), 'blob', 'bytea') || \
         case when c.\"notnull\" = 1 then ' not null' else '' end \
         from sqlite_schema t join pragma_table_info(t.name) c \
         where t.type = 'table' and t.name not like '\\_%' escape '\\' and t.name not like 'sqlite%'",
    )
    .await;
    let of_postgres = rows(
        &postgres,
        "select cast(table_name || '.' || column_name || ' ' || data_type || \
         case when is_nullable = 'NO' then ' not null' else '' end as text) \
         from information_schema.columns \
         where table_schema = 'public' and table_name not like '\\_%' escape '\\'",
    )
    .await;
    assert!(of_sqlite.contains("requests.body bytea"), "{of_sqlite:?}");
    assert_eq!(of_sqlite, of_postgres);
}

#[tokio::test]
async fn both_databases_have_the_same_indexes() {
    let (sqlite, postgres) = (Fixture::sqlite().await, Fixture::postgres().await);
    let of_sqlite = rows(
        &sqlite,
        "select name from sqlite_schema where type = 'index' and sql is not null",
    )
    .await;
    let of_postgres = rows(
        &postgres,
        "select cast(i.relname as text) from pg_index x join pg_class i on i.oid = x.indexrelid \
         join pg_namespace n on n.oid = i.relnamespace \
         where n.nspname = 'public' and i.relname not like '\\_%' escape '\\' \
         and not exists (select 1 from pg_constraint c where c.conindid = x.indexrelid)",
    )
    .await;
    assert!(of_sqlite.contains("jobs_once"), "{of_sqlite:?}");
    assert_eq!(of_sqlite, of_postgres);
}

#[test]
fn both_folders_hold_the_same_files() {
    let names = |backend: &str| -> BTreeSet<String> {
        let folder = format!("{}/../migrations/{backend}", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(folder).expect("the folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        };
        entries.map(name).collect()
    };
    assert!(!names("sqlite").is_empty());
    assert_eq!(names("sqlite"), names("postgres"));
}
