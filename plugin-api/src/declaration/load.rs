//! Reads a declaration from its files: `provider.yaml`, `events/*.yaml`, `samples/**`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use trigger_plugin_abi::bundle::Bundle;

use crate::declaration::fields::{fields, identity, text};
use crate::declaration::finding::{DeclarationError, Finding, Findings};
use crate::declaration::model::{Constructor, Declaration, EventDeclaration, OauthSchema};
use crate::declaration::native::{read_event_rules, read_provider_rules};
use crate::declaration::schema::Schema;
use crate::declaration::section::Section;
use crate::declaration::yaml::{self, Content, Node};
use crate::rules::vocabulary::ProviderRules;
use crate::samples::collect_samples;

/// A declaration with what the loader has to remark.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub declaration: Declaration,
    pub warnings: Vec<Finding>,
}

impl Declaration {
    /// Reads the files of a bundle.
    ///
    /// # Errors
    /// Every mistake, with file and line, what was found and what is allowed.
    pub fn load(bundle: &Bundle) -> Result<Loaded, DeclarationError> {
        let mut loader = Loader {
            bundle,
            warnings: Vec::new(),
            mistakes: Vec::new(),
        };
        let declaration = loader.provider();
        match declaration {
            Some(declaration) if loader.mistakes.is_empty() => Ok(Loaded {
                declaration,
                warnings: loader.warnings,
            }),
            _ => Err(DeclarationError {
                mistakes: loader.mistakes,
            }),
        }
    }

    /// Reads a declaration that is one file, its events written within.
    ///
    /// # Errors
    /// As of [`Declaration::load`].
    pub fn load_file(name: &str, yaml: &str) -> Result<Loaded, DeclarationError> {
        let files = vec![(name.to_owned(), yaml.as_bytes().to_vec())];
        Self::load(&Bundle { files })
    }
}

struct Loader<'b> {
    bundle: &'b Bundle,
    warnings: Vec<Finding>,
    mistakes: Vec<Finding>,
}

impl<'b> Loader<'b> {
    fn provider(&mut self) -> Option<Declaration> {
        let path = self.provider_path()?;
        self.read(path, |loader, section| {
            let rules = match native(&section) {
                Some(native) => read_provider_rules(native),
                None => ProviderRules::default(),
            };
            let mut declaration = Declaration {
                identity: identity(&section),
                subscription_schema: fields(&section, "subscription_schema"),
                subscription_constructor: section
                    .section("subscription_constructor")
                    .map(constructor),
                events: loader.events(&section, &rules),
                native: native_as_written(&section),
                unknown: Map::new(),
                rules,
                samples: Vec::new(),
            };
            check_secret(&section, &declaration);
            let names: Vec<&str> = declaration
                .events
                .iter()
                .map(|event| event.identity.name.as_str())
                .collect();
            let (samples, strays) = collect_samples(loader.bundle, &names);
            for stray in strays {
                let findings = Findings::of(&stray);
                findings.file_warning("this sample belongs to no declared event; it is left out");
                loader.keep(findings);
            }
            declaration.samples = samples;
            declaration.unknown = section.rest();
            declaration
        })
    }

    fn provider_path(&mut self) -> Option<&'b str> {
        let paths = || self.bundle.files.iter().map(|(path, _)| path.as_str());
        let is_yaml = |path: &str| path.ends_with(".yaml") || path.ends_with(".yml");
        let candidates = [
            paths()
                .filter(|path| matches!(*path, "provider.yaml" | "provider.yml"))
                .collect::<Vec<_>>(),
            // Where Dify has it.
            paths()
                .filter(|path| path.starts_with("provider/") && is_yaml(path))
                .collect(),
            paths()
                .filter(|path| !path.contains('/') && is_yaml(path) && *path != "manifest.yaml")
                .collect(),
        ];
        let found = candidates
            .into_iter()
            .find(|candidates| !candidates.is_empty())
            .unwrap_or_default();
        match found[..] {
            [path] => Some(path),
            _ => {
                let findings = Findings::of("provider.yaml");
                findings.file_mistake(match found.len() {
                    0 => "is missing".to_owned(),
                    _ => format!(
                        "several files could be the provider's: {}",
                        found.join(", ")
                    ),
                });
                self.keep(findings);
                None
            }
        }
    }

    /// The events that `events` lists (paths, or events written there), else every file under `events/`.
    fn events(&mut self, section: &Section<'_>, rules: &ProviderRules) -> Vec<EventDeclaration> {
        let mut events: Vec<EventDeclaration> = Vec::new();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        let mut add = |loader: &mut Self, event: Option<EventDeclaration>, file: &str| {
            let Some(event) = event else { return };
            let name = event.identity.name.clone();
            match places.get(&name) {
                Some(other) => {
                    let findings = Findings::of(file);
                    findings
                        .file_mistake(format!("the event `{name}` is declared in {other} already"));
                    loader.keep(findings);
                }
                None => {
                    places.insert(name, file.to_owned());
                    events.push(event);
                }
            }
        };
        if !section.has("events") {
            let bundle = self.bundle;
            for (path, _) in bundle
                .under("events/")
                .filter(|(path, _)| path.ends_with(".yaml") || path.ends_with(".yml"))
            {
                let event = self.read(path, |_, section| event(section, rules));
                add(self, event, path);
            }
            return events;
        }
        for node in section.list("events") {
            match &node.content {
                Content::Map(_) => {
                    let event = Section::open(node, "events", section.findings)
                        .map(|section| event(section, rules));
                    add(self, event, "this file");
                }
                _ => {
                    let Some(path) = section.text_of(node, "events") else {
                        continue;
                    };
                    if self.bundle.file(&path).is_none() {
                        section.findings.mistake(
                            node.place,
                            format!("events lists `{path}`, and there is no such file"),
                        );
                        continue;
                    }
                    let event = self.read(&path, |_, section| event(section, rules));
                    add(self, event, &path);
                }
            }
        }
        events
    }

    /// Reads one file and keeps what there is to remark.
    fn read<T>(&mut self, path: &str, read: impl FnOnce(&mut Self, Section<'_>) -> T) -> Option<T> {
        let findings = Findings::of(path);
        let node = self.parse(path, &findings);
        let read = node.as_ref().and_then(|node| {
            let section = Section::open(node, "", &findings)?;
            Some(read(self, section))
        });
        self.keep(findings);
        read
    }

    fn parse(&self, path: &str, findings: &Findings) -> Option<Node> {
        let bytes = self.bundle.file(path).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => yaml::parse(text, findings),
            Err(error) => {
                findings.file_mistake(format!(
                    "is not UTF-8 (first bad byte at {})",
                    error.valid_up_to()
                ));
                None
            }
        }
    }

    fn keep(&mut self, findings: Findings) {
        let (warnings, mistakes) = findings.into_parts();
        self.warnings.extend(warnings);
        self.mistakes.extend(mistakes);
    }
}

fn event(section: Section<'_>, rules: &ProviderRules) -> EventDeclaration {
    let identity = identity(&section);
    let parameters = fields(&section, "parameters");
    let mut event = EventDeclaration {
        rules: read_event_rules(native(&section), &identity.name, &parameters, rules),
        description: text(&section, "description"),
        output_schema: section.value("output_schema").as_ref().map(Schema::of),
        native: native_as_written(&section),
        unknown: Map::new(),
        identity,
        parameters,
    };
    if event.description.is_empty() {
        event.description = event.identity.description.clone();
    }
    event.unknown = section.rest();
    event
}

fn constructor(section: Section<'_>) -> Constructor {
    let mut constructor = Constructor {
        parameters: fields(&section, "parameters"),
        credentials_schema: fields(&section, "credentials_schema"),
        oauth_schema: section.section("oauth_schema").map(|section| {
            let mut oauth = OauthSchema {
                client_schema: fields(&section, "client_schema"),
                credentials_schema: fields(&section, "credentials_schema"),
                unknown: Map::new(),
            };
            oauth.unknown = section.rest();
            oauth
        }),
        unknown: Map::new(),
    };
    // Dify names the source of its own code here.
    section.node("extra");
    constructor.unknown = section.rest();
    constructor
}

/// `extra.native`; what stands beside it under `extra` (Dify's `python`) is not ours to judge.
fn native<'n>(section: &Section<'n>) -> Option<Section<'n>> {
    section.section("extra")?.section("native")
}

fn native_as_written(section: &Section<'_>) -> Map<String, Value> {
    match section
        .section("extra")
        .and_then(|extra| extra.value("native"))
    {
        Some(Value::Object(native)) => native,
        _ => Map::new(),
    }
}

fn check_secret(section: &Section<'_>, declaration: &Declaration) {
    let Some(verify) = declaration
        .rules
        .verify
        .as_ref()
        .filter(|verify| verify.needs_secret())
    else {
        return;
    };
    let schema = &declaration.subscription_schema;
    if !schema.is_empty() && schema.iter().all(|field| field.name != verify.secret) {
        let names: Vec<&str> = schema.iter().map(|field| field.name.as_str()).collect();
        section.findings.mistake(
            section.place,
            format!(
                "extra.native.verify.secret is `{}`; subscription_schema has: {}",
                verify.secret,
                names.join(", ")
            ),
        );
    }
}
