//! `triggerd runnables`, `triggers` and `routes`.

use serde_json::Value;

use super::arguments::{ListArgs, PageArgs};
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

/// Routes: who may call what, and where.
pub async fn list_routes(args: ListArgs) -> Result<(), CliError> {
    let head = [
        "NAME", "STATE", "METHODS", "URL", "AUTH", "MODE", "RUNNABLE",
    ];
    list(args, "routes", &head, |one| {
        let methods = one["methods"].as_array().into_iter().flatten();
        let methods: Vec<&str> = methods.filter_map(Value::as_str).collect();
        vec![
            Cell::plain(text(one, "name")),
            Cell::state(if one["enabled"] == true {
                "enabled"
            } else {
                "disabled"
            }),
            Cell::plain(methods.join(" ")),
            Cell::plain(text(one, "url")),
            Cell::plain(text(one, "auth")),
            Cell::plain(text(one, "mode")),
            Cell::plain(text(one, "runnable")),
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
    let found = page(&connection, name, args.page).await?;
    print_page(&found, name, head, args.client.json, row);
    Ok(())
}

/// Gets a page of the list of this name.
pub(super) async fn page(
    connection: &Connection,
    name: &str,
    page: PageArgs,
) -> Result<Value, CliError> {
    let query = given(vec![
        ("limit", page.limit.map(|limit| limit.to_string())),
        ("cursor", page.cursor),
    ]);
    let path = connection.path(&[name]);
    Ok(connection.client.get(&path, &query).await?)
}

/// Prints a page, as a table or as it is.
pub(super) fn print_page(
    found: &Value,
    name: &str,
    head: &[&'static str],
    json: bool,
    row: impl Fn(&Value) -> Vec<Cell>,
) {
    if json {
        print_json(found);
        return;
    }
    let mut table = Table::new(head);
    for one in items(found) {
        table.row(row(one));
    }
    if table.is_empty() {
        print_line(faint(&format!("no {name}")));
        return;
    }
    table.print();
    print_next(found);
}
