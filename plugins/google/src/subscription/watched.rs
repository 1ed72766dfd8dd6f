//! What is watched: a file, a folder, a whole Drive, a shared drive or a calendar.

use std::fmt;

use serde_json::Value;
use trigger_plugin_api::prelude::*;

const HOUR_MS: i64 = 3_600_000;

/// What a channel is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    File {
        id: String,
    },
    /// `root` stands for My Drive.
    Folder {
        id: String,
        subfolders: bool,
    },
    /// All that the account sees in its Drive, what is shared with it too.
    Everything,
    SharedDrive {
        id: String,
    },
    /// `primary` stands for the account's own.
    Calendar {
        id: String,
    },
}

impl Watched {
    /// Reads `watch` and what belongs to it.
    ///
    /// # Errors
    /// `INVALID_INPUT` when a part is missing or cannot be right.
    pub fn of_parameters(parameters: &Map) -> Result<Self> {
        let watch = text(parameters, "watch")?.unwrap_or("everything");
        let id = |name: &str| {
            let id = text(parameters, name)?.ok_or_else(|| {
                Error::invalid_input(format!(
                    "parameters.{name} is missing: `watch: {watch}` needs its id"
                ))
            })?;
            assert_id(name, id)?;
            Ok::<_, Error>(id.to_owned())
        };
        Ok(match watch {
            "file" => Self::File { id: id("file")? },
            "folder" => Self::Folder {
                id: id("folder")?,
                subfolders: match parameters.get("subfolders") {
                    None | Some(Value::Null) => true,
                    Some(Value::Bool(subfolders)) => *subfolders,
                    Some(other) => {
                        return Err(Error::invalid_input(format!(
                            "parameters.subfolders is {other}, but must be true or false"
                        )));
                    }
                },
            },
            "everything" => Self::Everything,
            "shared_drive" => Self::SharedDrive { id: id("drive")? },
            "calendar" => Self::Calendar {
                id: match text(parameters, "calendar")? {
                    None => "primary".to_owned(),
                    Some(_) => id("calendar")?,
                },
            },
            other => {
                return Err(Error::invalid_input(format!(
                    "parameters.watch is `{other}`, but must be `file`, `folder`, `everything`, `shared_drive` or `calendar`"
                )));
            }
        })
    }

    /// The path below which the service of this thing is.
    pub const fn service(&self) -> &'static str {
        match self {
            Self::Calendar { .. } => "/calendar/v3",
            _ => "/drive/v3",
        }
    }

    /// As long as Google lets such a channel live.
    pub const fn lifetime_ms(&self) -> i64 {
        match self {
            Self::File { .. } => 24 * HOUR_MS,
            _ => 7 * 24 * HOUR_MS,
        }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { id } => write!(f, "the file {id}"),
            Self::Folder { id, .. } => write!(f, "the folder {id}"),
            Self::Everything => f.write_str("the Drive"),
            Self::SharedDrive { id } => write!(f, "the shared drive {id}"),
            Self::Calendar { id } => write!(f, "the calendar {id}"),
        }
    }
}

fn text<'p>(parameters: &'p Map, name: &str) -> Result<Option<&'p str>> {
    match parameters.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Some(other) => Err(Error::invalid_input(format!(
            "parameters.{name} is {other}, but must be text"
        ))),
    }
}

/// An address that somebody pasted is said to be one, instead of "not found".
fn assert_id(name: &str, id: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/?\"'\\".contains(&byte);
    if id.len() <= 256 && id.bytes().all(plain) && !matches!(id, "." | "..") {
        return Ok(());
    }
    Err(Error::invalid_input(format!(
        "parameters.{name} is `{id}`, but must be an id: the last part of its address in the browser, without the rest"
    )))
}
