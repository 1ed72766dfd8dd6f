//! A document's file: YAML to JSON, references to secrets followed, and mistakes, the server's too,
//! shown as `file:line:column`.
//!
//! References (`${NAME}`, `file:PATH`) are followed here, by who applies, and only where a secret
//! belongs: the fields under `manual`, `values` and `client`, a runnable's `secret`, `secret_headers`,
//! `login` and `secret_env`, a socket's `secret_headers`, the secrets of a route's `auth` and that of
//! the workspace's `webhook`.
//! `file:` paths start at the document's folder.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::failure::CliError;
use crate::documents::Mistake;
use crate::reference;
use crate::yaml::{Located, pointer_join};

/// A document as it was read.
pub struct DocumentFile {
    name: String,
    located: Located,
    /// With references followed.
    pub body: Value,
}

impl DocumentFile {
    /// Reads a file, or standard input for `-`.
    pub fn read(path: &Path) -> Result<DocumentFile, CliError> {
        let unreadable = |source| CliError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let (name, text, folder) = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(unreadable)?;
            ("<stdin>".to_owned(), text, PathBuf::from("."))
        } else {
            let text = std::fs::read_to_string(path).map_err(unreadable)?;
            let folder = path.parent().map(Path::to_owned).unwrap_or_default();
            (path.display().to_string(), text, folder)
        };
        DocumentFile::parse(name, &text, &folder, &|name| std::env::var(name).ok())
    }

    fn parse(
        name: String,
        text: &str,
        folder: &Path,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<DocumentFile, CliError> {
        let located =
            Located::parse(text).map_err(|error| CliError::Document(format!("{name}:{error}")))?;
        let mut body = located.value.clone();
        let mut mistakes = Vec::new();
        let follower = Follower { folder, variable };
        follower.follow(&mut body, "", &mut Vec::new(), &mut mistakes);
        let file = DocumentFile {
            name,
            located,
            body,
        };
        if mistakes.is_empty() {
            Ok(file)
        } else {
            Err(file.refusal(&mistakes))
        }
    }

    /// The workspace that the document names.
    pub fn workspace(&self) -> Option<&str> {
        self.body["workspace"].as_str()
    }

    /// The mistakes, each with its place, in the order of the file.
    pub fn refusal(&self, mistakes: &[Mistake]) -> CliError {
        let mut placed: Vec<_> = mistakes
            .iter()
            .map(|mistake| {
                let place = if mistake.is_key {
                    self.located.key_place(&mistake.pointer)
                } else {
                    self.located.value_place(&mistake.pointer)
                };
                (place, mistake)
            })
            .collect();
        placed.sort_by_key(|(place, _)| *place);
        let lines: Vec<String> = placed
            .iter()
            .map(|(place, mistake)| {
                let mut line = format!("{}:{place}: {}", self.name, mistake.message);
                if !mistake.allowed.is_empty() {
                    line = format!("{line}; allowed: {}", mistake.allowed.join(", "));
                }
                line
            })
            .collect();
        CliError::Document(lines.join("\n"))
    }
}

struct Follower<'a> {
    folder: &'a Path,
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Follower<'_> {
    fn follow(
        &self,
        value: &mut Value,
        pointer: &str,
        path: &mut Vec<String>,
        mistakes: &mut Vec<Mistake>,
    ) {
        match value {
            Value::Object(map) => {
                for (key, inner) in map.iter_mut() {
                    path.push(key.clone());
                    self.follow(inner, &pointer_join(pointer, key), path, mistakes);
                    path.pop();
                }
            }
            Value::Array(list) => {
                for (index, inner) in list.iter_mut().enumerate() {
                    path.push("*".to_owned());
                    self.follow(inner, &format!("{pointer}/{index}"), path, mistakes);
                    path.pop();
                }
            }
            Value::String(text) if is_secret_place(path) => {
                match reference::resolve(text, self.folder, self.variable) {
                    Ok(resolved) => *text = resolved,
                    Err(error) => {
                        let mut message = error.to_string();
                        if let Some(cause) = std::error::Error::source(&error) {
                            message = format!("{message}: {cause}");
                        }
                        mistakes.push(Mistake::value(pointer, message));
                    }
                }
            }
            _ => {}
        }
    }
}

fn is_secret_place(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        path.as_slice(),
        ["subscriptions", "*", "manual", _]
            | ["credentials", "*", "values", _]
            | ["integrations", "*", "client", "client_id" | "client_secret"]
            | ["subscriptions", "*", "socket", "secret_headers", _]
            | ["webhook", "secret"]
            | ["routes", "*", "auth", "secret" | "previous_secret"]
            | ["routes", "*", "auth", "secrets" | "manual", _]
            | ["routes", "*", "auth", "basic", "password"]
            | ["runnables", "*", "http", "secret"]
            | ["runnables", "*", "http", "secret", "*"]
            | ["runnables", "*", "http", "secret_headers", _]
            | ["runnables", "*", "nats", "login", _]
            | ["runnables", "*", "command", "secret_env", _]
    )
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const DOCUMENT: &str = "\
workspace: default
runnables:
- path: f/demo/notify
  http: {url: 'http://127.0.0.1/', secret: '${SIGNING}', headers: {X: '${SIGNING}'}}
subscriptions:
- name: my-repo
  provider: acme
  manual:
    webhook_secret: ${SECRET}
";

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<DocumentFile, CliError> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        DocumentFile::parse("t.yaml".into(), text, Path::new("."), &variable)
    }

    fn check(result: Result<DocumentFile, CliError>, expected: Expect) {
        let shown = match result {
            Ok(file) => file.body.to_string(),
            Err(error) => error.text(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn references_are_followed_where_secrets_belong_and_nowhere_else() {
        check(
            parse(DOCUMENT, &[("SIGNING", "whsec_1"), ("SECRET", "s")]),
            expect![[
                r#"{"workspace":"default","runnables":[{"path":"f/demo/notify","http":{"url":"http://127.0.0.1/","secret":"whsec_1","headers":{"X":"${SIGNING}"}}}],"subscriptions":[{"name":"my-repo","provider":"acme","manual":{"webhook_secret":"s"}}]}"#
            ]],
        );
    }

    #[test]
    fn missing_variables_are_all_told_with_their_places() {
        check(
            parse(DOCUMENT, &[]),
            expect![[r#"
                nothing was changed:
                t.yaml:4:44: the variable `SIGNING` is not set
                t.yaml:9:21: the variable `SECRET` is not set"#]],
        );
    }

    #[test]
    fn the_servers_mistakes_are_placed_and_sorted() {
        let file = parse(DOCUMENT, &[("SIGNING", ""), ("SECRET", "")]).expect("it reads");
        let mistakes = [
            Mistake::value("/subscriptions/0/provider", "there is no provider `acme`")
                .allowing(["other"]),
            Mistake::unknown_key("/runnables/0/http/headers", "headers", vec!["url".into()]),
            Mistake::value("/triggers", "gone"),
        ];
        check(
            Err(file.refusal(&mistakes)),
            expect![[r#"
                nothing was changed:
                t.yaml:1:1: gone
                t.yaml:4:58: `headers` is not known here; allowed: url
                t.yaml:7:13: there is no provider `acme`; allowed: other"#]],
        );
    }
}
