//! `triggerd provider inspect`: what a library says of itself. Nothing of it runs, and no server is
//! asked.

use std::path::Path;

use serde_json::json;

use super::failure::CliError;
use super::output::{print_facts, print_json, print_line};
use super::table::one_line;
use crate::plugins::LibraryFile;

/// Reads the file and prints what it holds.
pub fn run(file: &Path, json: bool) -> Result<(), CliError> {
    let library =
        LibraryFile::inspect(file).map_err(|refusal| CliError::Said(refusal.to_string()))?;
    let section = &library.section;
    let identity = &library.declaration.identity;
    let events: Vec<&str> = library
        .declaration
        .events
        .iter()
        .map(|event| event.identity.name.as_str())
        .collect();
    if json {
        print_json(&json!({
            "file": library.path.display().to_string(),
            "sha256": library.digest.to_string(),
            "size": library.size,
            "provider": identity.name,
            "package": section.package,
            "version": section.version,
            "abi": format!("{}.{}", section.abi.0, section.abi.1),
            "compiler": section.compiler,
            "target": section.target,
            "debug": section.debug,
            "events": events,
            "warnings": library.warnings,
        }));
        return Ok(());
    }
    let build = if section.debug { "debug" } else { "release" };
    print_facts(&[
        ("file", library.path.display().to_string()),
        ("sha256", library.digest.to_string()),
        ("size", format!("{} bytes", library.size)),
        ("provider", identity.name.clone()),
        (
            "package",
            format!("{} {}", section.package, section.version),
        ),
        ("contract", format!("{}.{}", section.abi.0, section.abi.1)),
        (
            "built",
            format!("{build}, {}, {}", section.compiler, section.target),
        ),
        ("events", events.len().to_string()),
    ]);
    for event in events {
        print_line(format_args!("  {}", one_line(event)));
    }
    for warning in &library.warnings {
        print_line(format_args!("warning: {}", one_line(warning)));
    }
    Ok(())
}
