//! Files are filtered by the path that people see, by folder and by media type; the declared rules
//! know only the path as Nextcloud sends it.

use serde::Deserialize;
use serde_json::Value;
use trigger_plugin_api::prelude::*;

use crate::files::media_type::{endings, has_ending};
use crate::files::path::{FilePath, PathGlobs};

/// The variables that say where a file is. Of what is copied or moved there are two.
#[derive(Deserialize)]
struct Places {
    path: Option<String>,
    source_path: Option<String>,
}

/// Matches an event of a file by the declared filters, then by where and what the file is.
pub fn on_event(declared: &Declared, trigger: &Trigger, event: &EventCall<'_>) -> Result<Outcome> {
    let outcome = declared.on_event(trigger, event)?;
    let Outcome::Fires(Variables::Json(variables)) = &outcome else {
        return Ok(outcome);
    };
    if !PARAMETERS
        .iter()
        .any(|name| trigger.parameters.contains_key(*name))
    {
        return Ok(outcome);
    }
    let places: Places = serde_json::from_slice(variables).map_err(|error| {
        Error::invalid_input("the event says no path").with_detail(error.to_string())
    })?;
    let (path, source) = (
        places.path.as_deref().map(FilePath::of),
        places.source_path.as_deref().map(FilePath::of),
    );
    let fires = is_at(trigger, "paths", path)?
        && is_at(trigger, "source_paths", source)?
        && lies_in(trigger, "folders", path)?
        && lies_in(trigger, "source_folders", source)?
        && is_of_type(trigger, path)?;
    Ok(if fires {
        outcome
    } else {
        Outcome::NotForThisTrigger
    })
}

const PARAMETERS: [&str; 5] = [
    "paths",
    "source_paths",
    "folders",
    "source_folders",
    "mime_types",
];

fn is_at(trigger: &Trigger, parameter: &str, path: Option<FilePath<'_>>) -> Result<bool> {
    let globs = texts(trigger, parameter)?;
    if globs.is_empty() {
        return Ok(true);
    }
    let globs = PathGlobs::new(globs).map_err(|error| of_parameter(parameter, error))?;
    Ok(path.is_some_and(|path| globs.matches(&path)))
}

fn lies_in(trigger: &Trigger, parameter: &str, path: Option<FilePath<'_>>) -> Result<bool> {
    let folders = texts(trigger, parameter)?;
    let lies = |path: FilePath<'_>| folders.iter().any(|folder| path.lies_in(folder));
    Ok(folders.is_empty() || path.is_some_and(lies))
}

fn is_of_type(trigger: &Trigger, path: Option<FilePath<'_>>) -> Result<bool> {
    let wanted = texts(trigger, "mime_types")?;
    if wanted.is_empty() {
        return Ok(true);
    }
    let mut found = false;
    for each in wanted {
        let endings = endings(each).map_err(|error| of_parameter("mime_types", error))?;
        found |= path.is_some_and(|path| has_ending(path.name(), &endings));
    }
    Ok(found)
}

/// A single text stands for a list of one. What is no text is refused: passed over, it would let
/// everything through.
fn texts<'t>(trigger: &'t Trigger, parameter: &str) -> Result<Vec<&'t str>> {
    let items = match trigger.parameters.get(parameter) {
        Some(Value::Array(items)) => items.as_slice(),
        None | Some(Value::Null) => &[],
        Some(single) => std::slice::from_ref(single),
    };
    let text = |item: &'t Value| {
        item.as_str().ok_or_else(|| {
            Error::invalid_input(format!(
                "parameter `{parameter}` has {item} in it; texts are expected"
            ))
        })
    };
    let texts = items.iter().map(text).collect::<Result<Vec<_>>>()?;
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}

fn of_parameter(parameter: &str, error: Error) -> Error {
    Error::invalid_input(format!("parameter `{parameter}`: {}", error.message))
}
