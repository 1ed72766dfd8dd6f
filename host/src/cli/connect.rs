//! `triggerd connect`: prints the address that a person opens, and waits for what comes of it.

use serde_json::{Value, json};

use super::arguments::ConnectArgs;
use super::connection::Connection;
use super::failure::CliError;
use super::output::{faint, print_json, print_line, text};
use super::table::one_line;

/// Asks, prints, waits.
pub async fn run(args: ConnectArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let wish = json!({
        "provider": args.provider,
        "integration": args.integration,
        "name": args.name,
    });
    let path = connection.path(&["connect"]);
    let ticket = connection.client.post(&path, &[], Some(&wish)).await?;
    let url = text(&ticket, "url");
    if args.client.json {
        // Standard output holds the one document at the end.
        eprintln!("{}", one_address(url));
    } else {
        print_line("open this address in a browser, within ten minutes:");
        print_line(one_address(url));
        print_line(faint("waiting for the service to send you back…"));
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
            let reason = one_line(text(&ended, "reason"));
            return Err(CliError::Said(format!("not connected: {reason}")));
        }
    }
    Ok(())
}

async fn wait(connection: &Connection, ticket: &str) -> Result<Value, CliError> {
    let path = connection.path(&["connect", ticket]);
    loop {
        let patience = [("wait", "20s".to_owned())];
        let found = connection.client.get(&path, &patience).await?;
        if !matches!(text(&found, "phase"), "waiting" | "started" | "exchanging") {
            return Ok(found);
        }
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
