//! `triggerd runnables` and `triggers`.

use serde_json::Value;

use super::arguments::ListArgs;
use super::connection::Connection;
use super::failure::CliError;
use super::jobs::given;
use super::output::{faint, items, local_time, print_json, print_line, print_next, text};
use super::table::{Cell, Table};

/// Runnables with their versions.
pub async fn list_runnables(args: ListArgs) -> Result<(), CliError> {
    let head = [
        "PATH", "STATE", "KIND", "VERSION", "TARGET", "UPDATED", "REASON",
    ];
    list(args, "runnables", &head, |one| {
        let version = &one["version"];
        let spec = &version["spec"];
        let target = match spec["argv"].as_array() {
            Some(argv) => {
                let words: Vec<&str> = argv.iter().filter_map(Value::as_str).collect();
                words.join(" ")
            }
            None => text(spec, "url").to_owned(),
        };
        vec![
            Cell::plain(text(one, "path")),
            Cell::state(text(one, "state")),
            Cell::plain(text(version, "kind")),
            Cell::plain(version["number"].to_string()),
            Cell::plain(target),
            Cell::plain(local_time(one, "updated_at")),
            Cell::plain(text(one, "state_reason")),
        ]
    })
    .await
}

/// Triggers: what fires what.
pub async fn list_triggers(args: ListArgs) -> Result<(), CliError> {
    let head = [
        "NAME",
        "STATE",
        "SUBSCRIPTION",
        "EVENT",
        "RUNNABLE",
        "PARAMETERS",
    ];
    list(args, "triggers", &head, |one| {
        let is_plain = one["parameters"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty);
        vec![
            Cell::plain(text(one, "name")),
            Cell::state(if one["enabled"] == true {
                "enabled"
            } else {
                "disabled"
            }),
            Cell::plain(text(one, "subscription")),
            Cell::plain(text(one, "event")),
            Cell::plain(text(one, "runnable")),
            Cell::plain(if is_plain {
                String::new()
            } else {
                one["parameters"].to_string()
            }),
        ]
    })
    .await
}

async fn list(
    args: ListArgs,
    name: &str,
    head: &[&'static str],
    row: impl Fn(&Value) -> Vec<Cell>,
) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let query = given(vec![
        ("limit", args.page.limit.map(|limit| limit.to_string())),
        ("cursor", args.page.cursor),
    ]);
    let found = connection
        .client
        .get(&connection.path(&[name]), &query)
        .await?;
    if args.client.json {
        print_json(&found);
        return Ok(());
    }
    let mut table = Table::new(head);
    for one in items(&found) {
        table.row(row(one));
    }
    if table.is_empty() {
        print_line(faint(&format!("no {name}")));
        return Ok(());
    }
    table.print();
    print_next(&found);
    Ok(())
}
