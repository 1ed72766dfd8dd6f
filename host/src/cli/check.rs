//! `triggerd check`: settings, manifests and libraries, looked at without running anything.

use std::path::Path;

use super::failure::{CliError, Failure};
use super::output::print_line;
use super::serve::Serve;
use crate::config;
use crate::plugins::LibraryFile;
use crate::plugins::manifest::Manifest;

/// Prints a line for each thing; fails if any is not as it should be.
pub fn run(flags: &Serve) -> Result<(), CliError> {
    let config = config::load(&flags.layers())
        .map_err(|error| CliError::Said(Failure::of(&error).message))?;
    print_line("ok       settings");
    let (plugins, manifests) = (config.plugins_dir(), config.manifests_dir());
    let mut problems = 0;
    let mut report = |problem: Option<String>, what: &str| match problem {
        None => print_line(format_args!("ok       {what}")),
        Some(problem) => {
            problems += 1;
            print_line(format_args!("problem  {problem}"));
        }
    };
    let mut named = Vec::new();
    for file in files(&manifests, "yaml") {
        match Manifest::read(&manifests.join(&file)) {
            Err(error) => report(Some(error.to_string()), &file),
            Ok(manifest) => {
                let problem = manifest
                    .enabled
                    .then(|| check_library(&plugins, &manifest))
                    .and_then(Result::err);
                named.extend(manifest.library);
                report(problem, &format!("manifest {file}"));
            }
        }
    }
    for file in files(&plugins, "so") {
        if named.contains(&file) {
            continue;
        }
        match LibraryFile::read(&plugins, &file) {
            Ok(library) => report(
                None,
                &format!(
                    "library {file}: provider {}, no manifest names it",
                    library.declaration.identity.name
                ),
            ),
            Err(refusal) => report(Some(refusal.to_string()), &file),
        }
    }
    match problems {
        0 => Ok(()),
        1 => Err(CliError::Said("1 problem".to_owned())),
        several => Err(CliError::Said(format!("{several} problems"))),
    }
}

fn check_library(plugins: &Path, manifest: &Manifest) -> Result<(), String> {
    let Some(file) = &manifest.library else {
        return Ok(());
    };
    let library = LibraryFile::read(plugins, file).map_err(|refusal| refusal.to_string())?;
    match &manifest.sha256 {
        Some(pin) => library
            .check_pin(pin)
            .map_err(|refusal| refusal.to_string()),
        None => Ok(()),
    }
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
