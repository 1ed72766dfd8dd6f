//! Tokens, workspaces, keys.

use serde_json::{Value, json};

use super::arguments::{Key, Token, Workspace};
use super::client::{Client, encode};
use super::run::Failure;
use super::table;

/// `triggerd token …`
pub async fn token(command: Token) -> Result<(), Failure> {
    match command {
        Token::Create { name, scopes, instance, expires_at, connection } => {
            let client = Client::find(&connection)?;
            let workspace = (!instance).then(|| client.workspace.clone());
            let wanted = json!({"name": name, "scopes": scopes, "workspace": workspace, "expires_at": expires_at});
            let made = client.post("/api/v1/tokens", &wanted).await?;
            match connection.json {
                true => println!("{made:#}"),
                false => println!("{}", made["token"].as_str().unwrap_or_default()),
            }
        }
        Token::List { connection } => {
            let page = Client::find(&connection)?.get("/api/v1/tokens").await?;
            let columns = &[
                ("ID", "/id"),
                ("NAME", "/name"),
                ("WORKSPACE", "/workspace"),
                ("SCOPES", "/scopes"),
                ("EXPIRES", "/expires_at"),
                ("LAST USED", "/last_used_at"),
                ("REVOKED", "/revoked_at"),
            ];
            print(columns, &page, connection.json, "no tokens");
        }
        Token::Revoke { id, connection } => {
            Client::find(&connection)?.delete(&format!("/api/v1/tokens/{}", encode(&id))).await?;
            if !connection.json {
                println!("{id} is revoked");
            }
        }
    }
    Ok(())
}

/// `triggerd workspace …`
pub async fn workspace(command: Workspace) -> Result<(), Failure> {
    match command {
        Workspace::List { connection } => {
            let page = Client::find(&connection)?.get("/api/v1/workspaces").await?;
            print(&[("NAME", "/name"), ("ID", "/id"), ("CREATED", "/created_at")], &page, connection.json, "no workspaces");
        }
        Workspace::Create { name, connection } => {
            let made = Client::find(&connection)?.post("/api/v1/workspaces", &json!({"name": name})).await?;
            match connection.json {
                true => println!("{made:#}"),
                false => println!("the workspace {name} is made"),
            }
        }
    }
    Ok(())
}

/// `triggerd key …`
pub async fn key(command: Key) -> Result<(), Failure> {
    let Key::Rotate { connection } = command;
    let rotation = Client::find(&connection)?.post("/api/v1/keys/rotate", &Value::Null).await?;
    if connection.json {
        println!("{rotation:#}");
    } else {
        table::print_item(&rotation);
    }
    Ok(())
}

fn print(columns: &[table::Column], page: &Value, json: bool, none: &str) {
    if json {
        println!("{page:#}");
    } else {
        let items = page["items"].as_array().cloned().unwrap_or_default();
        table::print(columns, &items, none);
    }
}
