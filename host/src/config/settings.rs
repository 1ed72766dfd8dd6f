//! Every setting with its type and its default, and the groups they stand in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::bounds::{Bound, Filter};
use super::network::Network;
use super::raw::Raw;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const DAY: Duration = Duration::from_hours(24);

/// Defines one group: its fields, their defaults, what else they may be, and how one is set by its
/// name in the file.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr $(, $allowed:expr)?;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* }
            }
        }

        impl $name {
            pub(super) const KEYS: &'static [&'static str] = &[$(stringify!($field),)*];

            /// `None`: no such key. `Some(Err)`: what was expected instead.
            pub(super) fn set(&mut self, key: &str, raw: Raw<'_>) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($field) => Some(raw.read::<$type>().and_then(|value| {
                        $(if let Some(expected) = $allowed.refuse(&value) {
                            return Err(expected);
                        })?
                        self.$field = value;
                        Ok(())
                    })),)*
                    _ => None,
                }
            }
        }
    };
}

group! {
    /// What stands at the top of the file, without a group.
    Server {
        /// The address to serve on.
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
        /// What services reach us by; endpoint addresses start with it. None: `http://` and `listen`.
        public_url: Option<Url> = None;
        /// Database, keys, plugin cache, admin token.
        data: PathBuf = PathBuf::from("/var/lib/triggerd");
        /// `postgres://…`; none: SQLite in the data directory.
        database: Option<DatabaseUrl> = None;
        /// How many connections to the database at most.
        database_connections: u32 = 10, (1..);
        /// Where provider libraries are dropped. None: `plugins` in the data directory.
        plugins: Option<PathBuf> = None;
        /// Where manifests stand. None: `manifests` in the data directory.
        manifests: Option<PathBuf> = None;
        /// Enables a discovered provider without being told to.
        auto_enable: bool = false;
        /// How long running jobs may take to end after SIGTERM.
        drain: Duration = Duration::from_secs(25);
    }
}

group! {
    /// What is logged, and how.
    Log {
        /// A filter as of `tracing`: `info`, `warn,triggerd=debug`.
        filter: String = "info".to_owned(), Filter;
        format: LogFormat = LogFormat::Text;
    }
}

group! {
    /// How much is taken in.
    Limits {
        /// The largest webhook body, in bytes; a manifest can set another for its provider.
        body_max: u64 = 25 * MIB, (KIB..);
        /// The largest body of an API call, in bytes.
        api_body_max: u64 = 4 * MIB, (KIB..);
        /// How long a client may take to send its request.
        read_timeout: Duration = Duration::from_secs(30), (Duration::from_millis(100)..);
        /// Webhook requests in work at once; more are answered 503.
        webhooks_in_flight: u32 = 1024, (1..);
        /// API requests in work at once; more are answered 503.
        api_in_flight: u32 = 256, (1..);
        /// Connections of one peer at once; more are closed. 0: any number.
        connections_per_peer: u32 = 256;
        /// Who may hold more: reverse proxies, and who is on this machine.
        proxies: Vec<Network> = loopback();
    }
}

group! {
    /// How runnables are called over HTTP.
    Webhooks {
        /// A synchronous call waits at most this long for the job's end.
        wait_max: Duration = Duration::from_secs(60);
        /// Headers that every call hands over as arguments.
        include_headers: Vec<String> = Vec::new();
        /// What uploaded files may take together, in bytes; more are answered 503.
        uploads_max: u64 = 1024 * MIB;
    }
}

group! {
    /// How runnables are run.
    Runnables {
        /// A command's program must lie under one of these, links resolved. None: no commands.
        command_dirs: Vec<PathBuf> = Vec::new();
        /// Attempts at once, over all runnables.
        running_max: u32 = 64, (1..);
        /// How long a host that fell silent keeps its running jobs. It says that it lives three times
        /// in it; who holds one for longer than the most is taken for a clock that ran ahead.
        lease: Duration = Duration::from_secs(30), (Duration::from_secs(3)..=Duration::from_mins(10));
    }
}

group! {
    /// How what leaves this host gets out.
    Egress {
        /// The proxy for runnables and providers. The environment's proxy variables are not read.
        proxy: Option<Url> = None;
    }
}

group! {
    /// For how long what happened is kept. `0` keeps it for ever.
    Retention {
        requests: Duration = DAY * 14;
        events: Duration = DAY * 14;
        jobs: Duration = DAY * 30;
        audit: Duration = DAY * 365;
        /// Rows removed at a time, so that removal never holds others up.
        step: u32 = 500, (1..=100_000);
        /// How often old rows are looked for.
        every: Duration = Duration::from_secs(60), (Duration::from_secs(1)..);
    }
}

fn loopback() -> Vec<Network> {
    ["127.0.0.0/8", "::1/128"]
        .iter()
        .filter_map(|network| network.parse().ok())
        .collect()
}

/// Every setting.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Config {
    pub server: Server,
    pub log: Log,
    pub limits: Limits,
    pub webhooks: Webhooks,
    pub runnables: Runnables,
    pub egress: Egress,
    pub retention: Retention,
    /// What was odd about the layers but no reason to refuse them; logged at the start.
    pub warnings: Vec<String>,
}

pub(super) const GROUPS: [(&str, &[&str]); 6] = [
    ("log", Log::KEYS),
    ("limits", Limits::KEYS),
    ("webhooks", Webhooks::KEYS),
    ("runnables", Runnables::KEYS),
    ("egress", Egress::KEYS),
    ("retention", Retention::KEYS),
];

impl Config {
    /// Sets one value by its dotted key. `None`: no such key. `Some(Err)`: what was expected.
    pub(super) fn set(&mut self, key: &str, raw: Raw<'_>) -> Option<Result<(), String>> {
        match key.split_once('.') {
            None => self.server.set(key, raw),
            Some(("log", key)) => self.log.set(key, raw),
            Some(("limits", key)) => self.limits.set(key, raw),
            Some(("webhooks", key)) => self.webhooks.set(key, raw),
            Some(("runnables", key)) => self.runnables.set(key, raw),
            Some(("egress", key)) => self.egress.set(key, raw),
            Some(("retention", key)) => self.retention.set(key, raw),
            Some(_) => None,
        }
    }

    /// Every dotted key, in the order of the file.
    pub(super) fn keys() -> Vec<String> {
        let top = Server::KEYS.iter().map(|key| (*key).to_owned());
        let grouped = GROUPS
            .iter()
            .flat_map(|(group, keys)| keys.iter().map(move |key| format!("{group}.{key}")));
        top.chain(grouped).collect()
    }

    /// The database to open.
    pub fn database_url(&self) -> DatabaseUrl {
        self.server.database.clone().unwrap_or_else(|| {
            let file = self.server.data.join("triggerd.db");
            DatabaseUrl::new(format!("sqlite://{}", file.display()))
        })
    }

    /// Where provider libraries are dropped.
    pub fn plugins_dir(&self) -> PathBuf {
        self.in_data(self.server.plugins.as_ref(), "plugins")
    }

    /// Where manifests stand.
    pub fn manifests_dir(&self) -> PathBuf {
        self.in_data(self.server.manifests.as_ref(), "manifests")
    }

    /// The file that the first admin token is written to.
    pub fn admin_token_file(&self) -> PathBuf {
        self.server.data.join("admin.token")
    }

    /// What endpoint addresses start with, without a slash at the end. `bound` is the address that
    /// is really served on (the port may have been 0).
    pub fn public_base(&self, bound: SocketAddr) -> String {
        match &self.server.public_url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{}", reachable(bound)),
        }
    }

    fn in_data(&self, chosen: Option<&PathBuf>, name: &str) -> PathBuf {
        chosen
            .cloned()
            .unwrap_or_else(|| self.server.data.join(name))
    }
}

/// An address that a client on this machine can dial: `0.0.0.0` cannot be dialled everywhere.
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port())
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), bound.port())
        }
        _ => bound,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The address of a database; it may hold a password, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub(super) fn new(url: String) -> DatabaseUrl {
        DatabaseUrl(url)
    }

    /// The address with its password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.split(':').next().unwrap_or_default();
        write!(f, "{scheme}:[secret]")
    }
}
