//! Libraries and hosts of two versions of the interface, of debug and release builds, in every
//! order in one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::tempdir;
use trigger_plugin_abi::host::{Library, preflight};

use crate::support::versions_dir;

const LIBRARIES: [&str; 4] = ["1.0-debug", "1.0-release", "1.1-debug", "1.1-release"];

#[test]
fn every_library_works_in_every_host_whatever_was_loaded_before() {
    let dir = versions_dir();
    for host in ["host-1.0", "host-1.1"] {
        for order in permutations(&LIBRARIES) {
            let expected: Vec<String> = order.iter().map(|name| works(host, name)).collect();
            assert_eq!(run_host(&dir, host, &order), expected, "{host} {order:?}");
        }
    }
}

#[test]
fn a_changed_struct_is_refused_in_one_line_that_names_the_field_and_harms_nobody_else() {
    let dir = versions_dir();
    for host in ["host-1.0", "host-1.1"] {
        for order in permutations(&["1.0-debug", "changed-debug", "1.1-release"]) {
            let said = run_host(&dir, host, &order);
            assert_eq!(said.len(), 3, "one line each: {said:?}");
            for (line, name) in said.iter().zip(order) {
                match name {
                    "changed-debug" => {
                        assert!(line.starts_with("changed-debug: refused: "), "{line}");
                        let difference = "growth: type u32, expected usize";
                        assert!(line.ends_with(difference), "it names no field: {line}");
                    }
                    _ => assert_eq!(line, &works(host, name)),
                }
            }
        }
    }
}

#[test]
fn the_section_survives_link_time_optimisation_and_strip() {
    let release = fs::File::open(versions_dir().join("1.0-release.so")).expect("it was built");
    let section = preflight(release).expect("the section is there");
    assert!(!section.debug);

    let dir = tempdir().expect("there is room");
    let stripped = dir.path().join("stripped.so");
    fs::copy(versions_dir().join("1.0-debug.so"), &stripped).expect("it was built");
    let strip = Command::new("strip")
        .arg("--strip-all")
        .arg(&stripped)
        .status();
    assert!(strip.expect("strip is installed").success());
    let file = fs::File::open(&stripped).expect("it is ours");
    assert!(preflight(file).expect("the section is there").debug);
    assert_eq!(
        Library::open(&stripped).map(|library| library.abi()).ok(),
        Some((1, 0))
    );
}

#[test]
fn a_provider_that_would_abort_on_a_panic_does_not_compile() {
    let said = fs::read_to_string(versions_dir().join("panic-abort.txt")).expect("it was tried");
    assert!(
        said.contains("a provider cannot be built with panic = \"abort\""),
        "{said}"
    );
}

/// What the fixture host says of a library that works.
fn works(host: &str, library: &str) -> String {
    let abi = &library[..3];
    let explained = match (host, abi) {
        ("host-1.1", "1.1") => "hello",
        _ => "unknown",
    };
    format!(
        "{library}: abi {abi} event fixture route acme fires true panic true create true explain {explained}"
    )
}

fn run_host(dir: &Path, host: &str, libraries: &[&str]) -> Vec<String> {
    let paths: Vec<PathBuf> = libraries
        .iter()
        .map(|name| dir.join(format!("{name}.so")))
        .collect();
    let output = Command::new(dir.join(host))
        .args(paths)
        .output()
        .expect("the host was built");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{host} {libraries:?}: {output:?}");
    said.lines().map(str::to_owned).collect()
}

fn permutations<'a>(items: &[&'a str]) -> Vec<Vec<&'a str>> {
    match items {
        [] => vec![Vec::new()],
        _ => items
            .iter()
            .flat_map(|first| {
                let rest: Vec<&str> = items.iter().copied().filter(|item| item != first).collect();
                permutations(&rest)
                    .into_iter()
                    .map(|rest| [vec![*first], rest].concat())
            })
            .collect(),
    }
}
