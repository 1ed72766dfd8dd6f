//! Webhooks of repositories, of organisations and of the app.

use serde_json::{Map, Value, json};

use super::bodies::{self, invalid, not_found};
use crate::Answer;

/// So many webhooks a repository or an organisation may have for one event.
const HOOKS_MAX: usize = 20;

/// Whose webhook it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    Repository(String),
    Organization(String),
    App,
}

/// One webhook.
#[derive(Debug, Clone)]
pub struct Hook {
    pub id: u64,
    pub owner: Owner,
    pub active: bool,
    pub events: Vec<String>,
    pub config: Config,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// How the newest delivery was answered.
    pub last_status: Option<u16>,
}

/// Where and how it sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    pub url: String,
    pub content_type: Option<String>,
    pub insecure_ssl: bool,
    pub secret: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Hooks {
    pub all: Vec<Hook>,
    made: u64,
}

impl Owner {
    /// The path that its webhooks lie under.
    pub fn path(&self) -> String {
        match self {
            Self::Repository(name) => format!("/repos/{name}"),
            Self::Organization(login) => format!("/orgs/{login}"),
            Self::App => "/app".to_owned(),
        }
    }

    /// As `X-GitHub-Hook-Installation-Target-Type` names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Organization(_) => "organization",
            Self::App => "integration",
        }
    }
}

impl Config {
    /// Reads a whole `config`: what is not there is gone.
    fn of(config: &Value) -> Self {
        let mut made = Self::default();
        made.merge(config);
        made
    }

    /// Takes over what is there.
    pub fn merge(&mut self, config: &Value) {
        let text = |name: &str| config[name].as_str().map(str::to_owned);
        if let Some(url) = text("url") {
            self.url = url;
        }
        if let Some(content_type) = text("content_type") {
            self.content_type = Some(content_type);
        }
        if let Some(secret) = text("secret") {
            self.secret = Some(secret).filter(|secret| !secret.is_empty());
        }
        match &config["insecure_ssl"] {
            Value::Null => {}
            insecure => self.insecure_ssl = *insecure == json!("1") || *insecure == json!(1),
        }
    }

    /// As an answer shows it.
    pub fn shown(&self) -> Value {
        let mut shown = Map::new();
        shown.insert(
            "insecure_ssl".to_owned(),
            json!(if self.insecure_ssl { "1" } else { "0" }),
        );
        if !self.url.is_empty() {
            shown.insert("url".to_owned(), json!(self.url));
        }
        if let Some(content_type) = &self.content_type {
            shown.insert("content_type".to_owned(), json!(content_type));
        }
        if self.secret.is_some() {
            shown.insert("secret".to_owned(), json!("********"));
        }
        Value::Object(shown)
    }
}

impl Hooks {
    /// The webhooks of one owner, in the order in which they were made.
    pub fn of<'a>(&'a self, owner: &'a Owner) -> impl Iterator<Item = &'a Hook> {
        self.all.iter().filter(move |hook| hook.owner == *owner)
    }

    /// One webhook of an owner.
    pub fn find(&self, owner: &Owner, id: u64) -> Option<&Hook> {
        let mut all = self.all.iter();
        all.find(|hook| hook.owner == *owner && hook.id == id)
    }

    /// `POST …/hooks`: the webhook, or why not.
    pub fn create(&mut self, at_ms: i64, owner: &Owner, body: &Value) -> Result<&Hook, Answer> {
        let config = Config::of(&body["config"]);
        check_config(&config)?;
        if body["name"].as_str().is_some_and(|name| name != "web") {
            return Err(refused("name", "must be \"web\""));
        }
        let events = texts(&body["events"]).unwrap_or_else(|| vec!["push".to_owned()]);
        check_events(&events)?;
        if self.of(owner).any(|hook| hook.config.url == config.url) {
            let message = format!("Hook already exists on this {}", owner.kind());
            return Err(invalid(json!([
                {"resource": "Hook", "code": "custom", "message": message}
            ])));
        }
        let full = events.iter().find(|event| {
            let with_event = self.of(owner).filter(|hook| hook.events.contains(event));
            with_event.count() >= HOOKS_MAX
        });
        if let Some(event) = full {
            let message = format!("The \"{event}\" event cannot have more than {HOOKS_MAX} hooks");
            return Err(invalid(json!([
                {"resource": "Hook", "code": "custom", "message": message}
            ])));
        }
        self.made += 1;
        self.all.push(Hook {
            id: 500_000_000 + self.made,
            owner: owner.clone(),
            active: body["active"].as_bool().unwrap_or(true),
            events,
            config,
            created_ms: at_ms,
            updated_ms: at_ms,
            last_status: None,
        });
        Ok(self.all.last().expect("invariant: it was just pushed"))
    }

    /// `PATCH …/hooks/{id}`. The whole `config` is replaced: without its secret it has none.
    pub fn change(
        &mut self,
        at_ms: i64,
        owner: &Owner,
        id: u64,
        body: &Value,
    ) -> Result<&Hook, Answer> {
        let config = match &body["config"] {
            Value::Null => None,
            config => Some(Config::of(config)),
        };
        if let Some(config) = &config {
            check_config(config)?;
        }
        let hook = self.find_mut(owner, id)?;
        let mut events = texts(&body["events"]).unwrap_or_else(|| hook.events.clone());
        events.extend(texts(&body["add_events"]).unwrap_or_default());
        let removed = texts(&body["remove_events"]).unwrap_or_default();
        events.retain(|event| !removed.contains(event));
        events.sort();
        events.dedup();
        check_events(&events)?;
        hook.events = events;
        hook.config = config.unwrap_or_else(|| hook.config.clone());
        hook.active = body["active"].as_bool().unwrap_or(hook.active);
        hook.updated_ms = at_ms;
        Ok(hook)
    }

    /// `PATCH …/config`: only what is there is changed.
    pub fn change_config(
        &mut self,
        at_ms: i64,
        owner: &Owner,
        id: u64,
        body: &Value,
    ) -> Result<&Hook, Answer> {
        let hook = self.find_mut(owner, id)?;
        let mut config = hook.config.clone();
        config.merge(body);
        check_config(&config)?;
        hook.config = config;
        hook.updated_ms = at_ms;
        Ok(hook)
    }

    /// `DELETE …/hooks/{id}`.
    pub fn delete(&mut self, owner: &Owner, id: u64) -> Answer {
        let before = self.all.len();
        self.all
            .retain(|hook| hook.owner != *owner || hook.id != id);
        match self.all.len() < before {
            true => Answer::status(204),
            false => not_found(),
        }
    }

    /// How a delivery of it was answered.
    pub fn answered(&mut self, id: u64, status: u16) {
        if let Some(hook) = self.all.iter_mut().find(|hook| hook.id == id) {
            hook.last_status = Some(status);
        }
    }

    fn find_mut(&mut self, owner: &Owner, id: u64) -> Result<&mut Hook, Answer> {
        let mut all = self.all.iter_mut();
        all.find(|hook| hook.owner == *owner && hook.id == id)
            .ok_or_else(bodies::not_found)
    }
}

fn check_config(config: &Config) -> Result<(), Answer> {
    if config.url.is_empty() {
        return Err(refused("url", "cannot be blank"));
    }
    if !["http://", "https://"]
        .iter()
        .any(|scheme| config.url.starts_with(scheme))
    {
        return Err(refused("url", "is not a valid URL"));
    }
    match config.content_type.as_deref() {
        None | Some("json" | "form") => Ok(()),
        Some(_) => Err(refused("content_type", "is not included in the list")),
    }
}

/// `ping` is sent without being asked for, and refused when it is.
fn check_events(events: &[String]) -> Result<(), Answer> {
    let is_known = |event: &String| {
        event == "*"
            || event != "ping"
                && event
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || b"_2".contains(&byte))
    };
    match events.iter().all(is_known) {
        true => Ok(()),
        false => Err(refused("events", "is not included in the list")),
    }
}

fn refused(field: &str, message: &str) -> Answer {
    invalid(json!([
        {"resource": "Hook", "field": field, "code": "custom", "message": format!("{field} {message}")}
    ]))
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?.iter();
    Some(items.filter_map(Value::as_str).map(str::to_owned).collect())
}
