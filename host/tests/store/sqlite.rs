//! What holds for SQLite alone: its file, its lock, its settings.

use std::os::unix::fs::PermissionsExt;

use sqlx::Row;
use triggerd::store::{DatabaseConfig, Store};

use crate::fixture::Fixture;

#[tokio::test]
async fn a_second_host_on_the_same_file_is_refused() {
    let fixture = Fixture::sqlite().await;
    let open = || {
        Store::open(
            fixture.config.clone(),
            fixture.keys.clone(),
            fixture.clock.clone(),
        )
    };
    let error = open().await.err().expect("refused").to_string();
    assert!(
        error.contains("is in use by another triggerd: stop that one first"),
        "{error}"
    );
    fixture.store.close().await;
    drop(fixture.store);
    open().await.expect("free again");
}

#[tokio::test]
async fn the_file_is_for_its_user_only_and_synced_ahead() {
    let fixture = Fixture::sqlite().await;
    fixture
        .store
        .append(fixture.append(b"{}", None))
        .await
        .expect("appended");
    let path = fixture.folder.path().join("triggerd.db");
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut name = path.clone().into_os_string();
        name.push(suffix);
        let mode = std::fs::metadata(&name).expect(suffix).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    let pool = sqlx::SqlitePool::connect(fixture.config.url.expose())
        .await
        .expect("connected");
    let row = sqlx::query("pragma journal_mode")
        .fetch_one(&pool)
        .await
        .expect("read");
    assert_eq!(row.get::<String, _>(0), "wal");
}

#[tokio::test]
async fn a_path_with_letters_of_urls_is_that_path() {
    let folder = tempfile::tempdir().expect("a folder");
    let odd = folder.path().join("50% #1 ö");
    std::fs::create_dir(&odd).expect("made");
    let url = format!("sqlite:{}", odd.join("x.db").display());
    let fixture = Fixture::open(folder, DatabaseConfig::new(url)).await;
    fixture.store.ping().await.expect("it answers");
    assert!(odd.join("x.db").exists());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing/x.db");
    let config = DatabaseConfig::new(format!("sqlite:{}", path.display()));
    let keys = triggerd::seal::KeyRing::load(folder.path(), None).expect("keys");
    let opened = Store::open(config, keys, triggerd::clock::Clock::system()).await;
    let error = opened.err().expect("refused").to_string();
    assert!(error.contains(&path.display().to_string()), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let fixture = Fixture::sqlite().await;
    fixture.store.close().await;
    let pool = sqlx::SqlitePool::connect(fixture.config.url.expose())
        .await
        .expect("connected");
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
         values (9999, 'later', true, x'00', 0)",
    )
    .execute(&pool)
    .await
    .expect("inserted");
    pool.close().await;
    drop(fixture.store);
    let opened = Store::open(fixture.config, fixture.keys, fixture.clock).await;
    let error = opened.err().expect("refused").to_string();
    assert!(error.contains("made by a newer triggerd"), "{error}");
}
