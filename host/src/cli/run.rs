//! Runs a client command and tells how it ended.

use std::process::ExitCode;

use super::args::{ClientCommand, ProviderCommand};
use super::error::CliError;
use super::{apply, events, inspect, instance, jobs, objects, providers, requests, send};
use crate::config::SETTINGS_TEXT;

/// Runs the command; what went wrong is on standard error.
pub async fn run(command: ClientCommand) -> ExitCode {
    match dispatch(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.text());
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: ClientCommand) -> Result<(), CliError> {
    match command {
        ClientCommand::Apply(args) => apply::run(args).await,
        ClientCommand::Send(args) => send::run(args).await,
        ClientCommand::Jobs(args) => jobs::run(args).await,
        ClientCommand::Events(args) => events::run(args).await,
        ClientCommand::Requests(args) => requests::run(args).await,
        ClientCommand::Subscriptions(args) => objects::list_subscriptions(args).await,
        ClientCommand::Runnables(args) => objects::list_runnables(args).await,
        ClientCommand::Triggers(args) => objects::list_triggers(args).await,
        ClientCommand::Provider(args) => match &args.command {
            ProviderCommand::Inspect { file } => inspect::run(file, args.client.json),
            _ => providers::run(args).await,
        },
        ClientCommand::Token(args) => instance::run_token(args).await,
        ClientCommand::Workspace(args) => instance::run_workspace(args).await,
        ClientCommand::Key(args) => instance::run_key(args).await,
        ClientCommand::Config => {
            print!("{SETTINGS_TEXT}");
            Ok(())
        }
    }
}
