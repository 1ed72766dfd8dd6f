//! Runs one command.

use super::arguments::{ClientCommand, Command, ProviderCommand};
use super::failure::{CliError, Failure};
use super::output::print_text;
use super::{
    accounts, apply, check, connect, events, inspect, instance, jobs, objects, providers, requests,
    schedules, send, subscriptions,
};
use crate::config::SETTINGS_TEXT;

/// Runs any command but `serve` and the probe; prints its answer on standard output.
pub async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(flags) => check::run(&flags).map_err(Failure::from),
        Command::Client(command) => dispatch(command).await.map_err(Failure::from),
        Command::Serve(_) | Command::ProbeLibrary { .. } => {
            let message = "this command is started by the program itself".to_owned();
            Err(Failure { message })
        }
    }
}

async fn dispatch(command: ClientCommand) -> Result<(), CliError> {
    match command {
        ClientCommand::Apply(args) => apply::run(args).await,
        ClientCommand::Connect(args) => connect::run(args).await,
        ClientCommand::Credentials(args) => accounts::run_credentials(args).await,
        ClientCommand::Integrations(args) => accounts::run_integrations(args).await,
        ClientCommand::Send(args) => send::run(args).await,
        ClientCommand::Jobs(args) => jobs::run(args).await,
        ClientCommand::Events(args) => events::run(args).await,
        ClientCommand::Requests(args) => requests::run(args).await,
        ClientCommand::Subscriptions(args) => subscriptions::run(args).await,
        ClientCommand::Runnables(args) => objects::list_runnables(args).await,
        ClientCommand::Triggers(args) => objects::list_triggers(args).await,
        ClientCommand::Schedules(args) => schedules::run(args).await,
        ClientCommand::Provider(args) => match &args.command {
            ProviderCommand::Inspect { file } => inspect::run(file, args.client.json),
            _ => providers::run(args).await,
        },
        ClientCommand::Token(args) => instance::run_token(args).await,
        ClientCommand::Workspace(args) => instance::run_workspace(args).await,
        ClientCommand::Key(args) => instance::run_key(args).await,
        ClientCommand::Config => {
            print_text(SETTINGS_TEXT);
            Ok(())
        }
    }
}
