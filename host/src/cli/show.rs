//! Lists of what happened and of what there is, and one thing whole.

use serde_json::Value;

use super::arguments::{JobCommand, Jobs, ShowCommand, Shown};
use super::client::{Client, encode};
use super::run::Failure;
use super::table::{self, Column};

/// A kind of thing that can be listed.
pub struct Listed {
    path: &'static str,
    columns: &'static [Column],
    none: &'static str,
}

const JOBS: Listed = Listed {
    path: "jobs",
    columns: &[
        ("ID", "/id"),
        ("STATE", "/state"),
        ("RUNNABLE", "/runnable"),
        ("CAUSE", "/cause"),
        ("EVENT", "/event"),
        ("ATTEMPTS", "/attempts"),
        ("CREATED", "/created_at"),
        ("RESULT", "/summary"),
    ],
    none: "no jobs",
};

const ATTEMPTS: &[Column] = &[
    ("ATTEMPT", "/number"),
    ("OUTCOME", "/outcome"),
    ("EXIT", "/exit_code"),
    ("SIGNAL", "/signal"),
    ("HTTP", "/http_status"),
    ("STARTED", "/started_at"),
    ("FINISHED", "/finished_at"),
    ("ERROR", "/error"),
];

pub const EVENTS: Listed = Listed {
    path: "events",
    columns: &[
        ("ID", "/id"),
        ("EVENT", "/name"),
        ("PROVIDER", "/provider"),
        ("SUBSCRIPTION", "/subscription"),
        ("STATE", "/state"),
        ("FIRED", "/matched"),
        ("RECEIVED", "/received_at"),
        ("REASON", "/reason"),
    ],
    none: "no events",
};

pub const REQUESTS: Listed = Listed {
    path: "requests",
    columns: &[
        ("ID", "/id"),
        ("PROVIDER", "/provider"),
        ("SUBSCRIPTION", "/subscription"),
        ("OUTCOME", "/outcome"),
        ("STATUS", "/status"),
        ("EVENTS", "/events"),
        ("BYTES", "/body_size"),
        ("RECEIVED", "/received_at"),
        ("REASON", "/reason"),
    ],
    none: "no requests",
};

pub const SUBSCRIPTIONS: Listed = Listed {
    path: "subscriptions",
    columns: &[
        ("NAME", "/name"),
        ("PROVIDER", "/provider"),
        ("MODE", "/mode"),
        ("STATE", "/state"),
        ("REASON", "/state_reason"),
        ("ENDPOINT", "/endpoint_url"),
    ],
    none: "no subscriptions",
};

pub const RUNNABLES: Listed = Listed {
    path: "runnables",
    columns: &[
        ("PATH", "/path"),
        ("KIND", "/kind"),
        ("STATE", "/state"),
        ("VERSION", "/version"),
        ("HASH", "/hash"),
        ("REASON", "/state_reason"),
    ],
    none: "no runnables",
};

pub const TRIGGERS: Listed = Listed {
    path: "triggers",
    columns: &[
        ("NAME", "/name"),
        ("SUBSCRIPTION", "/subscription"),
        ("EVENT", "/event"),
        ("RUNNABLE", "/runnable"),
        ("ENABLED", "/enabled"),
        ("PARAMETERS", "/parameters"),
    ],
    none: "no triggers",
};

/// A list, or one of its things whole.
pub async fn list(listed: &Listed, arguments: Shown) -> Result<(), Failure> {
    let client = Client::find(&arguments.connection)?;
    let json = arguments.connection.json;
    match arguments.command {
        Some(ShowCommand::Show { id }) => {
            let item = client.get(&client.in_workspace(&format!("{}/{}", listed.path, encode(&id)))).await?;
            print_one(&item, json);
        }
        None => {
            let path = format!("{}?limit={}", listed.path, arguments.limit);
            let page = client.get(&client.in_workspace(&path)).await?;
            print_page(listed, page, json);
        }
    }
    Ok(())
}

/// Jobs: the list, one with its attempts, replay, cancel.
pub async fn jobs(arguments: Jobs) -> Result<(), Failure> {
    let client = Client::find(&arguments.connection)?;
    let json = arguments.connection.json;
    let one = |id: &str, rest: &str| client.in_workspace(&format!("jobs/{}{rest}", encode(id)));
    match &arguments.command {
        Some(JobCommand::Show { id }) => {
            let mut job = client.get(&one(id, "")).await?;
            let attempts = client.get(&one(id, "/attempts")).await?["items"].take();
            if json {
                job["attempts"] = attempts;
                println!("{job:#}");
                return Ok(());
            }
            table::print_item(&job);
            print_attempts(&attempts);
        }
        Some(JobCommand::Replay { id }) => {
            let job = client.post(&one(id, "/replay"), &Value::Null).await?;
            print_one(&job, json);
        }
        Some(JobCommand::Cancel { id }) => {
            let job = client.post(&one(id, "/cancel"), &Value::Null).await?;
            print_one(&job, json);
        }
        None => {
            let mut path = format!("jobs?limit={}", arguments.limit);
            for (name, value) in [("state", &arguments.state), ("runnable", &arguments.runnable), ("event", &arguments.event)] {
                if let Some(value) = value {
                    path.push_str(&format!("&{name}={}", encode(value)));
                }
            }
            let mut page = client.get(&client.in_workspace(&path)).await?;
            if !json {
                summarise(&mut page);
            }
            print_page(&JOBS, page, json);
        }
    }
    Ok(())
}

/// Result, or what went wrong, in one column.
fn summarise(page: &mut Value) {
    for job in page["items"].as_array_mut().into_iter().flatten() {
        let summary = match &job["error"] {
            Value::Null => job["result"].clone(),
            error => error.clone(),
        };
        job["summary"] = match summary {
            Value::Object(_) | Value::Array(_) => Value::String(summary.to_string().chars().take(100).collect()),
            other => other,
        };
    }
}

fn print_attempts(attempts: &Value) {
    let attempts = attempts.as_array().cloned().unwrap_or_default();
    println!();
    table::print(ATTEMPTS, &attempts, "no attempts yet");
    for attempt in &attempts {
        for stream in ["stdout", "stderr"] {
            if let Some(text) = attempt[stream].as_str().filter(|text| !text.is_empty()) {
                println!("\n{stream} of attempt {}:", attempt["number"]);
                table::print_text(text);
            }
        }
    }
}

fn print_page(listed: &Listed, page: Value, json: bool) {
    if json {
        println!("{page:#}");
        return;
    }
    let items = page["items"].as_array().cloned().unwrap_or_default();
    table::print(listed.columns, &items, listed.none);
    if !page["next"].is_null() {
        println!("… and more: see --limit");
    }
}

fn print_one(item: &Value, json: bool) {
    if json {
        println!("{item:#}");
    } else {
        table::print_item(item);
    }
}
