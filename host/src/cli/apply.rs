//! `triggerd apply`.

use serde_json::Value;

use super::arguments::ApplyArgs;
use super::connection::Connection;
use super::document_file::DocumentFile;
use super::failure::CliError;
use super::output::{faint, print_json, print_line, text};
use super::table::{Cell, Table, one_line};
use crate::documents::Mistake;
use crate::outbound::api_client::ApiError;

const KINDS: [(&str, &str); 8] = [
    ("workspace", "settings"),
    ("integration", "integrations"),
    ("credential", "credentials"),
    ("runnable", "runnables"),
    ("subscription", "subscriptions"),
    ("trigger", "triggers"),
    ("schedule", "schedules"),
    ("route", "routes"),
];

/// So long services are given to answer, so that what is printed is how things are.
const WAIT: &str = "10s";

/// Reads the document, sends it, prints what became of each object.
pub async fn run(args: ApplyArgs) -> Result<(), CliError> {
    let file = DocumentFile::read(&args.file)?;
    let mut client = args.client.clone();
    match (&client.workspace, file.workspace()) {
        (Some(named), Some(written)) if named != written => {
            let message = format!("the document is for `{written}`, but `{named}` was asked for");
            return Err(file.refusal(&[Mistake::value("/workspace", message)]));
        }
        (None, Some(written)) => client.workspace = Some(written.to_owned()),
        _ => {}
    }
    let connection = Connection::open(&client)?;
    let mut query = vec![
        ("prune", args.prune.to_string()),
        ("dry_run", args.dry_run.to_string()),
    ];
    if !args.no_wait && !args.dry_run {
        query.push(("wait", WAIT.to_owned()));
    }
    let path = connection.path(&["apply"]);
    let applied = match connection
        .client
        .post(&path, &query, Some(&file.body))
        .await
    {
        Ok(applied) => applied,
        Err(error) => return Err(placed(&file, error)),
    };
    if args.client.json {
        print_json(&applied);
    } else {
        print(&applied);
    }
    Ok(())
}

/// The server's mistakes by line, if it told of any.
fn placed(file: &DocumentFile, error: ApiError) -> CliError {
    if let ApiError::Problem { body, .. } = &error {
        let found = body.get("errors").cloned().unwrap_or_default();
        let mistakes: Vec<Mistake> = serde_json::from_value(found).unwrap_or_default();
        if !mistakes.is_empty() {
            return file.refusal(&mistakes);
        }
    }
    error.into()
}

fn print(applied: &Value) {
    let objects: Vec<(&str, &Value)> = KINDS
        .iter()
        .flat_map(|(kind, key)| {
            applied[*key]
                .as_array()
                .into_iter()
                .flatten()
                .map(move |object| (*kind, object))
        })
        .collect();
    let mut table = Table::new(&["KIND", "NAME", "CHANGE", "STATE", "ENDPOINT", "REASON"]);
    for (kind, object) in &objects {
        table.row(vec![
            Cell::plain(*kind),
            Cell::plain(text(object, "name")),
            Cell::state(text(object, "action")),
            Cell::state(text(object, "state")),
            Cell::plain(text(object, "endpoint_url")),
            Cell::plain(text(object, "state_reason")),
        ]);
    }
    if table.is_empty() {
        print_line("the document names nothing");
    } else {
        table.print();
    }
    for (kind, object) in &objects {
        print_differences(kind, object);
        if let Some(secret) = object["secret"].as_str() {
            print_line(format_args!(
                "\nthe webhook's signing secret, shown this once: {secret}"
            ));
        }
    }
    let count = |action: &str| {
        objects
            .iter()
            .filter(|(_, one)| one["action"] == action)
            .count()
    };
    let actions = ["created", "updated", "unchanged", "deleted"];
    let counts = actions
        .iter()
        .map(|action| (count(action), action))
        .filter(|(n, _)| *n > 0);
    let summary: Vec<String> = counts.map(|(n, action)| format!("{n} {action}")).collect();
    let dry = if applied["dry_run"] == true {
        "dry run, nothing was changed: "
    } else {
        ""
    };
    print_line(format_args!(
        "\n{}",
        faint(&format!("{dry}{}", summary.join(", ")))
    ));
}

fn print_differences(kind: &str, object: &Value) {
    let differences = object["differences"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if differences.is_empty() {
        return;
    }
    print_line(format_args!("\n{kind} {}", one_line(text(object, "name"))));
    for difference in differences {
        let field = one_line(text(difference, "field"));
        if difference["secret"] == true {
            print_line(format_args!("  {field}: another secret"));
            continue;
        }
        let side = |key: &str| match difference.get(key) {
            Some(value) => one_line(&value.to_string()),
            None => "nothing".to_owned(),
        };
        print_line(format_args!(
            "  {field}: {} -> {}",
            side("from"),
            side("to")
        ));
    }
}
