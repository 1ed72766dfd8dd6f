//! An event as Nextcloud names it, by its class, and what its payload holds.

use trigger_plugin_api::prelude::*;

/// A class that a hook listens to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventClass {
    /// As we call it: `file_created`; of another app's event, its class.
    pub name: String,
    /// `OCP\Files\Events\Node\NodeCreatedEvent`.
    pub class: String,
    /// Where its payload has something, as a filter writes it: `event.node.path`. Absent for
    /// classes that are not declared.
    fields: Option<Vec<String>>,
}

impl EventClass {
    /// An event by our name or by its class.
    ///
    /// # Errors
    /// `INVALID_INPUT` when it is neither.
    pub fn of(declared: &Declared, given: &str) -> Result<Self> {
        let given = given.trim().trim_start_matches('\\');
        let events = &declared.declaration().events;
        let found = events.iter().find(|event| {
            event.identity.name == given || event.rules.when.names.iter().any(|name| name == given)
        });
        if let Some(event) = found {
            let variables = event.rules.variables.iter().flatten();
            return Ok(Self {
                name: event.identity.name.clone(),
                class: event.rules.when.names.first().cloned().unwrap_or_default(),
                fields: Some(
                    variables
                        .map(|(_, at)| at.as_str().trim_start_matches('/').replace('/', "."))
                        .collect(),
                ),
            });
        }
        if is_class(given) {
            return Ok(Self {
                name: given.to_owned(),
                class: given.to_owned(),
                fields: None,
            });
        }
        let names: Vec<&str> = events
            .iter()
            .map(|event| event.identity.name.as_str())
            .collect();
        Err(Error::invalid_input(format!(
            "parameters.events names `{given}`; there are {}, and classes of other apps such as OCA\\Forms\\Events\\FormSubmittedEvent",
            names.join(", ")
        )))
    }

    /// Whether its payload has this for certain.
    pub fn has(&self, field: &str) -> bool {
        let fields = self.fields.iter().flatten();
        fields.into_iter().any(|each| each == field)
    }

    /// Whether its payload can have this, or something below it. Of other apps' events nobody knows.
    pub fn may_have(&self, field: &str) -> bool {
        let is_below = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.fields.as_ref().is_none_or(|fields| {
            fields
                .iter()
                .any(|each| is_below(field, each) || is_below(each, field))
        })
    }
}

/// Names of PHP's classes are words between backslashes; events have a namespace.
fn is_class(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && !word.starts_with(|first: char| first.is_ascii_digit())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    text.contains('\\') && text.split('\\').all(is_word)
}
