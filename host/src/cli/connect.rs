//! `triggerd connect`: prints the address that a person opens, and waits for what comes of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::ConnectArgs;
use super::connection::Connection;
use super::failure::CliError;
use super::output::{faint, print_json, print_line, text};
use super::table::one_line;
use crate::outbound::api_client::ApiError;

/// So often a host is asked that does not answer, after such a pause.
const AWAY_MAX: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// Asks, prints, waits.
pub async fn run(args: ConnectArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let wish = json!({
        "provider": args.provider,
        "integration": args.integration,
        "name": args.name,
    });
    let path = connection.path(&["connect"]);
    let ticket = connection.client.post(&path, &[], Some(&wish)).await;
    let ticket = ticket.map_err(of_wish)?;
    let url = text(&ticket, "url");
    if args.client.json {
        // Standard output holds the one document at the end.
        eprintln!("{}", one_address(url));
    } else {
        print_line("open this address in a browser, within ten minutes:");
        print_line(one_address(url));
        print_line(faint(&format!(
            "(the service must know the redirect address {})",
            one_line(text(&ticket, "redirect_url"))
        )));
        print_line("waiting for you to come back…");
    }
    let ended = wait(&connection, text(&ticket, "ticket")).await?;
    let credential = &ended["credential"];
    match text(&ended, "phase") {
        "done" if args.client.json => print_json(credential),
        "done" => print_line(format_args!(
            "{} is connected{}: credential {}",
            one_line(text(credential, "provider")),
            whom(credential),
            one_line(text(credential, "name")),
        )),
        "expired" => {
            let message = "nobody came back within ten minutes: run it again";
            return Err(CliError::Said(message.to_owned()));
        }
        _ => {
            let reason = text(&ended, "reason");
            return Err(CliError::Said(format!("not connected: {reason}")));
        }
    }
    Ok(())
}

/// What is wrong with a flag, in the words of flags.
fn of_wish(error: ApiError) -> CliError {
    let ApiError::Problem { status: 422, body } = &error else {
        return error.into();
    };
    let mistakes = body["errors"].as_array().into_iter().flatten();
    let lines = mistakes.map(|mistake| {
        let message = text(mistake, "message");
        let allowed = mistake["allowed"].as_array().into_iter().flatten();
        let allowed: Vec<&str> = allowed.filter_map(Value::as_str).collect();
        if allowed.is_empty() {
            return message.to_owned();
        }
        let flag = text(mistake, "pointer").trim_start_matches('/');
        format!(
            "{message}\n  --{flag} {}",
            allowed.join(&format!("\n  --{flag} "))
        )
    });
    let lines: Vec<String> = lines.collect();
    match lines.is_empty() {
        true => error.into(),
        false => CliError::Said(lines.join("\n")),
    }
}

async fn wait(connection: &Connection, ticket: &str) -> Result<Value, CliError> {
    let path = connection.path(&["connect", ticket]);
    let mut away = 0;
    loop {
        let patience = [("wait", "20s".to_owned())];
        let found = match connection.client.get(&path, &patience).await {
            // A host that starts again, or whose store is away, goes on where it was.
            Err(error) if is_away(&error) && away < AWAY_MAX => {
                away += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            found => found?,
        };
        away = 0;
        if !matches!(text(&found, "phase"), "waiting" | "started" | "exchanging") {
            return Ok(found);
        }
    }
}

/// Whether it may answer in a while; also what a proxy says for a host that is not there.
fn is_away(error: &ApiError) -> bool {
    match error {
        ApiError::Unreachable { .. } => true,
        ApiError::Problem { status, .. } | ApiError::NotOurs { status, .. } => {
            matches!(status, 502..=504)
        }
        ApiError::Setup(_) => false,
    }
}

fn whom(credential: &Value) -> String {
    let account = &credential["account"];
    match account["name"].as_str().or_else(|| account["id"].as_str()) {
        Some(name) => format!(" as {}", one_line(name)),
        None => String::new(),
    }
}

/// Without anything that steers the terminal, and whole: it is to be copied.
fn one_address(url: &str) -> String {
    url.chars().filter(char::is_ascii_graphic).collect()
}
