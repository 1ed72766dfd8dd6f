//! Runs one client command.

use serde_json::Value;

use super::arguments::Command;
use super::{admin, apply, check, provider, send, show};
use crate::config::SETTINGS_TEXT;

/// Why a command did not do what it says; printed on standard error.
#[derive(Debug)]
pub struct Failure {
    /// The whole text.
    pub message: String,
    /// What the API answered, if it did: a problem (RFC 9457).
    pub problem: Option<Value>,
}

impl Failure {
    /// With these words.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            problem: None,
        }
    }

    /// An error and its causes.
    pub fn of(error: &dyn std::error::Error) -> Failure {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            message = format!("{message}: {inner}");
            cause = inner.source();
        }
        Failure::new(message)
    }

    /// What the API refused.
    pub fn refused(status: u16, problem: Value) -> Failure {
        let title = problem["title"].as_str().unwrap_or("the server refused it");
        let message = match problem["detail"].as_str() {
            Some(detail) => format!("{title} ({status}): {detail}"),
            None => format!("{title} ({status})"),
        };
        Failure {
            message,
            problem: Some(problem),
        }
    }
}

/// Runs any command but `serve` and the probe; prints its answer on standard output.
pub async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Apply(arguments) => apply::run(arguments).await,
        Command::Send(arguments) => send::run(arguments).await,
        Command::Jobs(arguments) => show::jobs(arguments).await,
        Command::Events(arguments) => show::list(&show::EVENTS, arguments).await,
        Command::Requests(arguments) => show::list(&show::REQUESTS, arguments).await,
        Command::Subscriptions(arguments) => show::list(&show::SUBSCRIPTIONS, arguments).await,
        Command::Runnables(arguments) => show::list(&show::RUNNABLES, arguments).await,
        Command::Triggers(arguments) => show::list(&show::TRIGGERS, arguments).await,
        Command::Provider(command) => provider::run(command).await,
        Command::Check(arguments) => check::run(&arguments),
        Command::Token(command) => admin::token(command).await,
        Command::Workspace(command) => admin::workspace(command).await,
        Command::Key(command) => admin::key(command).await,
        Command::Config => {
            print!("{SETTINGS_TEXT}");
            Ok(())
        }
        Command::Serve(_) | Command::ProbeLibrary { .. } => {
            Err(Failure::new("this command is not a client's"))
        }
    }
}
