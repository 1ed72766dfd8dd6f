//! What is asked of the providers when a document is planned.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use crate::credentials::{CheckError, Checked, CredentialDraft};
use crate::model::RunnableKind;
use crate::secret::Secret;

/// The loaded providers, as far as documents concern them.
pub trait Catalog: Send + Sync {
    /// The fields of a provider's subscription schema.
    fn subscription_fields(&self, provider: &str) -> Result<Vec<Field>, CatalogError>;

    /// What the plugin says of a subscription whose fields already fit the schema.
    fn validate_subscription<'a>(
        &'a self,
        provider: &'a str,
        draft: &'a SubscriptionDraft,
    ) -> BoxFuture<'a, Result<Vec<FieldMistake>, CatalogError>>;

    /// What is said of a subscription that the host makes by itself; none: the provider cannot.
    fn constructor_terms(&self, provider: &str) -> Result<Option<ConstructorTerms>, CatalogError>;

    /// What credentials of a provider consist of.
    fn credential_terms(&self, provider: &str) -> Result<CredentialTerms, CatalogError>;

    /// Whose is a credential whose fields already fit the schema? Asked at the service.
    fn check_credential<'a>(
        &'a self,
        draft: &'a CredentialDraft,
    ) -> BoxFuture<'a, Result<Checked, CheckError>>;

    /// Whether a provider speaks over a connection, and who says where that leads.
    fn socket_terms(&self, provider: &str) -> SocketTerms {
        let _ = provider;
        SocketTerms::None
    }

    /// What is wrong with running this here, such as a program outside the allowed folders; the
    /// field is named as in the stored form.
    fn check_runnable(&self, kind: RunnableKind, spec: &Value) -> Result<(), FieldMistake>;

    /// What the plugin says of a trigger's event and parameters. An event that no declaration names
    /// is in order if the provider passes such events on.
    fn validate_trigger<'a>(
        &'a self,
        provider: &'a str,
        event: &'a str,
        parameters: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Vec<FieldMistake>, CatalogError>>;
}

/// What credentials of a provider consist of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CredentialTerms {
    /// Of a key.
    pub fields: Vec<Field>,
    /// Whether accounts can be connected instead.
    pub has_oauth: bool,
    /// Whether only an integration knows where the service is.
    pub needs_base_url: bool,
}

/// What is said of a subscription that the host makes by itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConstructorTerms {
    pub parameters: Vec<Parameter>,
    /// Nothing can be made at the service without an account there.
    pub needs_credential: bool,
    /// The declared events.
    pub events: Vec<String>,
}

/// One parameter of a subscription that the host makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub kind: ParameterKind,
    pub is_required: bool,
    pub default: Option<Value>,
    /// The texts it may be; empty: any.
    pub options: Vec<String>,
}

/// What a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParameterKind {
    Text,
    Texts,
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    Switch,
    Map,
    List,
    /// Nothing that may stand in a document beside what is shown.
    Secret,
    Whatever,
}

/// Who says where a provider's connections lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketTerms {
    /// It has none.
    None,
    /// Its declaration.
    Declared,
    /// The operator.
    Open,
}

/// One field of a subscription schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// It is sealed, never shown.
    pub is_secret: bool,
    pub is_required: bool,
    /// The values it may have; empty: any text.
    pub options: Vec<String>,
}

/// A subscription as it is to be stored.
#[derive(Debug, Clone)]
pub struct SubscriptionDraft {
    pub parameters: Map<String, Value>,
    pub properties: Map<String, Value>,
    /// A JSON object, value by field name.
    pub secrets: Secret<String>,
}

/// A mistake in one field or parameter, as a plugin reports it or the host finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMistake {
    /// The field or parameter; none if it is the event or the whole that is wrong.
    pub field: Option<String>,
    pub message: String,
    pub allowed: Vec<String>,
}

/// Why a provider cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// There is none of that name; `loaded` are those there are.
    #[error("no such provider")]
    Unknown { loaded: Vec<String> },
    /// It is known but not loaded; the sentence says why and what to do.
    #[error("the provider is not loaded: {0}")]
    NotLoaded(String),
    /// It cannot do what was asked: an event without a sample, a library that is not there.
    #[error("{0}")]
    Refused(String),
    /// It was asked and failed.
    #[error("the provider failed: {0}")]
    Failed(String),
}
