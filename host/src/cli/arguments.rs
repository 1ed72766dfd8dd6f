//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Layers;

/// A self-hosted trigger host: what happens at outside services becomes work done.
#[derive(Debug, Parser)]
#[command(name = "triggerd", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Serve),
    /// Make what a document names: create, change, leave
    Apply(Apply),
    /// Send genuine samples of an event to a subscription, signed as the service would
    Send(Send),
    /// Jobs: what was run, what runs, what waits
    Jobs(Jobs),
    /// Events: what happened
    Events(Shown),
    /// Requests: what arrived at endpoints
    Requests(Shown),
    /// Subscriptions with their state and address
    Subscriptions(Shown),
    /// Runnables with their versions
    Runnables(Shown),
    /// Triggers
    Triggers(Shown),
    /// Providers: list, inspect, enable, disable
    #[command(subcommand)]
    Provider(Provider),
    /// Look at settings, manifests and libraries without running anything
    Check(Check),
    /// API tokens
    #[command(subcommand)]
    Token(Token),
    /// Workspaces
    #[command(subcommand)]
    Workspace(Workspace),
    /// The keys that seal secrets
    #[command(subcommand)]
    Key(Key),
    /// Print every setting with its default
    Config,
    /// Open a library in this process; the host's own child
    #[command(name = crate::plugins::probe::PROBE_COMMAND, hide = true)]
    ProbeLibrary {
        library: PathBuf,
    },
}

/// Where the server is, and who asks.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// The server's address; found by itself for a server on this machine
    #[arg(long, env = "TRIGGERD_URL", hide_env_values = true, global = true)]
    pub url: Option<String>,
    /// The API token; the first admin token of a server on this machine is found by itself
    #[arg(long, env = "TRIGGERD_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// The data folder of a server on this machine, to find it by
    #[arg(long, global = true)]
    pub data: Option<PathBuf>,
    /// The workspace
    #[arg(long, short, env = "TRIGGERD_WORKSPACE", default_value = "default", global = true)]
    pub workspace: String,
    /// Print one JSON document
    #[arg(long, global = true)]
    pub json: bool,
}

/// Flags of the server; each overrides its variable and the settings file.
#[derive(Debug, Args)]
pub struct Serve {
    /// The settings file (`triggerd config` prints one)
    #[arg(long, env = "TRIGGERD_CONFIG")]
    pub config: Option<PathBuf>,
    /// The address to serve on
    #[arg(long)]
    pub listen: Option<String>,
    /// Database, keys, plugin cache, first token
    #[arg(long)]
    pub data: Option<String>,
    /// Where provider libraries are dropped
    #[arg(long)]
    pub plugins: Option<String>,
    /// Where manifests stand
    #[arg(long)]
    pub manifests: Option<String>,
    /// A folder whose programs may be run; may be repeated
    #[arg(long = "command-dir")]
    pub command_dirs: Vec<String>,
}

impl Serve {
    /// The layers of settings with these flags on top.
    pub fn layers(&self) -> Layers {
        let single = [
            ("listen", &self.listen),
            ("data", &self.data),
            ("plugins", &self.plugins),
            ("manifests", &self.manifests),
        ];
        let mut flags: Vec<(&'static str, Vec<String>)> = single
            .into_iter()
            .filter_map(|(key, value)| Some((key, vec![value.clone()?])))
            .collect();
        if !self.command_dirs.is_empty() {
            flags.push(("runnables.command_dirs", self.command_dirs.clone()));
        }
        Layers {
            file: self.config.clone(),
            variables: std::env::vars().collect(),
            flags,
        }
    }
}

#[derive(Debug, Args)]
pub struct Apply {
    /// The document; `-` reads standard input
    #[arg(long, short)]
    pub file: PathBuf,
    /// Remove what the document does not name
    #[arg(long)]
    pub prune: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
pub struct Send {
    /// The provider
    pub provider: String,
    /// The event
    pub event: String,
    /// The subscription to send to
    #[arg(long)]
    pub to: String,
    /// How many
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// How many at once
    #[arg(long, default_value_t = 16)]
    pub concurrency: u32,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Jobs {
    #[command(subcommand)]
    pub command: Option<JobCommand>,
    /// Only those in this state
    #[arg(long)]
    pub state: Option<String>,
    /// Only those of this runnable
    #[arg(long)]
    pub runnable: Option<String>,
    /// Only those of this event
    #[arg(long)]
    pub event: Option<String>,
    /// How many, newest first
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// One job with its attempts
    Show { id: String },
    /// Run a job's work again, as a new job
    Replay { id: String },
    /// Give up a job that waits
    Cancel { id: String },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Shown {
    #[command(subcommand)]
    pub command: Option<ShowCommand>,
    /// How many, newest first
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    #[command(flatten)]
    pub connection: Connection,
}

#[derive(Debug, Subcommand)]
pub enum ShowCommand {
    /// One of them, whole
    Show { id: String },
}

#[derive(Debug, Subcommand)]
pub enum Provider {
    /// What is loaded, waiting or refused
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// What a library says of itself, without running it
    Inspect {
        file: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Write the provider's manifest, pinned to the library that lies there now
    Enable {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
    /// Let the provider go; its manifest keeps its settings
    Disable {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub serve: Serve,
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// A new token; it is shown once
    Create {
        name: String,
        /// What it may do: admin, read, apply, run, send
        #[arg(long, value_delimiter = ',', default_value = "read")]
        scopes: Vec<String>,
        /// For the whole instance instead of one workspace
        #[arg(long)]
        instance: bool,
        /// When it ends, as RFC 3339
        #[arg(long)]
        expires_at: Option<String>,
        #[command(flatten)]
        connection: Connection,
    },
    /// All tokens; what they are is not kept
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// End a token
    Revoke {
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// All workspaces
    List {
        #[command(flatten)]
        connection: Connection,
    },
    /// A new workspace
    Create {
        name: String,
        #[command(flatten)]
        connection: Connection,
    },
}

#[derive(Debug, Subcommand)]
pub enum Key {
    /// Add a key, seal every secret with it, retire the others
    Rotate {
        #[command(flatten)]
        connection: Connection,
    },
}
