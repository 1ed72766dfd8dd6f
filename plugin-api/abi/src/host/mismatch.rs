//! One line that names the field by which two layouts differ.

use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, CheckingGlobals, check_layout_compatibility_with_globals,
};
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};

const LINE_CHARS_MAX: usize = 200;

/// Compares a library's layout with the host's, each time from nothing: what was compared before
/// decides nothing. A minor version only appends, so the older of the two must fit into the newer
/// one, whichever that is.
pub(super) fn compare(
    host: &'static TypeLayout,
    library: &'static TypeLayout,
) -> Result<(), String> {
    let check = |interface, implementation| {
        check_layout_compatibility_with_globals(interface, implementation, &CheckingGlobals::new())
    };
    let newer_library = check(host, library);
    if newer_library.is_ok() || check(library, host).is_ok() {
        return Ok(());
    }
    newer_library.map_err(|errors| first_line(&errors))
}

/// The deepest difference: those around it, in what holds the field, follow from it.
fn first_line(errors: &AbiInstabilityErrors) -> String {
    let named = errors.errors.iter().filter(|error| !error.errs.is_empty());
    let Some(deepest) = named.rev().max_by_key(|error| error.stack_trace.len()) else {
        return "an unnamed place".to_owned();
    };
    let path: Vec<&str> = deepest
        .stack_trace
        .iter()
        .filter_map(|frame| match &frame.expected {
            TLFieldOrFunction::Field(field) => Some(field.name()),
            // A function stands under the field that holds it.
            TLFieldOrFunction::Function(_) => None,
        })
        .filter(|name| is_written(name))
        .collect();
    let place = if path.is_empty() {
        "module".to_owned()
    } else {
        path.join(".")
    };
    format!("{place}: {}", difference(&deepest.errs[0]))
}

/// Arguments and the fields of tuples have names that nobody wrote.
fn is_written(name: &str) -> bool {
    let numbered = name
        .strip_prefix("field_")
        .is_some_and(|rest| rest.parse::<u32>().is_ok());
    !numbered && name.starts_with(|first: char| first.is_alphabetic())
}

fn difference(error: &AbiInstability) -> String {
    match error {
        AbiInstability::Name(names) => {
            format!(
                "type {}, expected {}",
                names.found.name(),
                names.expected.name()
            )
        }
        AbiInstability::Package(packages) => {
            format!(
                "a type of package {}, expected {}",
                packages.found, packages.expected
            )
        }
        AbiInstability::PackageVersion(versions) => {
            format!(
                "version {}, expected {}",
                versions.found.version, versions.expected.version
            )
        }
        AbiInstability::Size(sizes) => {
            format!("{} bytes, expected {}", sizes.found, sizes.expected)
        }
        AbiInstability::Alignment(alignments) => {
            format!(
                "alignment {}, expected {}",
                alignments.found, alignments.expected
            )
        }
        AbiInstability::FieldCountMismatch(counts) => {
            format!("{} fields, expected {}", counts.found, counts.expected)
        }
        AbiInstability::UnexpectedField(fields) => {
            format!(
                "field {}, expected {}",
                fields.found.name(),
                fields.expected.name()
            )
        }
        other => one_line(&format!("{other:?}")),
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(LINE_CHARS_MAX).collect()
}
