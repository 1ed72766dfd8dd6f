//! What holds for PostgreSQL alone: losing the server and finding it again.

use triggerd::model::Appended;
use triggerd::store::DatabaseConfig;

use crate::fixture::Fixture;
use crate::postgres_harness::Cluster;

#[tokio::test]
async fn a_restarted_server_is_found_again_without_a_restart_of_the_host() {
    let cluster = Cluster::own();
    let url = cluster.database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = Fixture::open(folder, DatabaseConfig::new(url)).await;
    let kept = fixture.append(b"{}", Some("d-1"));
    fixture.store.append(kept.clone()).await.expect("appended");

    cluster.stop();
    let lost = fixture.append(b"{}", Some("d-2"));
    let error = fixture
        .store
        .append(lost.clone())
        .await
        .expect_err("nobody is there");
    assert!(error.is_unavailable(), "{error}");
    assert!(
        fixture
            .store
            .ping()
            .await
            .expect_err("nobody is there")
            .is_unavailable()
    );
    let error = fixture
        .store
        .all_subscriptions()
        .await
        .expect_err("nobody is there");
    assert!(error.is_unavailable(), "{error}");

    cluster.resume();
    fixture.store.ping().await.expect("there again");
    let again = fixture.store.append(lost).await.expect("appended");
    assert_eq!(again, Appended::Stored { waiting: 1 });
    let events = fixture
        .store
        .pending_events(fixture.now(), 10)
        .await
        .expect("read");
    assert_eq!(events.len(), 2);
    fixture.store.close().await;
}

#[tokio::test]
async fn connections_that_the_server_cut_are_replaced_unnoticed() {
    let fixture = Fixture::postgres().await;
    fixture
        .store
        .append(fixture.append(b"{}", None))
        .await
        .expect("appended");
    let pool = sqlx::PgPool::connect(fixture.config.url.expose())
        .await
        .expect("connected");
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .fetch_all(&pool)
    .await
    .expect("cut");
    fixture
        .store
        .append(fixture.append(b"{}", None))
        .await
        .expect("appended all the same");
    fixture.store.ping().await.expect("it answers");
}

/// Seen by the database itself, in the session that writes.
#[tokio::test]
async fn commits_are_synced_and_isolated_as_we_need_it_whatever_the_servers_defaults() {
    let cluster = Cluster::own();
    let url = cluster.database().await;
    let pool = sqlx::PgPool::connect(&url).await.expect("connected");
    for setting in [
        "synchronous_commit to off",
        "default_transaction_isolation to 'serializable'",
        "statement_timeout to '400ms'",
        "lock_timeout to '400ms'",
        "standard_conforming_strings to off",
        "session_replication_role to 'replica'",
        "timezone to 'Asia/Kathmandu'",
        "datestyle to 'SQL, DMY'",
        "bytea_output to 'escape'",
    ] {
        let name: String = sqlx::query_scalar("select current_database()::text")
            .fetch_one(&pool)
            .await
            .expect("a name");
        let text = format!("alter database \"{name}\" set {setting}");
        sqlx::query(sqlx::AssertSqlSafe(text))
            .execute(&pool)
            .await
            .expect("set");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = Fixture::open(folder, DatabaseConfig::new(url)).await;
    for text in [
        "set statement_timeout to 0",
        "create table seen (synced text, isolation text, strings text)",
        "create function note() returns trigger language plpgsql as $$ begin \
         insert into seen values (current_setting('synchronous_commit'), \
         current_setting('transaction_isolation'), \
         current_setting('standard_conforming_strings')); \
         perform pg_sleep(0.8); return new; end $$",
        "create trigger note before insert on requests for each row execute function note()",
    ] {
        sqlx::query(text).execute(&pool).await.expect(text);
    }
    let body = br"it's a \ and a \' and \000".as_slice();
    let kept = fixture.append(body, None);
    fixture.store.append(kept.clone()).await.expect("appended");
    let seen: (String, String, String) =
        sqlx::query_as("select synced, isolation, strings from seen")
            .fetch_one(&pool)
            .await
            .expect("noted");
    let expected = ["on", "read committed", "on"].map(str::to_owned);
    assert_eq!(seen, expected.into());
    let read = fixture.store.request_body(&kept.request.id).await;
    assert_eq!(read.expect("read").as_deref(), Some(body));
    let events = fixture.store.pending_events(fixture.now(), 10).await;
    assert_eq!(events.expect("read")[0].payload.as_ref(), body);
    fixture.store.close().await;
}
