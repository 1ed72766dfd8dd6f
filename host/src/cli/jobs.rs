//! `triggerd jobs`.

use serde_json::Value;

use super::arguments::{JobListArgs, JobsArgs, JobsCommand};
use super::connection::Connection;
use super::failure::CliError;
use super::output::{
    faint, items, local_time, print_block, print_facts, print_json, print_line, print_next, text,
};
use super::table::{Cell, Table};

/// So many steps of a flow are shown, the newest.
const STEPS_SHOWN: u32 = 200;

/// Lists, shows, replays or cancels.
pub async fn run(args: JobsArgs) -> Result<(), CliError> {
    let connection = Connection::open(&args.client)?;
    let json = args.client.json;
    match args.command {
        None => list(&connection, args.list, json).await,
        Some(JobsCommand::List(list_args)) => list(&connection, list_args, json).await,
        Some(JobsCommand::Show { id }) => show(&connection, &id, json).await,
        Some(JobsCommand::Replay { id }) => {
            let path = connection.path(&["jobs", &id, "replay"]);
            let job = connection.client.post(&path, &[], None).await?;
            print_done(&job, json, &format!("{} runs {id} again", text(&job, "id")));
            Ok(())
        }
        Some(JobsCommand::Cancel { id }) => {
            let path = connection.path(&["jobs", &id, "cancel"]);
            let job = connection.client.post(&path, &[], None).await?;
            print_done(&job, json, &format!("{id} is cancelled"));
            Ok(())
        }
    }
}

fn print_done(job: &Value, json: bool, sentence: &str) {
    if json {
        print_json(job);
    } else {
        print_line(sentence);
    }
}

/// `key=value` pairs of what was given.
pub fn given(pairs: Vec<(&'static str, Option<String>)>) -> Vec<(&'static str, String)> {
    pairs
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}

async fn list(connection: &Connection, args: JobListArgs, json: bool) -> Result<(), CliError> {
    let query = given(vec![
        ("state", args.state),
        ("runnable", args.runnable),
        ("trigger", args.trigger),
        ("event", args.event),
        ("flow", args.flow),
        ("limit", args.page.limit.map(|limit| limit.to_string())),
        ("cursor", args.page.cursor),
    ]);
    let found = connection
        .client
        .get(&connection.path(&["jobs"]), &query)
        .await?;
    if json {
        print_json(&found);
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID", "STATE", "CAUSE", "EVENT", "RUNNABLE", "ATTEMPTS", "CREATED", "RESULT",
    ]);
    for job in items(&found) {
        table.row(vec![
            Cell::plain(text(job, "id")),
            Cell::state(text(job, "state")),
            Cell::plain(text(job, "cause")),
            Cell::plain(text(job, "event")),
            Cell::plain(text(job, "runnable")),
            Cell::plain(format!("{}/{}", job["attempts"], job["attempts_max"])),
            Cell::plain(local_time(job, "created_at")),
            outcome(job),
        ]);
    }
    if table.is_empty() {
        print_line(faint("no jobs"));
        return Ok(());
    }
    table.print();
    print_next(&found);
    Ok(())
}

fn outcome(job: &Value) -> Cell {
    const LONGEST: usize = 48;
    let whole = match (&job["error"], &job["result"]) {
        (Value::String(error), _) if text(job, "state") != "done" => error.clone(),
        (_, Value::Null) => return Cell::default(),
        (_, Value::String(result)) => result.clone(),
        (_, other) => other.to_string(),
    };
    let mut short: String = whole.chars().take(LONGEST).collect();
    if short.len() < whole.len() {
        short.push('…');
    }
    Cell::plain(short)
}

async fn show(connection: &Connection, id: &str, json: bool) -> Result<(), CliError> {
    let mut job = connection
        .client
        .get(&connection.path(&["jobs", id]), &[])
        .await?;
    let path = connection.path(&["jobs", id, "attempts"]);
    let attempts = connection.client.get(&path, &[]).await?;
    let query = [("flow", id.to_owned()), ("limit", STEPS_SHOWN.to_string())];
    let steps = connection
        .client
        .get(&connection.path(&["jobs"]), &query)
        .await?;
    if json {
        job["history"] = history(&job, &attempts);
        if !items(&steps).is_empty() {
            job["steps"] = steps["items"].clone();
        }
        print_json(&job);
        return Ok(());
    }
    print_facts(&[
        ("job", text(&job, "id").to_owned()),
        ("state", text(&job, "state").to_owned()),
        ("cause", text(&job, "cause").to_owned()),
        ("runnable", text(&job, "runnable").to_owned()),
        ("version", text(&job, "version_id").to_owned()),
        (
            "event",
            format!("{} {}", text(&job, "event"), text(&job, "event_id"))
                .trim()
                .to_owned(),
        ),
        ("trigger", text(&job, "trigger").to_owned()),
        (
            match text(&job, "cause") {
                "error" => "tells of",
                _ => "replays",
            },
            text(&job, "origin_job_id").to_owned(),
        ),
        (
            "step of",
            format!("{} {}", text(&job, "flow_id"), text(&job, "step"))
                .trim()
                .to_owned(),
        ),
        ("created", local_time(&job, "created_at")),
        (
            "due",
            if text(&job, "state") == "ready" {
                local_time(&job, "due_at")
            } else {
                String::new()
            },
        ),
        ("finished", local_time(&job, "finished_at")),
        ("error", text(&job, "error").to_owned()),
    ]);
    let mut table = Table::new(&["#", "OUTCOME", "STARTED", "TOOK", "CODE", "ERROR"]);
    for attempt in items(&attempts) {
        table.row(vec![
            Cell::plain(attempt["number"].to_string()),
            Cell::state(text(attempt, "outcome")),
            Cell::plain(local_time(attempt, "started_at")),
            Cell::plain(format!("{} ms", attempt["duration_ms"])),
            Cell::plain(code(attempt)),
            Cell::plain(text(attempt, "error")),
        ]);
    }
    if !table.is_empty() {
        print_line("");
        table.print();
    }
    print_steps(&steps);
    if let Some(last) = items(&attempts).last() {
        print_block("stderr of the last attempt", &last["stderr"]);
        if is_cut(&last["stdout"]) {
            print_block("stdout of the last attempt", &last["stdout"]);
        }
    }
    print_block("result", &job["result"]);
    print_block("arguments", &job["arguments"]);
    Ok(())
}

/// The steps of a flow, in the order in which they began.
fn print_steps(steps: &Value) {
    let mut table = Table::new(&["STEP", "JOB", "STATE", "RUNNABLE", "ATTEMPTS", "RESULT"]);
    for step in items(steps).iter().rev() {
        table.row(vec![
            Cell::plain(text(step, "step")),
            Cell::plain(text(step, "id")),
            Cell::state(text(step, "state")),
            Cell::plain(text(step, "runnable")),
            Cell::plain(format!("{}/{}", step["attempts"], step["attempts_max"])),
            outcome(step),
        ]);
    }
    if !table.is_empty() {
        print_line("");
        table.print();
        if steps["next"].is_string() {
            print_line(faint(&format!("the last {STEPS_SHOWN} are shown")));
        }
    }
}

/// The attempts; what the job's result is, is not said a second time.
fn history(job: &Value, attempts: &Value) -> Value {
    let mut history = attempts["items"].clone();
    for attempt in history.as_array_mut().into_iter().flatten() {
        if attempt["result"] == job["result"]
            && let Value::Object(fields) = attempt
        {
            fields.remove("result");
        }
    }
    history
}

/// Whether it ends with the host's note that there was more.
fn is_cut(output: &Value) -> bool {
    output
        .as_str()
        .is_some_and(|text| text.ends_with(" more bytes were not kept]\n"))
}

fn code(attempt: &Value) -> String {
    let codes = [
        ("exit_code", "exit "),
        ("signal", "signal "),
        ("http_status", ""),
    ];
    let found = codes.iter().find(|(key, _)| attempt[*key].is_number());
    found.map_or_else(String::new, |(key, word)| {
        format!("{word}{}", attempt[*key])
    })
}
