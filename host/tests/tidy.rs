//! What the house promises of itself: levels, one place for each outside crate, small files, no
//! provider named in the host.

use std::path::{Path, PathBuf};

/// Modules of `host/src` by level; a module imports only from lower levels, or from its own.
const LEVELS: &[&[&str]] = &[
    &[
        "clock",
        "id",
        "kill_points",
        "secret",
        "seal",
        "backoff",
        "config",
        "model",
        "metrics",
        "panics",
        "reference",
        "timetable",
        "units",
        "yaml",
        "json",
    ],
    &["store", "outbound", "plugins"],
    &[
        "events",
        "jobs",
        "runnables",
        "schedules",
        "sockets",
        "tokens",
        "documents",
        "flows",
        "notices",
        "credentials",
        "subscriptions",
        "sync",
    ],
    &["ingress", "api", "cli"],
    &["app", "lib", "main"],
];

/// Modules that may use another of their own level, because the one is made of the other.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("jobs", "runnables"),
    ("jobs", "flows"),
    ("runnables", "flows"),
    ("documents", "flows"),
    ("model", "id"),
    ("model", "clock"),
    ("model", "secret"),
    ("model", "backoff"),
    ("id", "clock"),
    ("timetable", "clock"),
    ("seal", "clock"),
    ("seal", "secret"),
    ("metrics", "panics"),
    ("config", "secret"),
    ("config", "reference"),
    ("config", "units"),
    ("config", "yaml"),
    ("documents", "runnables"),
    ("events", "runnables"),
    ("schedules", "runnables"),
    ("notices", "runnables"),
    ("sockets", "jobs"),
    ("sockets", "runnables"),
    ("documents", "sockets"),
    ("subscriptions", "credentials"),
    ("subscriptions", "sync"),
    ("sync", "credentials"),
    ("documents", "subscriptions"),
    ("documents", "credentials"),
];

/// Outside crates that are named in one place only.
const PLACES: &[(&str, &[&str])] = &[
    ("sqlx", &["host/src/store/"]),
    ("rusqlite", &["host/src/store/"]),
    ("reqwest", &["host/src/outbound/"]),
    ("tokio_tungstenite", &["host/src/outbound/"]),
    ("tokio_rustls", &["host/src/outbound/"]),
    (
        "axum",
        &["host/src/ingress/", "host/src/api/", "host/src/app/"],
    ),
    ("croner", &["host/src/timetable.rs"]),
    ("oauth2", &["host/src/credentials/"]),
    ("cel", &["host/src/flows/"]),
    ("clap", &["host/src/cli/", "host/src/main.rs"]),
    ("abi_stable", &["plugin-api/abi/src/"]),
    ("libloading", &["plugin-api/abi/src/"]),
];

const LINES_MAX: usize = 400;
const LINES_MEDIAN_MAX: usize = 150;

struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text before the tests that stand in the same file.
    fn product(&self) -> &str {
        self.text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or(&self.text)
    }

    fn code_lines(&self) -> usize {
        let is_code = |line: &&str| {
            let line = line.trim();
            !line.is_empty() && !line.starts_with("//")
        };
        self.product().lines().filter(is_code).count()
    }

    /// `host/src/jobs/claim.rs` belongs to `jobs`.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("host/src/")?;
        inside
            .split('/')
            .next()
            .map(|name| name.trim_end_matches(".rs"))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

fn collect(folder: &Path, into: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder)
        .expect("a folder of the workspace")
        .flatten()
    {
        let path = entry.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | "run" | "fixtures" | ".git") {
                collect(&path, into);
            }
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let path = path.strip_prefix(root()).expect("inside the workspace");
            into.push(Source {
                path: path.to_string_lossy().into_owned(),
                text,
            });
        }
    }
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in ["host", "plugin-api", "plugins"] {
        collect(&root().join(folder), &mut sources);
    }
    sources
}

fn product_sources() -> Vec<Source> {
    let mut sources = sources();
    sources.retain(|source| {
        source.path.contains("/src/")
            && !source.path.ends_with("tests.rs")
            && !source.path.contains("/tests/")
    });
    sources
}

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&module))
}

#[test]
fn a_module_imports_only_from_lower_levels() {
    let mut wrong = Vec::new();
    for source in product_sources() {
        let Some(module) = source.module() else {
            continue;
        };
        let Some(own) = level(module) else {
            wrong.push(format!(
                "{}: `{module}` has no level in tidy.rs",
                source.path
            ));
            continue;
        };
        for import in source.product().split("crate::").skip(1) {
            let other: String = import
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let Some(theirs) = level(&other) else {
                continue;
            };
            let neighbours = NEIGHBOURS.contains(&(module, other.as_str()));
            if other != module && theirs >= own && !neighbours {
                wrong.push(format!(
                    "{}: `{module}` (level {own}) uses `{other}` (level {theirs})",
                    source.path
                ));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn each_outside_crate_is_named_in_one_place() {
    let mut wrong = Vec::new();
    for source in product_sources() {
        for (name, places) in PLACES {
            let allowed = places.iter().any(|place| {
                source.path.starts_with(place)
                    || source.path == place.trim_end_matches('/').to_owned() + ".rs"
            });
            let named = source.product().lines().any(|line| {
                let code = line.trim_start();
                !code.starts_with("//")
                    && (code.contains(&format!("{name}::"))
                        || code.starts_with(&format!("use {name};")))
            });
            if named && !allowed {
                wrong.push(format!("{} names `{name}`", source.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn files_stay_small() {
    let sources = product_sources();
    let mut sizes: Vec<usize> = sources.iter().map(Source::code_lines).collect();
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    assert!(
        median <= LINES_MEDIAN_MAX,
        "the median is {median} lines of code"
    );
    let large: Vec<String> = sources
        .iter()
        .filter(|source| source.code_lines() > LINES_MAX)
        .map(|source| format!("{}: {}", source.path, source.code_lines()))
        .collect();
    assert_eq!(large, Vec::<String>::new());
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let silent: Vec<String> = product_sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn the_host_and_the_contract_name_no_provider() {
    let plugins = std::fs::read_dir(root().join("plugins")).expect("the plugins folder");
    let names: Vec<String> = plugins
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().to_lowercase())
        // What runs declarations; and a protocol, whose name the provider for any server of it bears.
        .filter(|name| name != "declared" && name != "websocket")
        .collect();
    assert!(!names.is_empty(), "there are providers to look for");
    let mut wrong = Vec::new();
    for source in sources() {
        let ours = ["host/src/", "plugin-api/src/", "plugin-api/abi/src/"];
        if !ours.iter().any(|folder| source.path.starts_with(folder)) {
            continue;
        }
        let text = source.text.to_lowercase();
        for name in names.iter().filter(|name| text.contains(name.as_str())) {
            wrong.push(format!("{} names `{name}`", source.path));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [
        "todo!(",
        "unimplemented!(",
        "FIXME",
        "XXX",
        ".unwrap()",
        "dbg!(",
    ];
    let mut wrong = Vec::new();
    for source in product_sources() {
        for mark in marks {
            let found = source
                .product()
                .lines()
                .any(|line| !line.trim_start().starts_with("//") && line.contains(mark));
            if found {
                wrong.push(format!("{}: {mark}", source.path));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_top_level_holds_what_was_agreed_and_nothing_else() {
    let agreed = [
        "Cargo.lock",
        "Cargo.toml",
        "Makefile",
        "README.md",
        "clippy.toml",
        "deny.toml",
        "examples",
        "host",
        "manifests",
        "migrations",
        "plugin-api",
        "plugins",
        "rustfmt.toml",
        // What builds and runs leave, which is not kept.
        "run",
        "target",
    ];
    let strangers: Vec<String> = std::fs::read_dir(root())
        .expect("the workspace")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !agreed.contains(&name.as_str()))
        .collect();
    assert_eq!(strangers, Vec::<String>::new());
}

/// A promise whose test is gone would be one that nobody keeps.
#[test]
fn every_test_that_is_named_as_a_proof_is_there() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/README.md");
    let table = std::fs::read_to_string(table).expect("the table of proofs");
    let mut named = 0;
    for part in table.split('`').skip(1).step_by(2) {
        let Some((file, test)) = part.split_once(".rs::") else {
            continue;
        };
        let source = std::fs::read_to_string(root().join(format!("{file}.rs")));
        let source = source.unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        // Suites over both databases name their tests in a list.
        let forms = ["fn {}(", "    {}\n", "    {}: "];
        let mut forms = forms.iter().map(|form| form.replace("{}", test));
        let is_there = forms.any(|form| source.contains(&form));
        assert!(is_there, "{file}.rs has no test {test}");
        named += 1;
    }
    assert!(named > 80, "{named}");
}
