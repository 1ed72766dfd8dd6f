//! The text and the code agree, and each layer beats the ones below it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use expect_test::{Expect, expect};
use serde_json::Value;

use super::layers::variable_of;
use super::settings::GROUPS;
use super::*;
use crate::yaml::Located;

fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("triggerd.yaml");
    std::fs::write(&path, text).expect("a file");
    let variables = variables
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    load(&Layers {
        file: Some(path),
        variables: variables.collect(),
        flags: Vec::new(),
    })
}

fn check_mistakes(text: &str, expected: Expect) {
    let Err(ConfigError::Mistakes(mistakes)) = load_text(text, &[]) else {
        panic!("accepted: {text}");
    };
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| {
            let place = mistake.place.rsplit('/').next().unwrap_or_default();
            format!("{place}: {}\n", mistake.message)
        })
        .collect();
    expected.assert_eq(&lines.concat());
}

#[test]
fn each_default_in_the_text_is_the_default_of_the_code() {
    let config = load_text(SETTINGS_TEXT, &[]).expect("the text is valid");
    assert_eq!(config, Config::default());
}

#[test]
fn the_text_shows_every_setting_and_no_other() {
    let Value::Object(map) = Located::parse(SETTINGS_TEXT).expect("it is YAML").value else {
        panic!("not a map");
    };
    let mut shown = BTreeSet::new();
    for (key, value) in map {
        match value {
            Value::Object(group) => {
                shown.extend(group.keys().map(|inner| format!("{key}.{inner}")));
            }
            _ => {
                shown.insert(key);
            }
        }
    }
    assert_eq!(shown, Config::keys().into_iter().collect());
    assert!(
        GROUPS
            .iter()
            .all(|(group, keys)| !group.is_empty() && !keys.is_empty())
    );
}

#[test]
fn each_setting_of_the_text_has_a_comment() {
    let mut commented = false;
    for line in SETTINGS_TEXT.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('#') {
            commented = true;
        } else if !trimmed.is_empty() {
            assert!(commented || line.contains(" # "), "no comment: {line}");
            commented = trimmed.ends_with(':');
        }
    }
}

#[test]
fn flags_beat_variables_and_variables_beat_the_file() {
    let text = "listen: 127.0.0.1:1\nlimits: {body_max: 1KiB, api_body_max: 2KiB}\n";
    let variables = [
        ("TRIGGERD_LISTEN", "127.0.0.1:2"),
        ("TRIGGERD_LIMITS_BODY_MAX", "3KiB"),
    ];
    let config = load_text(text, &variables).expect("valid");
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(
        (config.limits.body_max, config.limits.api_body_max),
        (3 << 10, 2 << 10)
    );

    let layers = Layers {
        file: None,
        variables: vec![
            ("TRIGGERD_LISTEN".into(), "127.0.0.1:2".into()),
            ("TRIGGERD_RUNNABLES_COMMAND_DIRS".into(), "/a, /b".into()),
        ],
        flags: vec![
            ("listen", vec!["127.0.0.1:3".into()]),
            ("runnables.command_dirs", vec!["/c,d".into()]),
        ],
    };
    let config = load(&layers).expect("valid");
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.runnables.command_dirs, [PathBuf::from("/c,d")]);
}

#[test]
fn settings_that_would_stop_the_host_or_have_it_spin_are_refused() {
    check_mistakes(
        "database_connections: 0\nlog: {filter: '%%bad%%'}\n\
         limits: {body_max: 0, api_body_max: 10B, read_timeout: 0, webhooks_in_flight: 0, \
         api_in_flight: 0, connections_per_peer: 0}\n\
         runnables: {running_max: 0, lease: 0s}\nretention: {requests: 0, step: 0, every: 0s}\n",
        expect![[r#"
            triggerd.yaml:1:23: database_connections: found 0, expected at least 1
            triggerd.yaml:2:15: log.filter: found "%%bad%%", expected levels like info, or by part like warn,triggerd=debug: invalid filter directive
            triggerd.yaml:3:20: limits.body_max: found 0, expected at least 1KiB
            triggerd.yaml:3:37: limits.api_body_max: found "10B", expected at least 1KiB
            triggerd.yaml:3:56: limits.read_timeout: found 0, expected at least 100ms
            triggerd.yaml:3:79: limits.webhooks_in_flight: found 0, expected at least 1
            triggerd.yaml:3:97: limits.api_in_flight: found 0, expected at least 1
            triggerd.yaml:4:26: runnables.running_max: found 0, expected at least 1
            triggerd.yaml:4:36: runnables.lease: found "0s", expected 3s to 10m
            triggerd.yaml:5:32: retention.step: found 0, expected 1 to 100000
            triggerd.yaml:5:42: retention.every: found "0s", expected at least 1s
        "#]],
    );
    // A variable, and a flag by the same way.
    let variables = [("TRIGGERD_RUNNABLES_LEASE", "2h")];
    let Err(ConfigError::Mistakes(mistakes)) = load_text("", &variables) else {
        panic!("accepted");
    };
    let said = format!("{}: {}", mistakes[0].place, mistakes[0].message);
    let expected = "TRIGGERD_RUNNABLES_LEASE: runnables.lease: found `2h`, expected 3s to 10m";
    assert_eq!(said, expected);
    let layers = Layers {
        flags: vec![("runnables.lease", vec!["0".into()])],
        ..Layers::default()
    };
    let refused = load(&layers).expect_err("a lease of no time").to_string();
    assert!(refused.contains("expected"), "{refused}");
}

#[test]
fn every_setting_has_a_variable_of_its_own() {
    let names: BTreeSet<String> = Config::keys().iter().map(|key| variable_of(key)).collect();
    assert_eq!(names.len(), Config::keys().len());
}

#[test]
fn unknown_keys_and_bad_values_are_refused_together_with_their_places() {
    check_mistakes(
        "listen: here\nlimits:\n  body_max: 25 apples\n  body: 1\nlisen: 1\nlog: loud\n",
        expect![[r#"
            triggerd.yaml:1:9: listen: found "here", expected an address and port like 127.0.0.1:8080 or [::1]:8080
            triggerd.yaml:3:13: limits.body_max: found "25 apples", expected a size like 256KiB, 25MiB or 1GiB, or a number of bytes
            triggerd.yaml:4:3: `limits.body` is not a setting; allowed: body_max, api_body_max, read_timeout, webhooks_in_flight, api_in_flight, connections_per_peer, proxies
            triggerd.yaml:5:1: `lisen` is not a setting; allowed: listen, public_url, data, database, database_connections, plugins, manifests, auto_enable, drain, log, limits, webhooks, runnables, egress, retention
            triggerd.yaml:6:6: log: found "loud", expected a group with filter, format
        "#]],
    );
}

#[test]
fn a_bad_variable_is_named_and_an_unknown_one_is_warned_of() {
    let error = load_text("", &[("TRIGGERD_DRAIN", "soon")])
        .expect_err("refused")
        .to_string();
    assert!(
        error.starts_with("TRIGGERD_DRAIN: drain: found `soon`, expected a duration"),
        "{error}"
    );
    let config = load_text("", &[("TRIGGERD_LISEN", "x")]).expect("valid");
    assert_eq!(
        config.warnings,
        ["the variable TRIGGERD_LISEN is not a setting"]
    );
}

#[test]
fn a_database_password_is_taken_from_the_environment_and_never_shown() {
    let text = "database: postgres://u:${PASSWORD}@db/triggerd\n";
    let config = load_text(text, &[("PASSWORD", "hunter2")]).expect("valid");
    assert_eq!(
        config.database_url().expose(),
        "postgres://u:hunter2@db/triggerd"
    );
    assert!(!format!("{config:?}").contains("hunter2"));

    let missing = load_text(text, &[]).expect_err("refused").to_string();
    assert!(
        missing.contains("database: the variable `PASSWORD` is not set"),
        "{missing}"
    );
    let wrong = load_text("database: mysql://u:hunter2@db", &[]).expect_err("refused");
    assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
}

#[test]
fn every_setting_is_read_where_the_server_is_put_together() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut text = String::new();
    for entry in std::fs::read_dir(sources.join("app"))
        .expect("the sources")
        .flatten()
    {
        text += &std::fs::read_to_string(entry.path()).expect("a source");
    }
    // What has a default of its own making is read through a method beside the settings.
    let settings = std::fs::read_to_string(sources.join("config/settings.rs")).expect("a source");
    for line in settings
        .lines()
        .filter(|line| line.contains("self.server."))
    {
        text += line;
    }
    let fields: BTreeSet<&str> = text
        .split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.'))
        .filter_map(|path| path.split_once('.'))
        .flat_map(|(_, fields)| fields.split('.'))
        .collect();
    for key in Config::keys() {
        let field = key.rsplit('.').next().expect("a name");
        assert!(fields.contains(field), "nothing reads `{key}`");
    }
}
