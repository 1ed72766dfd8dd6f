//! `triggerd token`, `workspace` and `key`: what concerns the instance and who may use it.

use std::path::Path;

use serde_json::{Value, json};

use super::arguments::{
    KeyArgs, KeyCommand, TokenArgs, TokenCommand, WebhookCommand, WorkspaceArgs, WorkspaceCommand,
};
use super::connection::Connection;
use super::failure::{CliError, Failure};
use super::output::{counted, faint, items, local_time, print_json, print_line, text};
use super::table::{Cell, Table};
use crate::reference;

/// Makes, lists or revokes tokens.
pub async fn run_token(args: TokenArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let json = args.client.json;
    match args.command {
        TokenCommand::Create {
            name,
            scopes,
            runs,
            flow,
            expires_in,
        } => {
            let workspace = match runs {
                Some(_) => Some(connection.workspace()),
                None => connection.workspace_named(),
            };
            let kind = flow.then_some("flow");
            let wish = json!({
                "name": name.unwrap_or_else(|| runs.clone().unwrap_or_default()),
                "scopes": scopes,
                "runs": runs.map(|path| json!({ "path": path, "kind": kind })),
                "expires_in": expires_in,
                "workspace": workspace,
            });
            let created = connection
                .client
                .post(&["api", "v1", "tokens"], &[], Some(&wish))
                .await?;
            if json {
                print_json(&created);
                return Ok(());
            }
            print_line(text(&created, "token"));
            eprintln!("{}", faint("this is the only time it is shown"));
        }
        TokenCommand::List => {
            let found = connection.client.get(&["api", "v1", "tokens"], &[]).await?;
            if json {
                print_json(&found);
                return Ok(());
            }
            let mut table = Table::new(&[
                "ID",
                "NAME",
                "WORKSPACE",
                "SCOPES",
                "STATE",
                "LAST USED",
                "EXPIRES",
            ]);
            for token in items(&found) {
                table.row(token_row(token));
            }
            table.print();
        }
        TokenCommand::Revoke { id } => {
            connection
                .client
                .delete(&["api", "v1", "tokens", &id])
                .await?;
            print_done(
                json,
                &json!({ "id": id, "revoked": true }),
                &format!("{id} is revoked"),
            );
        }
    }
    Ok(())
}

fn token_row(token: &Value) -> Vec<Cell> {
    let scopes: Vec<&str> = token["scopes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    vec![
        Cell::plain(text(token, "id")),
        Cell::plain(text(token, "name")),
        Cell::plain(token["workspace"].as_str().unwrap_or("(all)")),
        Cell::plain(match token["runs"]["path"].as_str() {
            Some(path) => format!("runs {path}"),
            None => scopes.join(" "),
        }),
        Cell::state(text(token, "state")),
        Cell::plain(local_time(token, "last_used_at")),
        Cell::plain(local_time(token, "expires_at")),
    ]
}

/// Makes or lists workspaces.
pub async fn run_workspace(args: WorkspaceArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let json = args.client.json;
    let path = ["api", "v1", "workspaces"];
    match args.command {
        WorkspaceCommand::Create { name } => {
            let wish = json!({ "name": name });
            let created = connection.client.post(&path, &[], Some(&wish)).await?;
            print_done(json, &created, &format!("the workspace {name} is there"));
        }
        WorkspaceCommand::Webhook(webhook) => {
            return run_webhook(webhook.command, &connection, json).await;
        }
        WorkspaceCommand::List => {
            let found = connection.client.get(&path, &[]).await?;
            if json {
                print_json(&found);
                return Ok(());
            }
            let mut table = Table::new(&["NAME", "ID", "CREATED"]);
            for workspace in items(&found) {
                table.row(vec![
                    Cell::plain(text(workspace, "name")),
                    Cell::plain(text(workspace, "id")),
                    Cell::plain(local_time(workspace, "created_at")),
                ]);
            }
            table.print();
        }
    }
    Ok(())
}

async fn run_webhook(
    command: WebhookCommand,
    connection: &Connection,
    json: bool,
) -> Result<(), CliError> {
    let path = connection.path(&["webhook"]);
    match command {
        WebhookCommand::Show => {
            let found = connection.client.get(&path, &[]).await?;
            let health = match found["failure"].as_str() {
                Some(failure) => format!("the last change was not taken: {failure}"),
                None => format!("last taken: {}", or_never(&local_time(&found, "told_at"))),
            };
            let waiting = found["waiting"].as_u64().unwrap_or(0);
            let sentence = format!("{}\n{health}\nwaiting: {waiting}", text(&found, "url"));
            print_done(json, &found, &sentence);
        }
        WebhookCommand::Set {
            target,
            secret,
            allow,
        } => {
            let mut wish = json!({ "url": target, "allow": allow });
            if let Some(named) = secret {
                let variable = |name: &str| std::env::var(name).ok();
                let resolved = reference::resolve(&named, Path::new("."), &variable);
                let resolved =
                    resolved.map_err(|error| CliError::Said(Failure::of(&error).message))?;
                wish["secret"] = resolved.into();
            }
            let set = connection.client.put(&path, &wish).await?;
            let sentence = match set["secret"].as_str() {
                Some(secret) => format!("{target} is told; the secret, shown once: {secret}"),
                None => format!("{target} is told"),
            };
            print_done(json, &set, &sentence);
        }
        WebhookCommand::Remove => {
            connection.client.delete(&path).await?;
            let removed = json!({ "removed": true });
            print_done(json, &removed, "nobody is told any more");
        }
    }
    Ok(())
}

fn or_never(time: &str) -> &str {
    match time {
        "" => "never",
        time => time,
    }
}

/// Rotates the keys that seal secrets.
pub async fn run_key(args: KeyArgs) -> Result<(), CliError> {
    let KeyCommand::Rotate = args.command;
    let connection = Connection::open(&args.client)?;
    let rotated = connection
        .client
        .post(&["api", "v1", "keys", "rotate"], &[], None)
        .await?;
    let resealed = usize::try_from(rotated["resealed"].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let sentence = format!(
        "key {} seals from now on; {} sealed anew",
        text(&rotated, "key_id"),
        counted(resealed, "secret")
    );
    print_done(args.client.json, &rotated, &sentence);
    Ok(())
}

fn print_done(json: bool, document: &Value, sentence: &str) {
    if json {
        print_json(document);
    } else {
        print_line(sentence);
    }
}
