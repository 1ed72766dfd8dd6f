//! `triggerd provider list | enable | disable`.

use serde_json::Value;

use super::arguments::{ProviderArgs, ProviderCommand};
use super::connection::Connection;
use super::failure::CliError;
use super::output::{faint, items, print_json, print_line, text};
use super::table::{Cell, Table};

/// Lists providers or switches one.
pub async fn run(args: ProviderArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let json = args.client.json;
    let (name, action) = match &args.command {
        ProviderCommand::Enable { name } => (name, "enable"),
        ProviderCommand::Disable { name } => (name, "disable"),
        _ => return list(&connection, json).await,
    };
    let path = ["api", "v1", "providers", name, action];
    let row = connection.client.post(&path, &[], None).await?;
    if json {
        print_json(&row);
    } else {
        print_line(format_args!("{name} is {}", text(&row, "state")));
    }
    Ok(())
}

async fn list(connection: &Connection, json: bool) -> Result<(), CliError> {
    let found = connection
        .client
        .get(&["api", "v1", "providers"], &[])
        .await?;
    if json {
        print_json(&found);
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "STATE", "VERSION", "LIBRARY", "EVENTS", "MESSAGE"]);
    for row in items(&found) {
        let events = row["events"].as_array().map_or(0, Vec::len);
        let state = text(row, "state");
        let serves = state != "loaded" && row["serving"] == true;
        table.row(vec![
            Cell::plain(text(row, "name")),
            Cell::state(state),
            Cell::plain(text(row, "version")),
            Cell::plain(text(row, "library")),
            Cell::plain(events.to_string()),
            Cell::whole(&message(row, serves)),
        ]);
    }
    if table.is_empty() {
        print_line(faint("no providers"));
    } else {
        table.print();
    }
    for row in items(&found) {
        for warning in row["warnings"].as_array().into_iter().flatten() {
            let warning = super::table::unsteered(warning.as_str().unwrap_or_default());
            print_line(faint(&format!("{}: {warning}", text(row, "name"))));
        }
    }
    Ok(())
}

fn message(row: &Value, serves: bool) -> String {
    let message = text(row, "message");
    if serves {
        format!("{message} (an earlier load serves)")
    } else {
        message.to_owned()
    }
}
