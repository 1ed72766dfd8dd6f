//! A push is to a branch or of a tag, never both: a trigger that names branches and tags wants
//! either, as in GitHub's own workflow files, while the declared filters must all match.

use trigger_plugin_api::prelude::*;

/// The event's name.
pub const NAME: &str = "push";

const REFS: [&str; 2] = ["branches", "tags"];

/// Matches a push, by the declared filters wherever they say it.
pub fn on_event(declared: &Declared, trigger: &Trigger, event: &EventCall<'_>) -> Result<Outcome> {
    if !REFS.iter().all(|name| is_set(trigger, name)) {
        return declared.on_event(trigger, event);
    }
    for other in REFS {
        let mut parameters = trigger.parameters.clone();
        parameters.remove(other);
        let trigger = declared.open_trigger(NAME, parameters)?;
        if let fires @ Outcome::Fires(_) = declared.on_event(&trigger, event)? {
            return Ok(fires);
        }
    }
    Ok(Outcome::NotForThisTrigger)
}

fn is_set(trigger: &Trigger, name: &str) -> bool {
    use serde_json::Value::{Array, Null, String};
    match trigger.parameters.get(name) {
        None | Some(Null) => false,
        Some(Array(list)) => !list.is_empty(),
        Some(String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}
