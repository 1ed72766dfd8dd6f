//! What is wrong with the settings, and where it stands.

use std::fmt;
use std::path::PathBuf;

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the settings file {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{}", lines(.0))]
    Mistakes(Vec<ConfigMistake>),
}

/// One mistake: `place` is `file:line:column`, a variable's name or a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMistake {
    pub place: String,
    pub message: String,
}

impl fmt::Display for ConfigMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

fn lines(mistakes: &[ConfigMistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
