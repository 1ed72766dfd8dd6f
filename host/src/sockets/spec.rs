//! What is said of a connection: by the operator in a subscription's `socket`, or by a provider in
//! its declaration, as a template over the subscription's fields.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::units::{parse_duration, parse_size};

/// Under this key of a subscription's parameters stands what the operator said.
pub const PARAMETER: &str = "socket";
/// Secret headers stand among a subscription's secrets under this and their name.
pub const SECRET_HEADER: &str = "socket.header.";

const IDLE: Duration = Duration::from_secs(60);
const MESSAGE_MAX: usize = 1 << 20;

/// What is said of one connection.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketSpec {
    pub url: Source,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// In this order, at each connection.
    #[serde(default)]
    pub initial_messages: Vec<Opening>,
    pub heartbeat: Option<Heartbeat>,
    #[serde(default)]
    pub reply: Reply,
    /// Without a sign of life for so long, the connection is dead.
    pub idle: Option<String>,
    /// Larger messages end the connection.
    pub message_max: Option<Value>,
    /// Ranges opened beyond public addresses.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// A text, or the runnable that returns it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Source {
    Text(String),
    Asked(Asked),
}

/// A message that is sent when a connection begins.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Opening {
    Message(Said),
    Asked(Asked),
}

/// JSON, sent as it is; a text without its quotes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    pub message: Value,
}

/// A runnable by its path, and what it is given.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    pub runnable: String,
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// A message that is sent again and again.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// `{{state}}` in it is replaced.
    pub message: String,
    pub every: String,
    /// By the last value of this field, as JSON.
    pub state: Option<String>,
}

/// What goes back over the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reply {
    pub results: bool,
    pub errors: bool,
}

impl SocketSpec {
    /// What the provider declares, filled in with the subscription's fields, or what the operator
    /// said where the provider leaves it open.
    pub fn read(
        declared: Option<&Value>,
        parameters: &Map<String, Value>,
        fields: &Map<String, Value>,
    ) -> Result<SocketSpec, String> {
        let said = match (declared, parameters.get(PARAMETER)) {
            (Some(declared), _) => filled(declared, fields),
            (None, Some(said)) => said.clone(),
            (None, None) => return Err("the subscription has no `socket`".to_owned()),
        };
        serde_json::from_value(said).map_err(|error| format!("`socket`: {error}"))
    }

    pub fn idle(&self) -> Duration {
        let idle = self.idle.as_deref().and_then(parse_duration);
        idle.filter(|idle| !idle.is_zero()).unwrap_or(IDLE)
    }

    pub fn message_max(&self) -> usize {
        let said = match &self.message_max {
            Some(Value::String(text)) => parse_size(text),
            Some(other) => other.as_u64(),
            None => None,
        };
        said.and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(MESSAGE_MAX)
    }
}

impl Heartbeat {
    pub fn every(&self) -> Duration {
        let every = parse_duration(&self.every).unwrap_or(IDLE);
        every.max(Duration::from_secs(1))
    }

    /// With the last value of the named field, or `null`.
    pub fn filled(&self, state: &Value) -> String {
        self.message.replace("{{state}}", &state.to_string())
    }
}

/// How a JSON value goes over a connection.
pub fn as_sent(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `{name}` in every text is replaced by the field of that name.
fn filled(value: &Value, fields: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            for (name, field) in fields {
                let place = format!("{{{name}}}");
                if text.contains(&place) {
                    text = text.replace(&place, &as_sent(field));
                }
            }
            Value::String(text)
        }
        Value::Array(items) => items.iter().map(|item| filled(item, fields)).collect(),
        Value::Object(map) => {
            let filled = map
                .iter()
                .map(|(key, item)| (key.clone(), filled(item, fields)));
            Value::Object(filled.collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().expect("a map")
    }

    #[test]
    fn an_operator_says_all_of_it_or_a_provider_with_fields() {
        let said = json!({"socket": {
            "url": {"runnable": "f/x/url"},
            "initial_messages": [{"message": {"op": 1}}, {"runnable": "f/x/a", "arguments": {"b": 1}}],
            "heartbeat": {"message": "x{{state}}", "every": "10s", "state": "s"},
            "reply": {"results": true}, "idle": "5s", "message_max": "2KiB",
        }});
        let spec = SocketSpec::read(None, &map(&said), &Map::new()).expect("a spec");
        assert_eq!(
            (spec.idle(), spec.message_max()),
            (Duration::from_secs(5), 2048)
        );
        assert!(matches!(&spec.url, Source::Asked(asked) if asked.runnable == "f/x/url"));
        assert_eq!(spec.initial_messages.len(), 2);
        let heartbeat = spec.heartbeat.expect("a heartbeat");
        assert_eq!(heartbeat.filled(&json!("a")), "x\"a\"");
        assert_eq!(heartbeat.filled(&Value::Null), "xnull");

        let declared = json!({"url": "wss://acme.example/{channel}?k={token}",
            "initial_messages": [{"message": {"subscribe": "{channel}", "{x}": 1}}]});
        let fields = map(&json!({"channel": "c1", "token": "t"}));
        let spec = SocketSpec::read(Some(&declared), &Map::new(), &fields).expect("a spec");
        assert_eq!(
            spec.url,
            Source::Text("wss://acme.example/c1?k=t".to_owned())
        );
        let first = Opening::Message(Said {
            message: json!({"subscribe": "c1", "{x}": 1}),
        });
        assert_eq!(spec.initial_messages, [first]);
        assert!(SocketSpec::read(None, &Map::new(), &Map::new()).is_err());
    }

    #[test]
    fn texts_are_sent_without_their_quotes() {
        assert_eq!(as_sent(&json!("hello")), "hello");
        assert_eq!(as_sent(&json!({"a": [1, null]})), r#"{"a":[1,null]}"#);
    }
}
