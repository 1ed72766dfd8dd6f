//! The document's integrations and credentials as types, and reading them from JSON.

use serde_json::{Map, Value};

use super::document::note;
use super::fields::Fields;
use super::mistake::Mistake;
use super::words;
use crate::credentials::{SHARED, base_url_form};

/// An integration as it is wanted.
#[derive(Clone, PartialEq)]
pub struct IntegrationEntry {
    /// Where the entry stands, for mistakes found later.
    pub pointer: String,
    pub name: String,
    pub provider: String,
    /// Without a slash at its end.
    pub base_url: Option<String>,
    pub client_id: Option<String>,
    pub client_secret: Option<String>,
}

/// A credential as it is wanted.
#[derive(Clone, PartialEq)]
pub struct CredentialEntry {
    pub pointer: String,
    pub name: String,
    pub provider: String,
    /// The name of an integration; `shared` is that of the instance.
    pub integration: Option<String>,
    /// The fields of the provider's credentials schema; some of them are secret. None: the account
    /// is connected by `triggerd connect`, and only expected here.
    pub values: Option<Map<String, Value>>,
}

impl std::fmt::Debug for IntegrationEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("IntegrationEntry");
        shown
            .field("name", &self.name)
            .field("provider", &self.provider);
        shown
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CredentialEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("CredentialEntry");
        shown
            .field("name", &self.name)
            .field("provider", &self.provider);
        shown
            .field("integration", &self.integration)
            .finish_non_exhaustive()
    }
}

pub(super) fn read_integration(
    value: &Value,
    pointer: String,
    mistakes: &mut Vec<Mistake>,
) -> Option<IntegrationEntry> {
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let name = fields.text("name", mistakes);
    if let Some(name) = name {
        note(words::name(name), &fields, "name", mistakes);
        if name == SHARED {
            let taken = Err(format!(
                "another name: `{SHARED}` is the client of the instance"
            ));
            note(taken, &fields, "name", mistakes);
        }
    }
    let provider = fields.text("provider", mistakes);
    let base_url = fields.text_if_any("base_url", mistakes).map(base_url_form);
    if let Some(Err(expected)) = &base_url {
        note(Err(expected.clone()), &fields, "base_url", mistakes);
    }
    let client = fields.map("client", mistakes).cloned().map(Value::Object);
    let client_pointer = fields.pointer_of("client");
    fields.finish(mistakes);
    let (client_id, client_secret) = match &client {
        Some(client) => read_client(client, client_pointer, mistakes)?,
        None => (None, None),
    };
    Some(IntegrationEntry {
        pointer,
        name: name?.to_owned(),
        provider: provider?.to_owned(),
        base_url: base_url.and_then(Result::ok),
        client_id,
        client_secret,
    })
}

type ClientTexts = (Option<String>, Option<String>);

fn read_client(value: &Value, pointer: String, mistakes: &mut Vec<Mistake>) -> Option<ClientTexts> {
    let mut fields = Fields::open(value, pointer, mistakes)?;
    let id = fields.text("client_id", mistakes);
    let secret = fields.text_if_any("client_secret", mistakes);
    for (key, text) in [("client_id", id), ("client_secret", secret)] {
        if text.is_some_and(|text| text.is_empty() || text.chars().any(char::is_control)) {
            let expected = Err("a text of one line that is not empty".to_owned());
            note(expected, &fields, key, mistakes);
        }
    }
    fields.finish(mistakes);
    Some((id.map(str::to_owned), secret.map(str::to_owned)))
}

pub(super) fn read_credential(
    value: &Value,
    pointer: String,
    mistakes: &mut Vec<Mistake>,
) -> Option<CredentialEntry> {
    let mut fields = Fields::open(value, pointer.clone(), mistakes)?;
    let name = fields.text("name", mistakes);
    if let Some(name) = name {
        note(words::name(name), &fields, "name", mistakes);
    }
    let provider = fields.text("provider", mistakes);
    let integration = fields.text_if_any("integration", mistakes);
    let values = fields.map("values", mistakes);
    fields.finish(mistakes);
    Some(CredentialEntry {
        pointer,
        name: name?.to_owned(),
        provider: provider?.to_owned(),
        integration: integration.map(str::to_owned),
        values: values.cloned(),
    })
}
