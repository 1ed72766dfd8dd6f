//! PostgreSQL for tests: a cluster of its own in a temporary folder, from the system's package.
//!
//! All test processes of one build folder share a cluster, each test gets a database of its own.
//! Who uses the cluster holds a shared lock on a file; a watching shell waits for an exclusive one,
//! so the cluster is stopped and removed soon after the last test, also if that was killed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{Connection, Executor, PgConnection};

const USER: &str = "triggerd";

/// A running cluster.
pub struct Cluster {
    folder: PathBuf,
    /// Stopped and removed when dropped; the shared one is left to the watcher.
    owned: bool,
}

impl Cluster {
    /// The cluster that all tests share.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<(Cluster, File)> = OnceLock::new();
        &SHARED.get_or_init(join_shared).0
    }

    /// A cluster for one test that stops or restarts it.
    pub fn own() -> Cluster {
        Cluster::start(true)
    }

    fn start(owned: bool) -> Cluster {
        let folder = tempfile::Builder::new()
            .prefix("triggerd-postgres-")
            .tempdir()
            .expect("a temporary folder")
            .keep();
        if let Some((user, group)) = unprivileged() {
            std::os::unix::fs::chown(&folder, Some(user), Some(group)).expect("chown the folder");
        }
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).expect("chmod");
        let cluster = Cluster { folder, owned };
        let data = cluster.data();
        check(tool("initdb").arg("-D").arg(&data).args([
            "-U",
            USER,
            "-A",
            "trust",
            "--no-sync",
            "--no-locale",
            "-E",
            "UTF8",
        ]));
        cluster.resume();
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts the server and waits until it answers.
    pub fn resume(&self) {
        let options = format!(
            "-k {} -c listen_addresses='' -c fsync=off -c max_connections=300 -c shared_buffers=32MB",
            self.folder.display()
        );
        check(
            tool("pg_ctl")
                .arg("-D")
                .arg(self.data())
                .arg("-l")
                .arg(self.folder.join("log"))
                .args(["-w", "-o", &options, "start"]),
        );
    }

    /// Stops the server at once, cutting all connections.
    pub fn stop(&self) {
        check(
            tool("pg_ctl")
                .arg("-D")
                .arg(self.data())
                .args(["-w", "-m", "immediate", "stop"]),
        );
    }

    /// Makes a database and returns its address.
    pub async fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "t{}_{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut connection = PgConnection::connect(&self.url("postgres"))
            .await
            .expect("connect to the cluster");
        connection
            .execute(sqlx::AssertSqlSafe(format!("create database {name}")))
            .await
            .expect("create a database");
        connection.close().await.expect("disconnect");
        self.url(&name)
    }

    fn url(&self, database: &str) -> String {
        let socket = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@localhost/{database}?host={socket}")
    }

    fn answers(&self) -> bool {
        tool("pg_isready")
            .arg("-h")
            .arg(&self.folder)
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.owned {
            let stopped = tool("pg_ctl")
                .arg("-D")
                .arg(self.data())
                .args(["-w", "-m", "immediate", "stop"])
                .output();
            // A test may have stopped it already.
            drop(stopped);
            std::fs::remove_dir_all(&self.folder).expect("remove the cluster");
        }
    }
}

/// Joins the shared cluster or starts it, and holds on to it until this process ends.
fn join_shared() -> (Cluster, File) {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (ready, lock_path) = (tmp.join("postgres.folder"), tmp.join("postgres.lock"));
    let users_path = tmp.join("postgres.users");
    let lock = open(&lock_path);
    lock.lock().expect("lock");
    let running = std::fs::read_to_string(&ready)
        .map(|folder| Cluster {
            folder: folder.into(),
            owned: false,
        })
        .ok()
        .filter(Cluster::answers);
    let cluster = running.unwrap_or_else(|| {
        let cluster = Cluster::start(false);
        let mut file = File::create(&ready).expect("note the folder");
        write!(file, "{}", cluster.folder.display()).expect("note the folder");
        watch(&cluster, &ready, &lock_path, &users_path);
        cluster
    });
    let users = open(&users_path);
    users.lock_shared().expect("lock");
    lock.unlock().expect("unlock");
    (cluster, users)
}

fn open(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .expect("open a lock file")
}

/// Starts the shell that removes the cluster once nobody uses it. It takes the same locks in the same
/// order as [`join_shared`], so nobody joins what is being removed.
fn watch(cluster: &Cluster, ready: &Path, lock: &Path, users: &Path) {
    const SCRIPT: &str = r#"
        remove='kill -QUIT "$(head -n 1 "$FOLDER/data/postmaster.pid")"; rm -rf "$FOLDER" "$READY"'
        while :; do
            sleep 3
            flock -x "$USERS" true
            flock -x "$LOCK" flock -n -x "$USERS" sh -c "$remove" && exit
        done &"#;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", SCRIPT])
        .env("FOLDER", &cluster.folder)
        .env("READY", ready)
        .env("LOCK", lock)
        .env("USERS", users)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = shell.status().expect("start the watcher");
    assert!(status.success(), "the watcher did not start");
}

/// A program of the package, run as a user that is not root, which PostgreSQL refuses.
fn tool(name: &str) -> Command {
    let mut command = Command::new(binary(name));
    command.current_dir("/").stdin(Stdio::null());
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}

fn binary(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| {
        panic!(
            "these tests need PostgreSQL's server programs, and /usr/lib/postgresql/*/bin/{name} \
             is not there: install the package `postgresql` (it need not run)"
        )
    })
}

/// The user and group to run as when we are root.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let find = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(
        find("postgres:")
            .or_else(|| find("nobody:"))
            .expect("a user `postgres` or `nobody` to run PostgreSQL as"),
    )
}

fn check(command: &mut Command) {
    // Not piped: the server inherits its output and would hold the pipe open.
    let log = tempfile::NamedTempFile::new().expect("a log file");
    let output = log.reopen().expect("the log file");
    let status = command
        .stdout(output.try_clone().expect("the log file"))
        .stderr(output)
        .status()
        .expect("run a PostgreSQL program");
    assert!(
        status.success(),
        "{command:?} failed: {}",
        std::fs::read_to_string(log.path()).unwrap_or_default()
    );
}
