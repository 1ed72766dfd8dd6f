//! What documents and the API ask of the providers, answered by the registry.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use trigger_plugin_abi::codes;
use trigger_plugin_abi::host::CallError;
use trigger_plugin_api::declaration::FieldKind;
use trigger_plugin_api::messages::{FieldError, OwnedRequest};

use crate::api::{
    ProviderRow, ProviderState, Providers, SampleOrder, SampleRequest, SharedClientRow,
};
use crate::clock::{Clock, random};
use crate::credentials::{CheckError, Checked, CredentialDraft, Credentials};
use crate::documents::{
    Catalog, CatalogError, ConstructorTerms, CredentialTerms, Field, FieldMistake, Parameter,
    ParameterKind, SocketTerms, SubscriptionDraft,
};
use crate::model::RunnableKind;
use crate::plugins::facts::SocketFacts;
use crate::plugins::registry::EnableError;
use crate::plugins::{self, Found, LiveProvider, Registry};
use crate::runnables::{RunnableSpec, Runner};

/// The registry behind the API's questions.
pub struct RegistryProviders {
    /// Which providers serve.
    pub registry: Registry,
    /// What can be run here.
    pub runner: Runner,
    /// What keys are shown to before they are kept.
    pub credentials: Credentials,
    /// For samples.
    pub clock: Clock,
}

impl RegistryProviders {
    fn live(&self, name: &str) -> Result<std::sync::Arc<LiveProvider>, CatalogError> {
        let rows = || self.registry.rows().into_iter();
        match self.registry.find(name) {
            Found::Live(live) => Ok(live),
            Found::Down => {
                let message = rows()
                    .find(|row| row.name == name)
                    .and_then(|row| row.message);
                let message = message
                    .unwrap_or_else(|| format!("enable it: `triggerd provider enable {name}`"));
                Err(CatalogError::NotLoaded(message))
            }
            Found::Unknown => match rows().find(|row| row.name == name) {
                Some(row) => Err(CatalogError::NotLoaded(row.message.unwrap_or_default())),
                None => Err(CatalogError::Unknown {
                    loaded: rows()
                        .filter(|row| row.serving)
                        .map(|row| row.name)
                        .collect(),
                }),
            },
        }
    }
}

impl Catalog for RegistryProviders {
    fn subscription_fields(&self, provider: &str) -> Result<Vec<Field>, CatalogError> {
        let live = self.live(provider)?;
        Ok(fields(&live.facts.subscription_schema))
    }

    fn constructor_terms(&self, provider: &str) -> Result<Option<ConstructorTerms>, CatalogError> {
        let live = self.live(provider)?;
        let auth = &live.facts.auth;
        let declared = live.facts.constructor_parameters.as_ref();
        Ok(declared.map(|declared| ConstructorTerms {
            parameters: declared.iter().map(parameter).collect(),
            needs_credential: auth.oauth.is_some() || !auth.credentials_schema.is_empty(),
            events: live.facts.events.clone(),
        }))
    }

    fn socket_terms(&self, provider: &str) -> SocketTerms {
        match self.live(provider).map(|live| live.facts.socket.clone()) {
            Ok(Some(SocketFacts { template: None })) => SocketTerms::Open,
            Ok(Some(_)) => SocketTerms::Declared,
            _ => SocketTerms::None,
        }
    }

    fn credential_terms(&self, provider: &str) -> Result<CredentialTerms, CatalogError> {
        let live = self.live(provider)?;
        let auth = &live.facts.auth;
        Ok(CredentialTerms {
            fields: fields(&auth.credentials_schema),
            has_oauth: auth.oauth.is_some(),
            needs_base_url: auth.needs_base_url(),
        })
    }

    fn check_credential<'a>(
        &'a self,
        draft: &'a CredentialDraft,
    ) -> BoxFuture<'a, Result<Checked, CheckError>> {
        self.credentials.check(draft).boxed()
    }

    fn validate_subscription<'a>(
        &'a self,
        provider: &'a str,
        draft: &'a SubscriptionDraft,
    ) -> BoxFuture<'a, Result<Vec<FieldMistake>, CatalogError>> {
        async move {
            let live = self.live(provider)?;
            let spec = spec("", "", draft);
            let answer = live
                .call("validate_subscription", spec.to_string())
                .await
                .map_err(failed)?;
            let errors: Vec<FieldError> = read(&answer)?;
            let mistakes = errors.into_iter().map(|error| FieldMistake {
                // The schema's section is not part of the document.
                field: error
                    .field
                    .rsplit('.')
                    .next()
                    .filter(|field| !field.is_empty())
                    .map(str::to_owned),
                message: error.message,
                allowed: Vec::new(),
            });
            Ok(mistakes.collect())
        }
        .boxed()
    }

    fn check_runnable(&self, kind: RunnableKind, spec: &Value) -> Result<(), FieldMistake> {
        let checked = RunnableSpec::parse(kind, spec).and_then(|spec| self.runner.check(&spec));
        checked.map_err(|error| FieldMistake {
            message: format!("found {}, expected {}", error.found, error.expected),
            field: Some(error.field),
            allowed: Vec::new(),
        })
    }

    fn validate_trigger<'a>(
        &'a self,
        provider: &'a str,
        event: &'a str,
        parameters: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Vec<FieldMistake>, CatalogError>> {
        async move {
            let live = self.live(provider)?;
            let parameters = Value::Object(parameters.clone()).to_string();
            match live.open_trigger(event, &parameters) {
                Ok(_) => Ok(Vec::new()),
                Err(error) if error.code == codes::INVALID_INPUT => {
                    let allowed = live.facts.events.iter().any(|known| known == event);
                    Ok(vec![FieldMistake {
                        field: None,
                        message: said(&error),
                        allowed: if allowed {
                            Vec::new()
                        } else {
                            live.facts.events.clone()
                        },
                    }])
                }
                Err(error) => Err(failed(error)),
            }
        }
        .boxed()
    }
}

impl Providers for RegistryProviders {
    fn list(&self) -> Vec<ProviderRow> {
        self.registry.rows().into_iter().map(shown).collect()
    }

    fn is_settled(&self) -> bool {
        self.registry.is_settled()
    }

    fn takes_webhooks(&self, provider: &str) -> bool {
        self.live(provider)
            .map_or(true, |live| live.facts.takes_webhooks)
    }

    fn shared_clients(&self) -> Vec<SharedClientRow> {
        let names = self.registry.rows().into_iter().map(|row| row.name);
        let shared = names.filter_map(|name| {
            let live = self.live(&name).ok()?;
            let auth = &live.facts.auth;
            auth.shared_client.as_ref()?;
            Some(SharedClientRow {
                provider: name,
                base_url: auth.base_url.clone(),
            })
        });
        shared.collect()
    }

    fn sample<'a>(
        &'a self,
        order: &'a SampleOrder,
    ) -> BoxFuture<'a, Result<SampleRequest, CatalogError>> {
        async move {
            let live = self.live(&order.provider)?;
            let now = self.clock.now();
            let wanted =
                json!({"event": order.event, "now_ms": now.0, "delivery_id": delivery_id()});
            let answer = live
                .call("sample", wanted.to_string())
                .await
                .map_err(failed)?;
            let mut request: OwnedRequest = read(&answer)?;
            request.path = endpoint_path(&order.endpoint_url).to_owned();
            request.received_at_ms = now.0;
            let subscription = spec(
                order.subscription_id.as_str(),
                &order.endpoint_url,
                &order.draft,
            );
            let unsigned = json!({"subscription": subscription, "request": request}).to_string();
            let answer = live.call("sign", unsigned).await.map_err(failed)?;
            let signed: Vec<(String, String)> = read(&answer)?;
            let headers = request
                .headers
                .into_iter()
                .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()));
            Ok(SampleRequest {
                method: request.method,
                query: request.query,
                headers: headers.chain(signed).collect(),
                body: request.body,
            })
        }
        .boxed()
    }

    fn enable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<ProviderRow, CatalogError>> {
        async move { self.registry.enable(name).await.map(shown).map_err(refused) }.boxed()
    }

    fn disable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<ProviderRow, CatalogError>> {
        async move {
            self.registry
                .disable(name)
                .await
                .map(shown)
                .map_err(refused)
        }
        .boxed()
    }
}

fn fields(schema: &[trigger_plugin_api::declaration::Field]) -> Vec<Field> {
    let fields = schema.iter().map(|field| Field {
        name: field.name.clone(),
        is_secret: field.kind == FieldKind::Secret,
        is_required: field.required,
        options: field
            .options
            .iter()
            .map(|option| option.value.clone())
            .collect(),
    });
    fields.collect()
}

fn parameter(declared: &trigger_plugin_api::declaration::Field) -> Parameter {
    let kind = match declared.kind {
        FieldKind::Secret => ParameterKind::Secret,
        FieldKind::Checkbox => ParameterKind::Texts,
        FieldKind::TextInput | FieldKind::Text | FieldKind::Select | FieldKind::DynamicSelect => {
            match declared.multiple {
                true => ParameterKind::Texts,
                false => ParameterKind::Text,
            }
        }
        FieldKind::Number => ParameterKind::Number {
            min: declared.min,
            max: declared.max,
        },
        FieldKind::Boolean => ParameterKind::Switch,
        FieldKind::Object => ParameterKind::Map,
        FieldKind::Array | FieldKind::Tools | FieldKind::Files => ParameterKind::List,
        FieldKind::File | FieldKind::Model | FieldKind::App => ParameterKind::Whatever,
    };
    let options = declared.options.iter();
    Parameter {
        name: declared.name.clone(),
        kind,
        is_required: declared.required,
        default: declared
            .default
            .clone()
            .filter(|default| !default.is_null()),
        options: match declared.kind {
            FieldKind::DynamicSelect => Vec::new(),
            _ => options.map(|option| option.value.clone()).collect(),
        },
    }
}

fn shown(row: plugins::ProviderRow) -> ProviderRow {
    ProviderRow {
        state: match row.state {
            plugins::ProviderState::Live => ProviderState::Loaded,
            plugins::ProviderState::Discovered => ProviderState::Discovered,
            plugins::ProviderState::Disabled => ProviderState::Disabled,
            plugins::ProviderState::Refused | plugins::ProviderState::Missing => {
                ProviderState::Refused
            }
            plugins::ProviderState::Quarantined => ProviderState::Quarantined,
        },
        name: row.name,
        message: row.message,
        label: row.label,
        version: row.version,
        library: row.library,
        sha256: row.digest,
        events: row.events,
        problem: row.problem,
        abi: row.abi,
        compiler: row.compiler,
        serving: row.serving,
        loaded_at: row.loaded_at.map(|at| at.to_string()),
        loads: row.loads,
        warnings: row.warnings,
    }
}

/// A subscription as the contract hands it to a plugin.
fn spec(id: &str, endpoint_url: &str, draft: &SubscriptionDraft) -> Value {
    let secrets: Value = serde_json::from_str(draft.secrets.expose()).unwrap_or(Value::Null);
    json!({
        "id": id,
        "endpoint_url": endpoint_url,
        "parameters": draft.parameters,
        "properties": draft.properties,
        "secrets": secrets,
    })
}

fn endpoint_path(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    url[after_scheme..]
        .find('/')
        .map_or("/", |at| &url[after_scheme + at..])
}

/// In the form that most services use for theirs: a random UUID (RFC 9562, version 4).
fn delivery_id() -> String {
    let mut bytes = [0u8; 16];
    random(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &text[..8],
        &text[8..12],
        &text[12..16],
        &text[16..20],
        &text[20..]
    )
}

fn read<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, CatalogError> {
    serde_json::from_slice(answer)
        .map_err(|error| CatalogError::Failed(format!("its answer cannot be read: {error}")))
}

fn failed(error: CallError) -> CatalogError {
    match error.code {
        codes::NOT_FOUND | codes::UNSUPPORTED | codes::INVALID_INPUT => {
            CatalogError::Refused(said(&error))
        }
        _ => CatalogError::Failed(said(&error)),
    }
}

fn said(error: &CallError) -> String {
    match &error.detail {
        Some(detail) => format!("{}: {detail}", error.message),
        None => error.message.clone(),
    }
}

fn refused(error: EnableError) -> CatalogError {
    CatalogError::Refused(error.to_string())
}
