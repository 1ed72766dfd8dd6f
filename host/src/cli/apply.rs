//! `triggerd apply`: a document to the server, and what became of each object.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::arguments;
use super::client::Client;
use super::run::Failure;
use crate::documents::Mistake;
use crate::reference::{is_reference, resolve};
use crate::yaml::{Located, Place, pointer_join};

/// Reads, resolves, sends, prints.
pub async fn run(arguments: arguments::Apply) -> Result<(), Failure> {
    let name = arguments.file.display().to_string();
    let text = read(&arguments.file)?;
    let located = Located::parse(&text).map_err(|error| Failure::new(format!("{name}:{error}")))?;
    let folder = arguments.file.parent().unwrap_or(Path::new("."));
    let mut mistakes = Vec::new();
    let document = resolved(&located.value, "", folder, &mut mistakes);
    if !mistakes.is_empty() {
        return Err(said(&name, &located, &mistakes));
    }
    let mut connection = arguments.connection;
    // The document says its workspace; a flag or variable that differs would be refused there.
    if let Some(workspace) = document["workspace"].as_str() {
        connection.workspace = workspace.to_owned();
    }
    let client = Client::find(&connection)?;
    let path = client.in_workspace(&format!("apply?dry_run={}&prune={}", arguments.dry_run, arguments.prune));
    let answer = client.post(&path, &document).await.map_err(|failure| explain(failure, &name, &located))?;
    if connection.json {
        println!("{answer:#}");
    } else {
        print(&answer, arguments.dry_run);
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, Failure> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        return read.map(|_| text).map_err(|error| Failure::new(format!("standard input: {error}")));
    }
    std::fs::read_to_string(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}

/// The document with every `${NAME}` and `file:PATH` replaced by what it names.
fn resolved(value: &Value, pointer: &str, folder: &Path, mistakes: &mut Vec<Mistake>) -> Value {
    match value {
        Value::String(text) if is_reference(text) => {
            match resolve(text, folder, &|name| std::env::var(name).ok()) {
                Ok(found) => Value::String(found),
                Err(error) => {
                    mistakes.push(Mistake::value(pointer, Failure::of(&error).message));
                    Value::Null
                }
            }
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(index, item)| resolved(item, &format!("{pointer}/{index}"), folder, mistakes)).collect()
        }
        Value::Object(map) => {
            let entries = map.iter();
            entries.map(|(key, value)| (key.clone(), resolved(value, &pointer_join(pointer, key), folder, mistakes))).collect()
        }
        other => other.clone(),
    }
}

/// The server's mistakes with the places where they stand in the file.
fn explain(failure: Failure, name: &str, located: &Located) -> Failure {
    let errors = failure.problem.as_ref().and_then(|problem| problem.get("errors")).cloned();
    let mistakes = errors.and_then(|errors| serde_json::from_value::<Vec<Mistake>>(errors).ok());
    match mistakes {
        Some(mistakes) if !mistakes.is_empty() => said(name, located, &mistakes),
        _ => failure,
    }
}

fn said(name: &str, located: &Located, mistakes: &[Mistake]) -> Failure {
    let mut lines: Vec<(Place, String)> = mistakes
        .iter()
        .map(|mistake| {
            let place = match mistake.is_key {
                true => located.key_place(&mistake.pointer),
                false => located.value_place(&mistake.pointer),
            };
            let allowed = match mistake.allowed.is_empty() {
                true => String::new(),
                false => format!("; allowed: {}", mistake.allowed.join(", ")),
            };
            let pointer = mistake.pointer.trim_start_matches('/').replace('/', ".");
            let field = match pointer.is_empty() {
                true => String::new(),
                false => format!("{pointer}: "),
            };
            (place, format!("{name}:{place}: {field}{}{allowed}", mistake.message))
        })
        .collect();
    lines.sort();
    let texts: Vec<String> = lines.into_iter().map(|(_, text)| text).collect();
    Failure::new(format!("{}\nnothing was changed", texts.join("\n")))
}

fn print(answer: &Value, dry_run: bool) {
    let objects = answer["objects"].as_array().cloned().unwrap_or_default();
    if objects.is_empty() {
        println!("the document names nothing");
        return;
    }
    let width = |pointer: &str| objects.iter().map(|o| text(o, pointer).chars().count()).max().unwrap_or_default();
    let (kinds, names, actions) = (width("kind"), width("name"), width("action"));
    for object in &objects {
        let (kind, name, action) = (text(object, "kind"), text(object, "name"), text(object, "action"));
        let mut line = format!("{kind:kinds$}  {name:names$}  {action:actions$}");
        for extra in ["state", "endpoint_url"] {
            if let Some(value) = object[extra].as_str() {
                line.push_str("  ");
                line.push_str(value);
            }
        }
        println!("{}", line.trim_end());
        for difference in object["differences"].as_array().into_iter().flatten() {
            println!("    {}", difference_line(difference));
        }
    }
    if dry_run {
        println!("nothing was changed: this was a dry run");
    }
}

fn difference_line(difference: &Value) -> String {
    let field = text(difference, "field");
    if difference["secret"] == true {
        return format!("{field}: a secret that differs");
    }
    let shown = |value: &Value| match value {
        Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    };
    format!("{field}: {} → {}", shown(&difference["from"]), shown(&difference["to"]))
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}
