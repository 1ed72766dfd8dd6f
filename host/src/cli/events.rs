//! `triggerd events`.

use super::arguments::{EventsArgs, ShowCommand};
use super::connection::Connection;
use super::failure::CliError;
use super::jobs::given;
use super::output::{
    faint, items, local_time, print_block, print_facts, print_json, print_line, print_next, text,
};
use super::table::{Cell, Table};

/// Lists events, or shows one with its payload.
pub async fn run(args: EventsArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    if let Some(ShowCommand::Show { id }) = &args.command {
        return show(&connection, id, args.client.json).await;
    }
    let query = given(vec![
        ("subscription", args.subscription),
        ("state", args.state),
        ("limit", args.page.limit.map(|limit| limit.to_string())),
        ("cursor", args.page.cursor),
    ]);
    let found = connection
        .client
        .get(&connection.path(&["events"]), &query)
        .await?;
    if args.client.json {
        print_json(&found);
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID",
        "STATE",
        "EVENT",
        "SUBSCRIPTION",
        "FIRED",
        "RECEIVED",
        "REASON",
    ]);
    for event in items(&found) {
        table.row(vec![
            Cell::plain(text(event, "id")),
            Cell::state(text(event, "state")),
            Cell::plain(text(event, "name")),
            Cell::plain(text(event, "subscription")),
            Cell::plain(event["matched"].to_string()),
            Cell::plain(local_time(event, "received_at")),
            Cell::plain(text(event, "reason")),
        ]);
    }
    if table.is_empty() {
        print_line(faint("no events"));
        return Ok(());
    }
    table.print();
    print_next(&found);
    Ok(())
}

async fn show(connection: &Connection, id: &str, json: bool) -> Result<(), CliError> {
    let event = connection
        .client
        .get(&connection.path(&["events", id]), &[])
        .await?;
    if json {
        print_json(&event);
        return Ok(());
    }
    print_facts(&[
        ("event", text(&event, "id").to_owned()),
        ("name", text(&event, "name").to_owned()),
        ("provider", text(&event, "provider").to_owned()),
        ("subscription", text(&event, "subscription").to_owned()),
        ("request", text(&event, "request_id").to_owned()),
        ("state", text(&event, "state").to_owned()),
        ("fired", event["matched"].to_string()),
        ("reason", text(&event, "reason").to_owned()),
        ("occurred", local_time(&event, "occurred_at")),
        ("received", local_time(&event, "received_at")),
        ("handled", local_time(&event, "handled_at")),
    ]);
    print_block("payload", &event["payload"]);
    Ok(())
}
