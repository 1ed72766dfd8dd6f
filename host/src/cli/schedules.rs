//! `triggerd schedules`.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::arguments::{ClientArgs, PageArgs};
use super::connection::Connection;
use super::failure::CliError;
use super::objects;
use super::output::{local_time, print_block, print_facts, print_json, print_line, text};
use super::table::{Cell, Table};

#[derive(Debug, Args)]
pub struct SchedulesArgs {
    #[command(subcommand)]
    pub command: Option<SchedulesCommand>,
    #[command(flatten)]
    pub page: PageArgs,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Subcommand)]
pub enum SchedulesCommand {
    /// Shows one, with the next times that it runs at.
    Show { name: String },
    /// Runs it no more until it is resumed.
    Pause { name: String },
    /// Goes on with it, at its next time.
    Resume { name: String },
    /// Deletes it; the jobs it made stay.
    Delete { name: String },
}

/// Lists, shows, and does what is asked.
pub async fn run(args: SchedulesArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let asked = Asked {
        connection,
        json: args.client.json,
    };
    match args.command {
        None => asked.list(args.page).await,
        Some(SchedulesCommand::Show { name }) => {
            let path = asked.connection.path(&["schedules", &name]);
            let one = asked.connection.client.get(&path, &[]).await?;
            asked.print(&one);
            Ok(())
        }
        Some(SchedulesCommand::Pause { name }) => asked.switch(&name, "pause").await,
        Some(SchedulesCommand::Resume { name }) => asked.switch(&name, "resume").await,
        Some(SchedulesCommand::Delete { name }) => {
            let path = asked.connection.path(&["schedules", &name]);
            asked.connection.client.delete_with(&path, &[]).await?;
            match asked.json {
                true => print_json(&serde_json::json!({})),
                false => print_line(format!("{name} is deleted")),
            }
            Ok(())
        }
    }
}

struct Asked {
    connection: Connection,
    json: bool,
}

impl Asked {
    async fn list(&self, page: PageArgs) -> Result<(), CliError> {
        let found = objects::page(&self.connection, "schedules", page).await?;
        let head = [
            "NAME", "STATE", "CRON", "ZONE", "RUNNABLE", "NEXT", "LAST RUN", "SKIPPED",
        ];
        objects::print_page(&found, "schedules", &head, self.json, |one| {
            vec![
                Cell::plain(text(one, "name")),
                Cell::state(text(one, "state")),
                Cell::plain(text(one, "cron")),
                Cell::plain(text(one, "timezone")),
                Cell::plain(text(one, "runnable")),
                Cell::plain(one["next"][0].as_str().unwrap_or_default()),
                Cell::plain(local_time(one, "last_fired_at")),
                Cell::plain(one["skipped"].to_string()),
            ]
        });
        Ok(())
    }

    async fn switch(&self, name: &str, action: &'static str) -> Result<(), CliError> {
        let path = self.connection.path(&["schedules", name, action]);
        let one = self.connection.client.post(&path, &[], None).await?;
        self.print(&one);
        Ok(())
    }

    fn print(&self, one: &Value) {
        if self.json {
            print_json(one);
            return;
        }
        print_facts(&facts(one));
        let next = one["next"].as_array().map_or(&[][..], Vec::as_slice);
        let mut table = Table::new(&["NEXT TIMES"]);
        for at in next.iter().filter_map(Value::as_str) {
            table.row(vec![Cell::plain(at)]);
        }
        if !table.is_empty() {
            print_line("");
            table.print();
        }
        print_block("arguments", &one["arguments"]);
    }
}

fn facts(one: &Value) -> Vec<(&'static str, String)> {
    let skipped = match (&one["skipped"], text(one, "skip_reason")) {
        (Value::Number(count), reason) if count.as_u64() > Some(0) => {
            format!("{count}, last {}: {reason}", local_time(one, "skipped_at"))
        }
        _ => String::new(),
    };
    let overlap = match one["overlap"] == true {
        true => "allowed",
        false => "not allowed",
    };
    vec![
        (
            "schedule",
            format!("{} ({})", text(one, "name"), text(one, "id")),
        ),
        ("state", text(one, "state").to_owned()),
        ("cron", text(one, "cron").to_owned()),
        ("time zone", text(one, "timezone").to_owned()),
        ("runnable", text(one, "runnable").to_owned()),
        ("overlap", overlap.to_owned()),
        ("if missed", text(one, "missed").to_owned()),
        ("last run", local_time(one, "last_fired_at")),
        ("for", text(one, "last_scheduled_for").to_owned()),
        ("job", text(one, "last_job_id").to_owned()),
        ("skipped", skipped),
    ]
}
