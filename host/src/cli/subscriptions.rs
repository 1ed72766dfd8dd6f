//! `triggerd subscriptions`.

use serde_json::{Map, Value};

use super::arguments::{
    OptionsArgs, OrphansArgs, PageArgs, SubscriptionsArgs, SubscriptionsCommand,
};
use super::connection::Connection;
use super::failure::CliError;
use super::jobs::given;
use super::objects;
use super::output::{
    faint, items, local_time, print_block, print_facts, print_json, print_line, print_next, text,
};
use super::table::{Cell, Table};

/// Lists, shows, and does what is asked.
pub async fn run(args: SubscriptionsArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let asked = Asked {
        connection,
        json: args.client.json,
    };
    match args.command {
        None => asked.list(args.page).await,
        Some(SubscriptionsCommand::Show { name }) => asked.show(&name).await,
        Some(SubscriptionsCommand::Pause { name }) => asked.act(&name, "pause", "").await,
        Some(SubscriptionsCommand::Resume { name }) => asked.act(&name, "resume", "goes on").await,
        Some(SubscriptionsCommand::Check { name }) => {
            asked.act(&name, "check", "was checked").await
        }
        Some(SubscriptionsCommand::Sync { name }) => asked.act(&name, "sync", "was synced").await,
        Some(SubscriptionsCommand::Test { name }) => asked.test(&name).await,
        Some(SubscriptionsCommand::Delete { name, force }) => asked.delete(&name, force).await,
        Some(SubscriptionsCommand::Options(args)) => asked.options(args).await,
        Some(SubscriptionsCommand::Orphans(args)) => asked.orphans(args).await,
    }
}

struct Asked {
    connection: Connection,
    json: bool,
}

impl Asked {
    async fn list(&self, page: PageArgs) -> Result<(), CliError> {
        let found = objects::page(&self.connection, "subscriptions", page).await?;
        let head = [
            "NAME", "PROVIDER", "STATE", "SINCE", "NEXT", "WHEN", "ENDPOINT", "REASON",
        ];
        objects::print_page(&found, "subscriptions", &head, self.json, |one| {
            vec![
                Cell::plain(text(one, "name")),
                Cell::plain(text(one, "provider")),
                Cell::state(text(one, "state")),
                Cell::plain(local_time(one, "state_since")),
                Cell::plain(text(one, "next_action")),
                Cell::plain(local_time(one, "due_at")),
                Cell::plain(text(one, "endpoint_url")),
                Cell::plain(text(one, "state_reason")),
            ]
        });
        Ok(())
    }

    async fn show(&self, name: &str) -> Result<(), CliError> {
        let path = self.connection.path(&["subscriptions", name]);
        let one = self.connection.client.get(&path, &[]).await?;
        if self.json {
            print_json(&one);
            return Ok(());
        }
        print_facts(&facts(&one));
        let registrations = rows(&one, "registrations");
        let mut table = Table::new(&["REGISTRATION", "STATE", "AT THE SERVICE", "MADE", "ENDS"]);
        for registration in registrations {
            table.row(vec![
                Cell::plain(text(registration, "id")),
                Cell::state(text(registration, "state")),
                Cell::plain(text(registration, "external_id")),
                Cell::plain(local_time(registration, "created_at")),
                Cell::plain(local_time(registration, "expires_at")),
            ]);
        }
        print_table(&table);
        let mut table = Table::new(&["DIFFERS", "OURS", "THEIRS"]);
        for drift in rows(&one, "drift") {
            table.row(vec![
                Cell::plain(text(drift, "field")),
                Cell::plain(drift["ours"].to_string()),
                Cell::plain(drift["theirs"].to_string()),
            ]);
        }
        print_table(&table);
        let mut table = Table::new(&["WHEN", "NOTE"]);
        for note in rows(&one, "notes") {
            table.row(vec![
                Cell::plain(local_time(note, "at")),
                Cell::plain(text(note, "text")),
            ]);
        }
        print_table(&table);
        print_block("parameters", &one["parameters"]);
        Ok(())
    }

    async fn act(&self, name: &str, action: &'static str, done: &str) -> Result<(), CliError> {
        let path = self.connection.path(&["subscriptions", name, action]);
        let one = self.connection.client.post(&path, &[], None).await?;
        if self.json {
            print_json(&one);
            return Ok(());
        }
        let reason = match text(&one, "state_reason") {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        let done = match done {
            "" => String::new(),
            done => format!("{done}; it "),
        };
        print_line(format!("{name} {done}is {}{reason}", text(&one, "state")));
        Ok(())
    }

    async fn test(&self, name: &str) -> Result<(), CliError> {
        let path = self.connection.path(&["subscriptions", name, "test"]);
        self.connection.client.post(&path, &[], None).await?;
        self.done(&format!(
            "the service was asked to send something to {name}: see `triggerd requests`"
        ));
        Ok(())
    }

    async fn delete(&self, name: &str, force: bool) -> Result<(), CliError> {
        let query: &[(&str, String)] = match force {
            true => &[("force", "true".to_owned())],
            false => &[],
        };
        let path = self.connection.path(&["subscriptions", name]);
        self.connection.client.delete_with(&path, query).await?;
        self.done(&format!("{name} is deleted"));
        Ok(())
    }

    async fn options(&self, args: OptionsArgs) -> Result<(), CliError> {
        let query = given(vec![
            ("parameter", Some(args.parameter)),
            (
                "search",
                Some(args.search).filter(|search| !search.is_empty()),
            ),
            ("cursor", args.cursor),
            ("credential", args.credential),
            ("parameters", parameters(&args.with)?),
        ]);
        let path = match (&args.name, &args.provider) {
            (Some(name), _) => self.connection.path(&["subscriptions", name, "options"]),
            (None, provider) => {
                let provider = provider.as_deref().unwrap_or_default();
                self.connection.path(&["providers", provider, "options"])
            }
        };
        let found = self.connection.client.get(&path, &query).await?;
        if self.json {
            print_json(&found);
            return Ok(());
        }
        let mut table = Table::new(&["VALUE", "LABEL"]);
        for option in items(&found) {
            table.row(vec![
                Cell::plain(text(option, "value")),
                Cell::plain(text(option, "label")),
            ]);
        }
        if table.is_empty() {
            print_line(faint(
                "the service names none; any value may be written all the same",
            ));
            return Ok(());
        }
        table.print();
        print_next(&found);
        Ok(())
    }

    async fn orphans(&self, args: OrphansArgs) -> Result<(), CliError> {
        let query = given(vec![
            ("provider", Some(args.provider)),
            ("credential", args.credential),
            ("parameters", parameters(&args.with)?),
        ]);
        let path = self.connection.path(&["orphans"]);
        let found = match args.delete {
            true => self.connection.client.delete_with(&path, &query).await?,
            false => self.connection.client.get(&path, &query).await?,
        };
        if self.json {
            print_json(&found);
        } else {
            print_orphans(&found);
        }
        let is_left = |one: &&Value| one["deleted"] == false;
        match items(&found).iter().filter(is_left).count() {
            0 => Ok(()),
            left => Err(CliError::Said(format!("{left} could not be deleted"))),
        }
    }

    fn done(&self, sentence: &str) {
        if self.json {
            print_json(&Value::Object(Map::new()));
        } else {
            print_line(sentence);
        }
    }
}

fn facts(one: &Value) -> Vec<(&'static str, String)> {
    let words = |key: &str| {
        let list = one[key].as_array().map_or(&[][..], Vec::as_slice);
        let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        words.join(", ")
    };
    let next = match (text(one, "next_action"), local_time(one, "due_at")) {
        ("", _) => String::new(),
        (action, when) => format!("{action}, {when}"),
    };
    vec![
        (
            "subscription",
            format!("{} ({})", text(one, "name"), text(one, "id")),
        ),
        ("provider", text(one, "provider").to_owned()),
        ("mode", text(one, "mode").to_owned()),
        ("state", text(one, "state").to_owned()),
        ("since", local_time(one, "state_since")),
        ("reason", text(one, "state_reason").to_owned()),
        ("next", next),
        ("to do", to_do(one)),
        ("credential", text(one, "credential").to_owned()),
        ("endpoint", text(one, "endpoint_url").to_owned()),
        ("events", words("events")),
        ("if missing", text(&one["policy"], "missing").to_owned()),
        ("if drifted", text(&one["policy"], "drift").to_owned()),
        ("checked", local_time(one, "checked_at")),
        ("pulled", local_time(one, "pulled_at")),
        ("last error", text(one, "last_error").to_owned()),
        ("at", local_time(one, "last_error_at")),
    ]
}

/// What only a person can do.
fn to_do(one: &Value) -> String {
    match (text(one, "next_action"), text(one, "credential")) {
        ("reconnect", "") => "give it another credential".to_owned(),
        ("reconnect", credential) => format!("triggerd credentials show {credential}"),
        _ => String::new(),
    }
}

fn print_orphans(found: &Value) {
    let mut table = Table::new(&["AT THE SERVICE", "ENDPOINT", "ACTIVE", "WHERE", "RESULT"]);
    for orphan in items(found) {
        let result = match (&orphan["deleted"], text(orphan, "error")) {
            (Value::Bool(true), _) => "deleted".to_owned(),
            (Value::Bool(false), error) => error.to_owned(),
            _ => String::new(),
        };
        table.row(vec![
            Cell::plain(text(orphan, "external_id")),
            Cell::plain(text(orphan, "endpoint_url")),
            Cell::plain(orphan["active"].to_string()),
            Cell::plain(orphan["parameters"].to_string()),
            Cell::plain(result),
        ]);
    }
    match table.is_empty() {
        true => print_line(faint("no orphans")),
        false => table.print(),
    }
}

fn print_table(table: &Table) {
    if !table.is_empty() {
        print_line("");
        table.print();
    }
}

fn rows<'a>(one: &'a Value, key: &str) -> &'a [Value] {
    one[key].as_array().map_or(&[], Vec::as_slice)
}

/// `NAME=VALUE` pairs as a JSON object; a value that is JSON is taken as such.
fn parameters(pairs: &[String]) -> Result<Option<String>, CliError> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut map = Map::new();
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(CliError::Said(format!("`{pair}`: expected NAME=VALUE")));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        map.insert(name.to_owned(), value);
    }
    Ok(Some(Value::Object(map).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_json_where_they_are() {
        let pairs = ["repository=o/r".to_owned(), "deep=true".to_owned()];
        let read = parameters(&pairs).ok().flatten();
        assert_eq!(read.as_deref(), Some(r#"{"repository":"o/r","deep":true}"#));
        assert!(parameters(&["x".to_owned()]).is_err());
    }
}
