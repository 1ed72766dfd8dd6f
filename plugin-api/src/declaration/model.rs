//! What a provider says of itself, as read from its files.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::declaration::schema::Schema;
use crate::declaration::text::Text;
use crate::rules::vocabulary::{EventRules, ProviderRules};
use crate::samples::Sample;

/// A provider's declaration. Serialized, it is what `describe` answers.
#[derive(Debug, Clone, Serialize)]
pub struct Declaration {
    pub identity: Identity,
    /// What an operator fills in who sets the webhook up by hand.
    pub subscription_schema: Vec<Field>,
    pub subscription_constructor: Option<Constructor>,
    pub events: Vec<EventDeclaration>,
    /// `extra.native` as it was written: `oauth`, `permissions`, `lease` are for the host.
    pub native: Map<String, Value>,
    /// Keys that this version does not know.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub unknown: Map<String, Value>,
    /// `extra.native` as the engine understands it.
    #[serde(skip)]
    pub rules: ProviderRules,
    pub samples: Vec<Sample>,
}

/// Who it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Identity {
    /// What everything else refers to.
    pub name: String,
    pub author: String,
    pub label: Text,
    pub description: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_dark: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub unknown: Map<String, Value>,
}

/// How the host can make subscriptions by itself.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Constructor {
    pub parameters: Vec<Field>,
    pub credentials_schema: Vec<Field>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_schema: Option<OauthSchema>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub unknown: Map<String, Value>,
}

/// What an OAuth client and an OAuth credential consist of.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OauthSchema {
    pub client_schema: Vec<Field>,
    pub credentials_schema: Vec<Field>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub unknown: Map<String, Value>,
}

/// One field of a form: of a schema, or a parameter.
#[derive(Debug, Clone, Serialize)]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: FieldKind,
    pub required: bool,
    pub multiple: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Digits after the decimal point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    pub label: Text,
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub help: Text,
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub placeholder: Text,
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub description: Text,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `scope`, `auto_generate`, `template` of Dify's parameters, and what else is not known here.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// One value of a `select` or `checkbox`.
#[derive(Debug, Clone, Serialize)]
pub struct Choice {
    pub value: String,
    pub label: Text,
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FieldKind {
    #[serde(rename = "secret-input")]
    Secret,
    #[serde(rename = "text-input")]
    TextInput,
    #[serde(rename = "string")]
    Text,
    #[serde(rename = "number")]
    Number,
    #[serde(rename = "boolean")]
    Boolean,
    #[serde(rename = "select")]
    Select,
    #[serde(rename = "checkbox")]
    Checkbox,
    #[serde(rename = "dynamic-select")]
    DynamicSelect,
    #[serde(rename = "file")]
    File,
    #[serde(rename = "files")]
    Files,
    #[serde(rename = "object")]
    Object,
    #[serde(rename = "array")]
    Array,
    #[serde(rename = "array[tools]")]
    Tools,
    #[serde(rename = "model-selector")]
    Model,
    #[serde(rename = "app-selector")]
    App,
}

impl FieldKind {
    /// Every word for it in a declaration, with Dify's older synonyms last.
    pub const WORDS: &[(&str, FieldKind)] = &[
        ("secret-input", Self::Secret),
        ("text-input", Self::TextInput),
        ("string", Self::Text),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("select", Self::Select),
        ("checkbox", Self::Checkbox),
        ("dynamic-select", Self::DynamicSelect),
        ("file", Self::File),
        ("files", Self::Files),
        ("object", Self::Object),
        ("array", Self::Array),
        ("array[tools]", Self::Tools),
        ("model-selector", Self::Model),
        ("app-selector", Self::App),
        ("password", Self::Secret),
        ("text", Self::TextInput),
        ("integer", Self::Number),
        ("bool", Self::Boolean),
    ];
}

/// One event that a provider knows.
#[derive(Debug, Clone, Serialize)]
pub struct EventDeclaration {
    pub identity: Identity,
    pub description: Text,
    pub parameters: Vec<Field>,
    /// JSON Schema of the variables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Schema>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub native: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub unknown: Map<String, Value>,
    #[serde(skip)]
    pub rules: EventRules,
}

impl Declaration {
    pub fn event(&self, name: &str) -> Option<&EventDeclaration> {
        self.events.iter().find(|event| event.identity.name == name)
    }

    /// The fields of a subscription by name: those filled in by hand, then the constructor's parameters.
    pub fn subscription_fields(&self) -> IndexMap<&str, &Field> {
        let constructor = self
            .subscription_constructor
            .iter()
            .flat_map(|constructor| &constructor.parameters);
        let fields = constructor.chain(&self.subscription_schema);
        fields.map(|field| (field.name.as_str(), field)).collect()
    }
}
