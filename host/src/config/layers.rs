//! Puts the layers together: defaults, then the file, then variables, then flags.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::mistake::{ConfigError, ConfigMistake};
use super::raw::Raw;
use super::settings::{Config, GROUPS, Server};
use crate::reference;
use crate::yaml::{Located, pointer_join};

/// The variables that mean something to others than the settings.
const NOT_SETTINGS: [&str; 9] = [
    "TRIGGERD_CONFIG",
    "TRIGGERD_URL",
    "TRIGGERD_TOKEN",
    "TRIGGERD_WORKSPACE",
    "TRIGGERD_KEY",
    "TRIGGERD_JOB_ID",
    "TRIGGERD_RUNNABLE",
    "TRIGGERD_EVENT",
    "TRIGGERD_TEST_POSTGRES",
];

/// What the settings are put together from.
#[derive(Debug, Default)]
pub struct Layers {
    /// The settings file, if one was named.
    pub file: Option<PathBuf>,
    /// The environment, as `std::env::vars()` gives it.
    pub variables: Vec<(String, String)>,
    /// Flags by the dotted key that they set; a repeated flag has several values.
    pub flags: Vec<(&'static str, Vec<String>)>,
}

/// Reads the file and puts the layers together. All mistakes are found at once.
pub fn load(layers: &Layers) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let mut mistakes = Vec::new();
    if let Some(path) = &layers.file {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.clone(),
            source,
        })?;
        set_from_file(&mut config, path, &text, layers, &mut mistakes);
    }
    set_from_variables(&mut config, &layers.variables, &mut mistakes);
    for (key, values) in &layers.flags {
        let raw = match values.as_slice() {
            [one] if *key != "runnables.command_dirs" => Raw::Text(one),
            several => Raw::Texts(several),
        };
        let place = format!(
            "--{}",
            key.rsplit('.').next().unwrap_or(key).replace('_', "-")
        );
        set(&mut config, key, raw, place, &mut mistakes);
    }
    if mistakes.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::Mistakes(mistakes))
    }
}

fn set_from_file(
    config: &mut Config,
    path: &Path,
    text: &str,
    layers: &Layers,
    mistakes: &mut Vec<ConfigMistake>,
) {
    let file = path.display();
    let located = match Located::parse(text) {
        Ok(located) => located,
        Err(error) => {
            mistakes.push(ConfigMistake {
                place: format!("{file}:{}", error.place),
                message: error.message,
            });
            return;
        }
    };
    let reader = FileReader {
        path,
        located: &located,
        layers,
    };
    match &located.value {
        Value::Null => {}
        Value::Object(map) => {
            for (key, value) in map {
                reader.read_entry(config, key, value, mistakes);
            }
        }
        _ => mistakes.push(reader.mistake("", "expected `setting: value` lines")),
    }
}

struct FileReader<'a> {
    path: &'a Path,
    located: &'a Located,
    layers: &'a Layers,
}

impl FileReader<'_> {
    fn read_entry(
        &self,
        config: &mut Config,
        key: &str,
        value: &Value,
        mistakes: &mut Vec<ConfigMistake>,
    ) {
        let pointer = pointer_join("", key);
        let Some((group, keys)) = GROUPS.iter().find(|(group, _)| *group == key) else {
            if Server::KEYS.contains(&key) {
                self.read_value(config, key, &pointer, value, mistakes);
            } else {
                let allowed: Vec<&str> = Server::KEYS
                    .iter()
                    .copied()
                    .chain(GROUPS.map(|(group, _)| group))
                    .collect();
                mistakes.push(self.unknown(&pointer, key, &allowed));
            }
            return;
        };
        match value {
            Value::Null => {}
            Value::Object(map) => {
                for (key, value) in map {
                    let pointer = pointer_join(&pointer, key);
                    if keys.contains(&key.as_str()) {
                        let dotted = format!("{group}.{key}");
                        self.read_value(config, &dotted, &pointer, value, mistakes);
                    } else {
                        mistakes.push(self.unknown(&pointer, &format!("{group}.{key}"), keys));
                    }
                }
            }
            other => mistakes.push(self.mistake(
                &pointer,
                &format!(
                    "{group}: found {other}, expected a group with {}",
                    keys.join(", ")
                ),
            )),
        }
    }

    fn read_value(
        &self,
        config: &mut Config,
        key: &str,
        pointer: &str,
        value: &Value,
        mistakes: &mut Vec<ConfigMistake>,
    ) {
        let place = format!(
            "{}:{}",
            self.path.display(),
            self.located.value_place(pointer)
        );
        match value.as_str().filter(|text| reference::is_reference(text)) {
            None => set(config, key, Raw::Json(value), place, mistakes),
            Some(text) => {
                let folder = self.path.parent().unwrap_or(Path::new("."));
                match reference::resolve(text, folder, &|name| self.variable(name)) {
                    Ok(resolved) => set(config, key, Raw::Text(&resolved), place, mistakes),
                    Err(error) => mistakes.push(ConfigMistake {
                        place,
                        message: format!("{key}: {error}"),
                    }),
                }
            }
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self
            .layers
            .variables
            .iter()
            .find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone())
    }

    fn unknown(&self, pointer: &str, key: &str, allowed: &[&str]) -> ConfigMistake {
        ConfigMistake {
            place: format!(
                "{}:{}",
                self.path.display(),
                self.located.key_place(pointer)
            ),
            message: format!("`{key}` is not a setting; allowed: {}", allowed.join(", ")),
        }
    }

    fn mistake(&self, pointer: &str, message: &str) -> ConfigMistake {
        ConfigMistake {
            place: format!(
                "{}:{}",
                self.path.display(),
                self.located.value_place(pointer)
            ),
            message: message.to_owned(),
        }
    }
}

fn set_from_variables(
    config: &mut Config,
    variables: &[(String, String)],
    mistakes: &mut Vec<ConfigMistake>,
) {
    let keys = Config::keys();
    for (name, value) in variables {
        if !name.starts_with("TRIGGERD_") || NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        match keys.iter().find(|key| variable_of(key) == *name) {
            Some(key) => set(config, key, Raw::Text(value), name.clone(), mistakes),
            None => config
                .warnings
                .push(format!("the variable {name} is not a setting")),
        }
    }
}

/// The variable that sets `key`.
pub(super) fn variable_of(key: &str) -> String {
    format!("TRIGGERD_{}", key.replace('.', "_").to_uppercase())
}

fn set(
    config: &mut Config,
    key: &str,
    raw: Raw<'_>,
    place: String,
    mistakes: &mut Vec<ConfigMistake>,
) {
    // The address of a database may hold a password: what was found is not shown.
    let found = if key == "database" {
        "a text".to_owned()
    } else {
        raw.shown()
    };
    let message = match config.set(key, raw) {
        Some(Ok(())) => return,
        Some(Err(expected)) => format!("{key}: found {found}, expected {expected}"),
        None => format!("`{key}` is not a setting"),
    };
    mistakes.push(ConfigMistake { place, message });
}
