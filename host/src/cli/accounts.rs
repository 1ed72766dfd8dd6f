//! `triggerd credentials` and `triggerd integrations`.

use serde_json::Value;

use super::arguments::{
    CredentialsArgs, CredentialsCommand, IntegrationsArgs, IntegrationsCommand,
};
use super::connection::Connection;
use super::failure::CliError;
use super::objects::{page, print_page};
use super::output::{counted, local_time, print_facts, print_json, print_line, text};
use super::table::{Cell, one_line};

/// Lists, shows, checks or deletes credentials.
pub async fn run_credentials(args: CredentialsArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let json = args.client.json;
    match args.command {
        None => {
            let found = page(&connection, "credentials", args.page).await?;
            print_credentials(&found, json);
        }
        Some(CredentialsCommand::Show { name }) => {
            let path = connection.path(&["credentials", &name]);
            let found = connection.client.get(&path, &[]).await?;
            print_credential(&found, json);
        }
        Some(CredentialsCommand::Check { name }) => {
            let path = connection.path(&["credentials", &name, "check"]);
            let found = connection.client.post(&path, &[], None).await?;
            print_credential(&found, json);
            if text(&found, "state") != "active" {
                let (reason, next) = (text(&found, "state_reason"), text(&found, "next_action"));
                let message = format!("`{name}` needs reconnecting: {reason}\nnext: {next}");
                return Err(CliError::Said(message));
            }
        }
        Some(CredentialsCommand::Delete { name, force }) => {
            let path = connection.path(&["credentials", &name]);
            let query = [("force", force.to_string())];
            let deleted = connection.client.delete_with(&path, &query).await?;
            if json {
                print_json(&deleted);
            } else {
                print_deleted(&deleted);
            }
        }
    }
    Ok(())
}

/// Lists, shows or deletes integrations.
pub async fn run_integrations(args: IntegrationsArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let json = args.client.json;
    match args.command {
        None => {
            let found = page(&connection, "integrations", args.page).await?;
            print_integrations(&found, json);
        }
        Some(IntegrationsCommand::Show { name }) => {
            let path = connection.path(&["integrations", &name]);
            let found = connection.client.get(&path, &[]).await?;
            if json {
                print_json(&found);
                return Ok(());
            }
            print_facts(&[
                ("integration", text(&found, "name").to_owned()),
                ("provider", text(&found, "provider").to_owned()),
                ("base url", text(&found, "base_url").to_owned()),
                ("client id", text(&found, "client_id").to_owned()),
                ("client secret", kept(&found).to_owned()),
                ("created", local_time(&found, "created_at")),
                ("updated", local_time(&found, "updated_at")),
            ]);
        }
        Some(IntegrationsCommand::Delete { name, force }) => {
            let path = connection.path(&["integrations", &name]);
            let query = [("force", force.to_string())];
            let deleted = connection.client.delete_with(&path, &query).await?;
            if json {
                print_json(&deleted);
                return Ok(());
            }
            for credential in deleted["credentials"].as_array().into_iter().flatten() {
                print_deleted(credential);
            }
            print_line(format_args!(
                "{} is deleted",
                one_line(text(&deleted, "name"))
            ));
        }
    }
    Ok(())
}

fn print_credentials(found: &Value, json: bool) {
    let head = [
        "NAME", "PROVIDER", "KIND", "STATE", "ACCOUNT", "EXPIRES", "USED BY", "REASON",
    ];
    print_page(found, "credentials", &head, json, |one| {
        let used = one["subscriptions"].as_array().map_or(0, Vec::len);
        vec![
            Cell::plain(text(one, "name")),
            Cell::plain(text(one, "provider")),
            Cell::plain(text(one, "kind")),
            Cell::state(text(one, "state")),
            Cell::plain(account(one)),
            Cell::plain(local_time(one, "expires_at")),
            Cell::plain(counted(used, "subscription")),
            Cell::plain(text(one, "state_reason")),
        ]
    });
}

fn print_credential(found: &Value, json: bool) {
    if json {
        print_json(found);
        return;
    }
    print_facts(&[
        ("credential", text(found, "name").to_owned()),
        ("provider", text(found, "provider").to_owned()),
        ("integration", text(found, "integration").to_owned()),
        ("kind", text(found, "kind").to_owned()),
        ("account", account(found)),
        ("scopes", words(&found["scopes"])),
        ("state", text(found, "state").to_owned()),
        ("reason", text(found, "state_reason").to_owned()),
        ("since", local_time(found, "state_since")),
        ("next action", text(found, "next_action").to_owned()),
        ("expires", local_time(found, "expires_at")),
        ("renews", local_time(found, "refresh_due_at")),
        ("used by", words(&found["subscriptions"])),
    ]);
}

fn print_deleted(deleted: &Value) {
    let name = one_line(text(deleted, "name"));
    let tokens = match text(deleted, "tokens") {
        "given_back" => ", its tokens are given back",
        "kept" => ", its tokens stay: another credential acts for the same account",
        "failed" => ", but the service did not take its tokens back: revoke them there",
        _ => "",
    };
    print_line(format_args!("{name} is deleted{tokens}"));
    let degraded = words(&deleted["degraded"]);
    if !degraded.is_empty() {
        print_line(format_args!("degraded: {}", one_line(&degraded)));
    }
}

fn print_integrations(found: &Value, json: bool) {
    let head = ["NAME", "PROVIDER", "BASE URL", "CLIENT ID", "CLIENT SECRET"];
    print_page(found, "integrations", &head, json, |one| {
        vec![
            Cell::plain(text(one, "name")),
            Cell::plain(text(one, "provider")),
            Cell::plain(text(one, "base_url")),
            Cell::plain(text(one, "client_id")),
            Cell::plain(kept(one)),
        ]
    });
}

fn kept(integration: &Value) -> &'static str {
    match (&integration["shared"], &integration["has_client_secret"]) {
        (Value::Bool(true), _) => "the instance's",
        (_, Value::Bool(true)) => "kept",
        _ => "",
    }
}

fn account(credential: &Value) -> String {
    let account = &credential["account"];
    let name = account["name"].as_str().or_else(|| account["id"].as_str());
    name.unwrap_or_default().to_owned()
}

fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    words.join(", ")
}
