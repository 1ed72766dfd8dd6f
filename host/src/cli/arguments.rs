//! Every command and its flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::schedules::SchedulesArgs;
use super::serve::Serve;

/// A self-hosted trigger host: what happens at outside services becomes work done.
#[derive(Debug, Parser)]
#[command(name = "triggerd", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
pub enum Command {
    /// Starts the server.
    Serve(Serve),
    /// Checks settings, manifests, provider libraries, declarations and documents without starting
    /// anything.
    Check(CheckArgs),
    /// Loads one library and ends: the server tries each library in a process of its own first.
    #[command(name = crate::plugins::probe::PROBE_COMMAND, hide = true)]
    ProbeLibrary { library: PathBuf },
    #[command(flatten)]
    Client(ClientCommand),
}

#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Applies a document: creates, changes, leaves what it names.
    Apply(ApplyArgs),
    /// Connects an account at an outside service: prints an address to open, waits for the end.
    Connect(ConnectArgs),
    /// Shows credentials, checks and deletes them.
    Credentials(CredentialsArgs),
    /// Shows integrations and deletes them.
    Integrations(IntegrationsArgs),
    /// Sends genuine sample requests, signed with the subscription's secret, to its endpoint.
    Send(SendArgs),
    /// Shows jobs, runs them again, cancels them.
    Jobs(JobsArgs),
    /// Shows events.
    Events(EventsArgs),
    /// Shows what arrived at endpoints.
    Requests(RequestsArgs),
    /// Shows subscriptions, pauses, checks and deletes them, and finds what is forgotten at services.
    Subscriptions(SubscriptionsArgs),
    /// Shows runnables.
    Runnables(ListArgs),
    /// Shows triggers.
    Triggers(ListArgs),
    /// Shows schedules and when they run next, pauses and deletes them.
    Schedules(SchedulesArgs),
    /// Shows routes: addresses of a workspace's own.
    Routes(ListArgs),
    /// Shows providers, enables and disables them.
    Provider(ProviderArgs),
    /// Makes, shows and revokes API tokens.
    Token(TokenArgs),
    /// Makes and shows workspaces.
    Workspace(WorkspaceArgs),
    /// Handles the keys that seal secrets.
    Key(KeyArgs),
    /// Prints the settings file with every setting, its default and what it does.
    Config,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Documents for `triggerd apply`, looked at without a server: their words and expressions.
    #[arg(value_name = "DOCUMENT")]
    pub documents: Vec<PathBuf>,
    #[command(flatten)]
    pub settings: Serve,
    /// Prints one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Which server, as whom, and how to print.
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// The server's address, else TRIGGERD_URL, else the server whose server.json lies in ./run or
    /// in /var/lib/triggerd.
    // The variables are read when they are needed: clap takes an argument that a variable gives for
    // one that must be given, and says so to who mistyped something else.
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub url: Option<String>,
    /// An API token, else TRIGGERD_TOKEN, else the first admin token of a server found by its file.
    #[arg(long, global = true, value_name = "TOKEN", help_heading = "Server")]
    pub token: Option<String>,
    /// The data directory of a server on this machine, to find it by.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Server")]
    pub data: Option<PathBuf>,
    /// The workspace, else TRIGGERD_WORKSPACE, else `default`.
    #[arg(
        long,
        short,
        global = true,
        value_name = "NAME",
        help_heading = "Server"
    )]
    pub workspace: Option<String>,
    /// Prints one JSON document.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The document; `-` reads it from standard input.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Deletes what the document does not name; integrations and credentials only if it has a list of them.
    #[arg(long)]
    pub prune: bool,
    /// Changes nothing; shows what would be changed.
    #[arg(long)]
    pub dry_run: bool,
    /// Does not wait the few seconds until services have answered.
    #[arg(long)]
    pub no_wait: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// The provider's name.
    pub provider: String,
    /// The integration to connect by; `shared` is the instance's. Needed if there are several.
    #[arg(long, value_name = "NAME")]
    pub integration: Option<String>,
    /// The credential's name; one that is there is connected anew [default: the provider's name].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct CredentialsArgs {
    #[command(subcommand)]
    pub command: Option<CredentialsCommand>,
    #[command(flatten)]
    pub page: PageArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum CredentialsCommand {
    /// Shows one with what depends on it.
    Show { name: String },
    /// Asks the service whose it is, and whether it is still good.
    Check { name: String },
    /// Deletes one and gives its tokens back.
    Delete {
        name: String,
        /// Also if subscriptions depend on it, which are degraded then.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub struct IntegrationsArgs {
    #[command(subcommand)]
    pub command: Option<IntegrationsCommand>,
    #[command(flatten)]
    pub page: PageArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum IntegrationsCommand {
    /// Shows one.
    Show { name: String },
    /// Deletes one.
    Delete {
        name: String,
        /// With the credentials that came from it.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub struct SendArgs {
    /// The provider's name.
    pub provider: String,
    /// The event's name.
    pub event: String,
    /// The subscription to send to.
    #[arg(long, value_name = "SUBSCRIPTION")]
    pub to: String,
    /// How many requests.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// How many at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub concurrency: u32,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct JobsArgs {
    #[command(subcommand)]
    pub command: Option<JobsCommand>,
    #[command(flatten)]
    pub list: JobListArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Lists jobs, newest first.
    List(JobListArgs),
    /// Shows one job with its attempts.
    Show { id: String },
    /// Runs a job again, as a new job.
    Replay { id: String },
    /// Cancels a job that has not ended.
    Cancel { id: String },
}

#[derive(Debug, Clone, Default, Args)]
pub struct JobListArgs {
    /// ready, running, waiting (a flow whose steps run), done, dead or cancelled.
    #[arg(long)]
    pub state: Option<String>,
    /// The id of a flow's job: its steps.
    #[arg(long)]
    pub flow: Option<String>,
    /// The path of a runnable.
    #[arg(long)]
    pub runnable: Option<String>,
    /// The name of a trigger.
    #[arg(long)]
    pub trigger: Option<String>,
    /// The id of an event.
    #[arg(long)]
    pub event: Option<String>,
    #[command(flatten)]
    pub page: PageArgs,
}

#[derive(Debug, Clone, Default, Args)]
pub struct PageArgs {
    /// How many at most.
    #[arg(long)]
    pub limit: Option<u32>,
    /// The `next` of the page before.
    #[arg(long)]
    pub cursor: Option<String>,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    pub command: Option<ShowCommand>,
    #[command(flatten)]
    pub page: PageArgs,
    /// The name of a subscription.
    #[arg(long)]
    pub subscription: Option<String>,
    /// pending, handled or failed.
    #[arg(long)]
    pub state: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct RequestsArgs {
    #[command(subcommand)]
    pub command: Option<ShowCommand>,
    #[command(flatten)]
    pub page: PageArgs,
    /// The name of a subscription.
    #[arg(long)]
    pub subscription: Option<String>,
    /// accepted, duplicate, refused or answered.
    #[arg(long)]
    pub outcome: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum ShowCommand {
    /// Shows one with everything that was kept of it.
    Show { id: String },
}

#[derive(Debug, Args)]
pub struct SubscriptionsArgs {
    #[command(subcommand)]
    pub command: Option<SubscriptionsCommand>,
    #[command(flatten)]
    pub page: PageArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum SubscriptionsCommand {
    /// Shows one: how it is, since when and why, and what is done next.
    Show { name: String },
    /// Runs nothing for it any more; its service is answered all the same.
    Pause { name: String },
    /// Goes on with it, and catches up.
    Resume { name: String },
    /// Asks its service to send something harmless.
    Test { name: String },
    /// Compares it with what its service holds.
    Check { name: String },
    /// Does everything now that keeps it alive; tries again what failed.
    Sync { name: String },
    /// Ends it at its service, and deletes it.
    Delete {
        name: String,
        /// Deletes it here alone, whatever its service says.
        #[arg(long)]
        force: bool,
    },
    /// Shows the values that a parameter may have, as its service tells them.
    Options(OptionsArgs),
    /// Finds what a service holds that sends here and belongs to no subscription.
    Orphans(OrphansArgs),
}

#[derive(Debug, Args)]
pub struct OptionsArgs {
    /// The name of a subscription; with --provider, there is none yet.
    #[arg(required_unless_present = "provider", conflicts_with = "provider")]
    pub name: Option<String>,
    /// The parameter.
    #[arg(long)]
    pub parameter: String,
    /// What it should contain.
    #[arg(long, default_value = "")]
    pub search: String,
    /// The `next` of the page before.
    #[arg(long)]
    pub cursor: Option<String>,
    /// Of this provider.
    #[arg(long)]
    pub provider: Option<String>,
    /// As this credential.
    #[arg(long, requires = "provider")]
    pub credential: Option<String>,
    /// Another parameter that is chosen already: NAME=VALUE, repeatable.
    #[arg(long = "with", value_name = "NAME=VALUE", requires = "provider")]
    pub with: Vec<String>,
}

#[derive(Debug, Args)]
pub struct OrphansArgs {
    /// The provider.
    pub provider: String,
    /// As this credential.
    #[arg(long)]
    pub credential: Option<String>,
    /// Where to look: NAME=VALUE, repeatable. Without it: wherever subscriptions are.
    #[arg(long = "with", value_name = "NAME=VALUE")]
    pub with: Vec<String>,
    /// Ends them.
    #[arg(long)]
    pub delete: bool,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub page: PageArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct ProviderArgs {
    #[command(subcommand)]
    pub command: ProviderCommand,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum ProviderCommand {
    /// Lists every provider: loaded, refused, disabled, discovered.
    List,
    /// Shows what a library says of itself, without running anything of it and without a server.
    Inspect { file: PathBuf },
    /// Enables a provider, pinned to its library as it is now.
    Enable { name: String },
    /// Disables a provider.
    Disable { name: String },
}

#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    pub command: TokenCommand,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Makes a token and prints it, this once. With `--workspace` it is good there only.
    Create {
        /// What it is for.
        #[arg(required_unless_present = "runs")]
        name: Option<String>,
        /// admin, read, apply, run or send; repeatable.
        #[arg(long = "scope", required_unless_present = "runs")]
        scopes: Vec<String>,
        /// The one runnable that it runs, by its path, instead of scopes: f/ops/deploy.
        #[arg(long = "for", value_name = "PATH", conflicts_with = "scopes")]
        runs: Option<String>,
        /// With --for: refuses what is no flow. Without it the token is for what stands at the path.
        #[arg(long, requires = "runs")]
        flow: bool,
        /// After how long it expires: 90d.
        #[arg(long)]
        expires_in: Option<String>,
    },
    /// Lists tokens.
    List,
    /// Revokes a token, at once.
    Revoke { id: String },
}

#[derive(Debug, Args)]
pub struct WorkspaceArgs {
    #[command(subcommand)]
    pub command: WorkspaceCommand,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum WorkspaceCommand {
    /// Lists workspaces.
    List,
    /// Makes a workspace.
    Create { name: String },
    /// Names who is told, signed, of every change in the workspace; shows it, or ends it.
    Webhook(WebhookArgs),
}

#[derive(Debug, Args)]
pub struct WebhookArgs {
    #[command(subcommand)]
    pub command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Shows who is told, and whether it takes what it is told.
    Show,
    /// Names who is told. A secret that is made here is printed, this once.
    Set {
        /// http or https.
        #[arg(value_name = "URL")]
        target: String,
        /// What notices are signed with: `${NAME}` or `file:PATH` of a `whsec_…`.
        #[arg(long, value_name = "REFERENCE")]
        secret: Option<String>,
        /// A range of addresses to open: 10.0.0.0/8; repeatable.
        #[arg(long, value_name = "CIDR")]
        allow: Vec<String>,
    },
    /// Tells nobody any more.
    Remove,
}

#[derive(Debug, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Makes a new key, seals every secret with it and retires the others, while the server runs.
    Rotate,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn commands_read_as_they_are_documented() {
        for line in [
            "serve --listen 127.0.0.1:8080 --data d --plugins p --manifests m --command-dir a --command-dir b --config c",
            "apply -f examples/quickstart/triggers.yaml --prune --dry-run --json",
            "apply -f - --url http://127.0.0.1:1 --token tdt_x",
            "send acme push --to my-repo --count 2000 --concurrency 16",
            "connect acme --integration cloud --name ci --json",
            "credentials --limit 5",
            "credentials show ci --json",
            "credentials check ci",
            "credentials delete ci --force",
            "integrations",
            "integrations delete cloud",
            "jobs --state dead --limit 5",
            "jobs list --runnable f/demo/record --json",
            "jobs show job_1 --json",
            "jobs replay job_1",
            "jobs cancel job_1 --workspace other",
            "events show evt_1",
            "requests --outcome refused",
            "subscriptions",
            "subscriptions --limit 5 --json",
            "subscriptions show a",
            "schedules --limit 5",
            "schedules show nightly --json",
            "schedules pause nightly",
            "subscriptions pause a",
            "subscriptions delete a --force",
            "subscriptions options a --parameter repository --search x",
            "subscriptions options --provider acme --credential ci --parameter repository --with owner=o",
            "subscriptions orphans acme --credential ci --delete",
            "routes --limit 5",
            "provider inspect lib.so",
            "provider enable acme",
            "token create ci --scope apply --scope read --expires-in 90d",
            "token create --for f/ops/deploy --expires-in 90d",
            "workspace create other",
            "workspace webhook set https://example.org/h --secret file:s --allow 10.0.0.0/8",
            "workspace webhook show --json",
            "key rotate",
            "check --plugins p --json",
            "config",
        ] {
            let words = std::iter::once("triggerd").chain(line.split(' '));
            Arguments::try_parse_from(words).expect(line);
        }
    }
}
