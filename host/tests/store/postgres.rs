//! What holds for PostgreSQL alone: losing the server and finding it again.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use triggerd::model::Appended;
use triggerd::store::DatabaseConfig;

use crate::fixture::{Fixture, host};
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
async fn hints_of_other_hosts_are_heard_and_own_ones_are_not() {
    let cluster = Cluster::own();
    let url = cluster.database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = Fixture::open(folder, DatabaseConfig::new(url)).await;
    let (one, other) = (host(), host());
    let hear = async || {
        let heard = fixture.store.hear_hints().await;
        heard.expect("listening").expect("there are other hosts")
    };
    let hint = async |from| fixture.store.hint_jobs(from).await.expect("told");
    let mut hints = hear().await;
    hint(&one).await;
    hint(&other).await;
    assert_eq!(hints.next(&one).await.expect("heard"), Some(other.clone()));
    hint(&one).await;
    hint(&other).await;
    assert_eq!(hints.next(&one).await.expect("heard"), Some(other.clone()));
    // Who may have missed one is told, or listens anew.
    cluster.stop();
    let lost = hints.next(&one).await;
    cluster.resume();
    let mut hints = match lost {
        Ok(_) => hints,
        Err(_) => hear().await,
    };
    hint(&other).await;
    hints.next(&one).await.expect("heard again");
    fixture.store.close().await;
}

/// A wire to a server that can be held still: nothing comes through, and nobody hears why.
struct Wire {
    url: String,
    is_held: watch::Sender<bool>,
}

impl Wire {
    async fn to(url: &str) -> Wire {
        let (database, socket) = url.split_once("?host=").expect("a server at a socket");
        let socket = format!("{}/.s.PGSQL.5432", socket.replace("%2F", "/"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (is_held, held) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.expect("the server");
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(carry(from_client, to_server, held.clone()));
                tokio::spawn(carry(from_server, to_client, held.clone()));
            }
        });
        let url = database.replace("localhost", &address) + "?sslmode=disable";
        Wire { url, is_held }
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut held: watch::Receiver<bool>,
) {
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let is_free = held.wait_for(|is_held| !is_held).await.is_ok();
        if !is_free || to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_server_that_is_cut_off_without_a_word_is_given_up_and_found_again() {
    let wire = Wire::to(&Cluster::shared().database().await).await;
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = Fixture::open(folder, DatabaseConfig::new(wire.url.clone())).await;
    let kept = fixture.append(b"{}", Some("d-1"));
    fixture.store.append(kept).await.expect("appended");

    wire.is_held.send_replace(true);
    let lost = fixture.append(b"{}", Some("d-2"));
    // The network itself would wait for a quarter of an hour.
    let given_up = Duration::from_secs(120);
    let error = tokio::time::timeout(given_up, fixture.store.append(lost.clone()))
        .await
        .expect("it is given up")
        .expect_err("nobody hears it");
    assert!(error.is_unavailable(), "{error}");

    wire.is_held.send_replace(false);
    let again = fixture.store.append(lost).await.expect("appended");
    assert_eq!(again, Appended::Stored { waiting: 1 });
    let pending = fixture.store.pending_events(fixture.now(), 10).await;
    assert_eq!(pending.expect("read").len(), 2);
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
    let read = fixture
        .store
        .request_body(&fixture.workspace, &kept.request.id)
        .await;
    assert_eq!(read.expect("read").as_deref(), Some(body));
    let events = fixture.store.pending_events(fixture.now(), 10).await;
    assert_eq!(events.expect("read")[0].payload.as_ref(), body);
    fixture.store.close().await;
}
