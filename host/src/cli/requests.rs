//! `triggerd requests`.

use serde_json::Value;

use super::arguments::{RequestsArgs, ShowCommand};
use super::connection::Connection;
use super::failure::CliError;
use super::jobs::given;
use super::output::{
    faint, items, local_time, print_block, print_facts, print_json, print_line, print_next, text,
};
use super::table::{Cell, Table};

/// Lists what arrived, or shows one request with its headers and body.
pub async fn run(args: RequestsArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    if let Some(ShowCommand::Show { id }) = &args.command {
        return show(&connection, id, args.client.json).await;
    }
    let query = given(vec![
        ("subscription", args.subscription),
        ("outcome", args.outcome),
        ("limit", args.page.limit.map(|limit| limit.to_string())),
        ("cursor", args.page.cursor),
    ]);
    let found = connection
        .client
        .get(&connection.path(&["requests"]), &query)
        .await?;
    if args.client.json {
        print_json(&found);
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID",
        "OUTCOME",
        "STATUS",
        "SUBSCRIPTION",
        "REQUEST",
        "EVENTS",
        "BYTES",
        "RECEIVED",
        "REASON",
    ]);
    for request in items(&found) {
        table.row(vec![
            Cell::plain(text(request, "id")),
            Cell::state(text(request, "outcome")),
            Cell::plain(request["status"].to_string()),
            Cell::plain(text(request, "subscription")),
            Cell::plain(line(request)),
            Cell::plain(request["events"].to_string()),
            Cell::plain(request["body_size"].to_string()),
            Cell::plain(local_time(request, "received_at")),
            Cell::plain(text(request, "reason")),
        ]);
    }
    if table.is_empty() {
        print_line(faint("no requests"));
        return Ok(());
    }
    table.print();
    print_next(&found);
    Ok(())
}

async fn show(connection: &Connection, id: &str, json: bool) -> Result<(), CliError> {
    let request = connection
        .client
        .get(&connection.path(&["requests", id]), &[])
        .await?;
    if json {
        print_json(&request);
        return Ok(());
    }
    print_facts(&[
        ("request", text(&request, "id").to_owned()),
        (
            "outcome",
            format!("{}, {}", text(&request, "outcome"), request["status"]),
        ),
        ("reason", text(&request, "reason").to_owned()),
        ("subscription", text(&request, "subscription").to_owned()),
        ("delivery", text(&request, "delivery_id").to_owned()),
        ("received", local_time(&request, "received_at")),
        ("events", request["events"].to_string()),
        ("line", line(&request)),
        ("query", text(&request, "query").to_owned()),
        ("bytes", request["body_size"].to_string()),
    ]);
    print_block("headers", &Value::String(header_lines(&request["headers"])));
    print_block("body", &request["body"]);
    print_block("body in base64", &request["body_base64"]);
    Ok(())
}

/// Its method and path. What stands in the query is for those who look at the one request.
fn line(request: &Value) -> String {
    format!("{} {}", text(request, "method"), text(request, "path"))
}

fn header_lines(headers: &Value) -> String {
    let lines = headers.as_array().into_iter().flatten().map(|header| {
        let part = |index: usize| header[index].as_str().unwrap_or_default();
        format!("{}: {}\n", part(0), part(1))
    });
    lines.collect()
}
