//! Secrets by reference: `${NAME}` is a variable of the environment, `file:PATH` what a file holds.

use std::path::{Path, PathBuf};

/// Why a reference could not be followed. No message holds a value.
#[derive(Debug, thiserror::Error)]
pub enum ReferenceError {
    #[error("the variable `{0}` is not set")]
    Missing(String),
    #[error("`${{` without its closing brace or with a bad name; write `$${{` for the text itself")]
    Unclosed,
    #[error("cannot read the file {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Whether `text` names a secret instead of holding it.
pub fn is_reference(text: &str) -> bool {
    text.starts_with("file:") || text.replace("$${", "").contains("${")
}

/// Follows the references in `text`. `variable` looks a name up in the environment; a relative
/// path of `file:` starts at `folder`. One line end at the end of a file is not part of its value.
pub fn resolve(
    text: &str,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<String, ReferenceError> {
    if let Some(path) = text.strip_prefix("file:") {
        let path = folder.join(path);
        let mut held = std::fs::read_to_string(&path)
            .map_err(|source| ReferenceError::Unreadable { path, source })?;
        if held.ends_with('\n') {
            held.pop();
            if held.ends_with('\r') {
                held.pop();
            }
        }
        return Ok(held);
    }
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            resolved.push_str(&rest[..start - 1]);
            resolved.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        resolved.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let end = inner.find('}').ok_or(ReferenceError::Unclosed)?;
        let name = &inner[..end];
        if !is_name(name) {
            return Err(ReferenceError::Unclosed);
        }
        let value = variable(name).ok_or_else(|| ReferenceError::Missing(name.to_owned()))?;
        resolved.push_str(&value);
        rest = &inner[end + 1..];
    }
    resolved.push_str(rest);
    Ok(resolved)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<String, String> {
        let variable = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        resolve(text, Path::new("/nowhere"), &variable).map_err(|error| error.to_string())
    }

    #[test]
    fn variables_stand_for_their_values() {
        assert_eq!(resolved("${TOKEN}"), Ok("s3cret".to_owned()));
        assert_eq!(
            resolved("Bearer ${TOKEN}!"),
            Ok("Bearer s3cret!".to_owned())
        );
        assert_eq!(resolved("plain $5"), Ok("plain $5".to_owned()));
        assert_eq!(resolved("$${TOKEN}"), Ok("${TOKEN}".to_owned()));
    }

    #[test]
    fn a_missing_variable_is_named() {
        assert_eq!(
            resolved("${OTHER}"),
            Err("the variable `OTHER` is not set".to_owned())
        );
        assert!(resolved("${OTHER").is_err());
        assert!(resolved("${}").is_err());
    }

    #[test]
    fn a_file_gives_what_it_holds_without_its_last_line_end() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("key"), "one\ntwo\n").expect("a file");
        let value = resolve("file:key", folder.path(), &|_| None);
        assert_eq!(value.expect("it is there"), "one\ntwo");
        assert!(resolve("file:gone", folder.path(), &|_| None).is_err());
    }

    #[test]
    fn only_references_are_references() {
        assert!(is_reference("${A}") && is_reference("file:x") && is_reference("a${B}"));
        assert!(!is_reference("$${A}") && !is_reference("plain"));
    }
}
