//! `triggerd check`: settings, manifests, libraries and documents, looked at without running anything.

use std::path::Path;

use serde_json::{Value, json};

use super::arguments::CheckArgs;
use super::document_file::DocumentFile;
use super::failure::{CliError, Failure};
use super::output::{counted, print_json, print_line};
use crate::config::{self, Layers};
use crate::documents::Document;
use crate::plugins::library_file::DeclarationFile;
use crate::plugins::manifest::{GENERIC_LIBRARY, Manifest};
use crate::plugins::{LibraryFile, Refusal, check_files_of};
use crate::seal::{KEY_VARIABLE, KeyRing};

/// What was looked at, and what is wrong with it.
struct Finding {
    kind: &'static str,
    name: String,
    /// What a reader should know of something that is well.
    note: Option<String>,
    problem: Option<String>,
}

/// Prints a line for each thing; fails if any is not as it should be.
pub fn run(args: &CheckArgs) -> Result<(), CliError> {
    let layers = args.settings.layers();
    let config =
        config::load(&layers).map_err(|error| CliError::Said(Failure::of(&error).message))?;
    let mut findings = vec![Finding {
        kind: "settings",
        name: args
            .settings
            .config
            .as_deref()
            .map_or_else(|| "settings".to_owned(), |file| file.display().to_string()),
        note: None,
        problem: None,
    }];
    findings.extend(check_keys(&layers));
    let (plugins, manifests) = (config.plugins_dir(), config.manifests_dir());
    for (kind, folder) in [("plugins", &plugins), ("manifests", &manifests)] {
        if !folder.is_dir() {
            findings.push(Finding {
                kind,
                name: folder.display().to_string(),
                note: Some("there is no such folder, and nothing to look at in it".to_owned()),
                problem: None,
            });
        }
    }
    let mut named = Vec::new();
    for file in files(&manifests, "yaml") {
        let read = Manifest::read(&manifests.join(&file)).map_err(|error| error.to_string());
        let checked = read.and_then(|manifest| {
            named.extend(
                [&manifest.library, &manifest.declaration]
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
            match manifest.enabled {
                true => check_files_of(&manifest, &plugins).map_err(|refusal| refusal.to_string()),
                false => Ok(()),
            }
        });
        findings.push(Finding {
            kind: "manifest",
            name: file,
            note: None,
            problem: checked.err(),
        });
    }
    let is_unnamed = |file: &String| !named.contains(file);
    for file in files(&plugins, "so").into_iter().filter(is_unnamed) {
        let read = LibraryFile::read(&plugins, &file);
        let provider = read.map(|file| file.declaration.identity.name);
        findings.push(unnamed("library", file, provider));
    }
    for file in files(&plugins, "yaml").into_iter().filter(is_unnamed) {
        let read = DeclarationFile::read(&plugins, &file);
        let provider = read.map(|file| file.declaration.identity.name);
        findings.push(unnamed("declaration", file, provider));
    }
    findings.extend(args.documents.iter().map(|path| Finding {
        kind: "document",
        name: path.display().to_string(),
        note: None,
        problem: check_document(path).err(),
    }));
    report(&findings, args.json);
    let problems = findings
        .iter()
        .filter(|finding| finding.problem.is_some())
        .count();
    match problems {
        0 => Ok(()),
        several => Err(CliError::Said(counted(several, "problem"))),
    }
}

/// A file of the plugins folder that no manifest names, with the provider that it declares.
fn unnamed(kind: &'static str, name: String, provider: Result<String, Refusal>) -> Finding {
    let (note, problem) = match provider {
        Ok(_) if name == GENERIC_LIBRARY => ("runs declarations without code".to_owned(), None),
        Ok(provider) => (format!("provider {provider}, no manifest names it"), None),
        Err(refusal) => (String::new(), Some(refusal.to_string())),
    };
    Finding {
        kind,
        name,
        note: Some(note).filter(|note| !note.is_empty()),
        problem,
    }
}

/// The keys of the variable, where that is given; those of a file are made where there are none.
fn check_keys(layers: &Layers) -> Option<Finding> {
    let is_keys = |(name, _): &&(String, String)| name == KEY_VARIABLE;
    let (name, keys) = layers.variables.iter().find(is_keys)?;
    let problem = KeyRing::check_variable(keys).err();
    (!keys.trim().is_empty()).then(|| Finding {
        kind: "keys",
        name: name.clone(),
        note: None,
        problem: problem.map(|error| error.to_string()),
    })
}

fn report(findings: &[Finding], json: bool) {
    if json {
        let items: Vec<Value> = findings.iter().map(Finding::as_json).collect();
        print_json(&json!({ "items": items }));
        return;
    }
    for finding in findings {
        let Finding { kind, name, .. } = finding;
        match (&finding.problem, &finding.note) {
            (Some(problem), _) if problem.contains(name.as_str()) => {
                print_line(format_args!("problem  {problem}"));
            }
            (Some(problem), _) => print_line(format_args!("problem  {kind} {name}: {problem}")),
            (None, Some(note)) => print_line(format_args!("ok       {kind} {name}: {note}")),
            (None, None) if *kind == name.as_str() => print_line(format_args!("ok       {name}")),
            (None, None) => print_line(format_args!("ok       {kind} {name}")),
        }
    }
}

impl Finding {
    fn as_json(&self) -> Value {
        json!({
            "kind": self.kind,
            "name": self.name,
            "state": if self.problem.is_some() { "problem" } else { "ok" },
            "problem": self.problem,
            "note": self.note,
        })
    }
}

/// What can be said of a document without what is stored: its shape, its words, its expressions.
fn check_document(path: &Path) -> Result<(), String> {
    let told = |error: CliError| match error {
        CliError::Document(mistakes) => mistakes,
        other => Failure::of(&other).message,
    };
    let file = DocumentFile::read(path).map_err(told)?;
    Document::parse(&file.body)
        .map(|_| ())
        .map_err(|mistakes| told(file.refusal(&mistakes)))
}

fn files(folder: &Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| {
            !name.starts_with('.')
                && Path::new(name)
                    .extension()
                    .is_some_and(|found| found == extension)
        })
        .collect();
    names.sort();
    names
}
