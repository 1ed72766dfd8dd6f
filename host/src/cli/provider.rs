//! `triggerd provider`: what is loaded, what a library says of itself, enabling and disabling.

use std::path::Path;

use serde_json::{Value, json};

use super::arguments::Provider;
use super::client::{Client, encode};
use super::run::Failure;
use super::table::{self, Column};
use crate::plugins::LibraryFile;

const COLUMNS: &[Column] = &[
    ("NAME", "/name"),
    ("STATE", "/state"),
    ("VERSION", "/version"),
    ("ABI", "/abi"),
    ("EVENTS", "/event_count"),
    ("LIBRARY", "/library"),
    ("MESSAGE", "/message"),
];

/// Runs one of them.
pub async fn run(command: Provider) -> Result<(), Failure> {
    match command {
        Provider::Inspect { file, json } => inspect(&file, json),
        Provider::List { connection } => {
            let client = Client::find(&connection)?;
            let mut page = client.get("/api/v1/providers").await?;
            if connection.json {
                println!("{page:#}");
                return Ok(());
            }
            for row in page["items"].as_array_mut().into_iter().flatten() {
                row["event_count"] = row["events"].as_array().map_or(0, Vec::len).into();
            }
            let items = page["items"].as_array().cloned().unwrap_or_default();
            table::print(COLUMNS, &items, "no providers: put a library into the plugins folder");
            Ok(())
        }
        Provider::Enable { name, connection } => {
            let row = switch(&Client::find(&connection)?, &name, "enable").await?;
            said(&row, connection.json, "is live");
            Ok(())
        }
        Provider::Disable { name, connection } => {
            let row = switch(&Client::find(&connection)?, &name, "disable").await?;
            said(&row, connection.json, "is disabled");
            Ok(())
        }
    }
}

async fn switch(client: &Client, name: &str, how: &str) -> Result<Value, Failure> {
    client.post(&format!("/api/v1/providers/{}/{how}", encode(name)), &Value::Null).await
}

fn said(row: &Value, json: bool, what: &str) {
    if json {
        println!("{row:#}");
    } else {
        let pinned = row["digest"].as_str().map(|digest| format!(", library {digest}")).unwrap_or_default();
        println!("{} {what}{pinned}", row["name"].as_str().unwrap_or_default());
    }
}

fn inspect(file: &Path, json: bool) -> Result<(), Failure> {
    let library = LibraryFile::inspect(file).map_err(|refusal| Failure::new(refusal.to_string()))?;
    let declaration = &library.declaration;
    let events = declaration.events.iter().map(|event| {
        json!({"name": event.identity.name, "description": event.description.english()})
    });
    let section = &library.section;
    let mut shown = json!({
        "provider": declaration.identity.name,
        "label": declaration.identity.label.english(),
        "version": section.version,
        "abi": format!("{}.{}", section.abi.0, section.abi.1),
        "compiler": section.compiler,
        "target": section.target,
        "cpu_features": section.cpu_features,
        "build": if section.debug { "debug" } else { "release" },
        "sha256": library.digest.to_string(),
        "bytes": library.bytes.len(),
        "network": declaration.native.get("permissions").and_then(|permissions| permissions.get("network")),
        "warnings": library.warnings,
    });
    if json {
        shown["events"] = events.collect();
        println!("{shown:#}");
        return Ok(());
    }
    table::print_item(&shown);
    println!();
    let events: Vec<Value> = events.collect();
    table::print(&[("EVENT", "/name"), ("DESCRIPTION", "/description")], &events, "no declared events");
    Ok(())
}
