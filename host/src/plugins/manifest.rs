//! The manifest: the operator's YAML that enables a provider and configures it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::regular::read_text;

mod units;

/// Runs providers that are a declaration and nothing else.
pub const GENERIC_LIBRARY: &str = "libprovider_declared.so";

/// One file of the manifests folder, `<provider>.yaml`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name in webhook addresses and documents; the file is named after it.
    pub provider: String,
    /// Off keeps the file and its settings, and loads nothing.
    #[serde(default = "enabled_by_default")]
    pub enabled: bool,
    /// The library's file name in the plugins folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// A declaration in the plugins folder, for a provider that needs no code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declaration: Option<String>,
    /// SHA-256 of the library, or of the declaration, that the operator trusts, in lower-case hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where the library runs.
    #[serde(default, skip_serializing_if = "Isolation::is_default")]
    pub isolation: Isolation,
    /// Handed to the provider as it is; texts may be `${NAME}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, serde_json::Value>,
    /// The OAuth client that this instance shares with its workspaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth_client: Option<OauthClient>,
    /// Where the service's OAuth is, if not where the declaration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OauthEndpoints>,
    /// What one provider may use.
    #[serde(default, skip_serializing_if = "Limits::is_default")]
    pub limits: Limits,
    /// Narrows what the declaration asks for, and opens private ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
}

/// Where a library runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In the host's own process: for libraries trusted as much as the host.
    #[default]
    InProcess,
    /// In a runner process of its own.
    Process,
}

/// The provider's OAuth client.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OauthClient {
    /// Public identifier.
    pub client_id: String,
    /// As written: usually `${NAME}`.
    pub client_secret: String,
    /// Whether workspaces may use it.
    #[serde(default)]
    pub shared: bool,
}

/// Addresses of a service's OAuth, absolute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OauthEndpoints {
    /// Where a browser is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// Where codes and refresh tokens are exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Where tokens are given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_url: Option<String>,
}

impl OauthEndpoints {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let urls = [&self.authorize_url, &self.token_url, &self.revoke_url];
        for url in urls.into_iter().flatten() {
            let is_absolute = url::Url::parse(url)
                .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if !is_absolute {
                let expected = "expected an address like https://acme.example/oauth/token";
                return Err(("oauth", format!("found `{url}`, {expected}")));
            }
        }
        Ok(())
    }
}

/// Bounds on one provider.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A reading of one request that takes longer is named in the log. Default one second.
    #[serde(
        default,
        with = "units::text_duration",
        skip_serializing_if = "Option::is_none"
    )]
    pub dispatch_timeout: Option<Duration>,
    /// The largest request body, in bytes. Default 25 MiB.
    #[serde(
        default,
        with = "units::text_size",
        skip_serializing_if = "Option::is_none"
    )]
    pub body_max: Option<usize>,
    /// Requests a second over all endpoints of the provider. Default: no limit.
    #[serde(
        default,
        with = "units::text_rate",
        skip_serializing_if = "Option::is_none"
    )]
    pub rate: Option<u32>,
}

/// What a provider may reach.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Only these of the places that the declaration names, written as there. Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Vec<String>>,
    /// Address ranges (CIDR) beyond public ones, for a service in a private network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

/// Why a manifest cannot be used; the text names file, place, what was found and what is allowed.
#[derive(Debug, thiserror::Error, Clone)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// Not the shape of a manifest.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Line, column, what was found and what is allowed.
        reason: String,
    },
}

impl ManifestError {
    /// Whether the file may well be read the next time, as it is.
    pub fn may_pass(&self) -> bool {
        matches!(self, ManifestError::Unreadable { .. })
    }
}

impl Manifest {
    /// A manifest that enables one file, pinned: a library, or a declaration (`.yaml`).
    pub fn pinned(provider: &str, file: &str, sha256: &str) -> Manifest {
        let is_declaration = file.ends_with(".yaml");
        Manifest {
            provider: provider.to_owned(),
            enabled: true,
            library: (!is_declaration).then(|| file.to_owned()),
            declaration: is_declaration.then(|| file.to_owned()),
            sha256: Some(sha256.to_owned()),
            isolation: Isolation::InProcess,
            config: BTreeMap::new(),
            oauth_client: None,
            oauth: None,
            limits: Limits::default(),
            permissions: None,
        }
    }

    /// The library that runs it: the one named, or the generic one for a declaration alone.
    pub fn library_file(&self) -> &str {
        self.library.as_deref().unwrap_or(GENERIC_LIBRARY)
    }

    /// The manifest as a file holds it.
    pub fn to_text(&self) -> String {
        serde_yaml::to_string(self).expect("invariant: a manifest is plain data")
    }

    /// Reads and checks one file.
    pub fn read(path: &Path) -> Result<Manifest, ManifestError> {
        let text = read_text(path).map_err(|reason| ManifestError::Unreadable {
            path: path.to_owned(),
            reason,
        })?;
        Manifest::parse(path, &text)
    }

    /// Checks a text; `path` is only for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Manifest, ManifestError> {
        let malformed = |reason: String| ManifestError::Malformed {
            path: path.to_owned(),
            reason,
        };
        let manifest: Manifest =
            serde_yaml::from_str(text).map_err(|error| match error.to_string() {
                said if said.contains(" at line ") => malformed(said),
                // The library does not name the line of what is missing from the whole.
                said => malformed(format!("line 1: {said}")),
            })?;
        manifest.check().map_err(|(key, reason)| {
            malformed(format!("line {}: `{key}`: {reason}", line_of(text, key)))
        })?;
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        if stem.is_some_and(|stem| stem != manifest.provider) {
            return Err(malformed(format!(
                "line {}: `provider`: found `{}`, but the file is named after `{}`: rename one of them",
                line_of(text, "provider"),
                manifest.provider,
                stem.unwrap_or_default(),
            )));
        }
        Ok(manifest)
    }

    fn check(&self) -> Result<(), (&'static str, String)> {
        if !is_provider_name(&self.provider) {
            let found = &self.provider;
            return Err((
                "provider",
                format!("found `{found}`, expected lower-case letters, digits, `-` and `_`"),
            ));
        }
        match (&self.library, &self.declaration) {
            (Some(_), Some(_)) => {
                return Err((
                    "declaration",
                    "`library` and `declaration` exclude each other".into(),
                ));
            }
            (None, None) => {
                return Err((
                    "provider",
                    "needs `library: FILE.so` or `declaration: FILE.yaml`".into(),
                ));
            }
            (Some(name), None) => check_file_name("library", name)?,
            (None, Some(name)) => check_file_name("declaration", name)?,
        }
        if let Some(pin) = &self.sha256
            && (pin.len() != 64
                || !pin
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
        {
            return Err((
                "sha256",
                format!("found `{pin}`, expected 64 lower-case hexadecimal digits"),
            ));
        }
        if let Some(oauth) = &self.oauth {
            oauth.check()?;
        }
        if self.isolation == Isolation::Process {
            return Err((
                "isolation",
                "`process` is not available in this version: use `in-process` for a library \
                 that you trust as much as the host"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// The manifest's text with these top-level keys set, and everything else, comments too, as it was.
pub fn with_keys(text: &str, keys: &[(&str, &str)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (key, value) in keys {
        let wanted = format!("{key}: {value}");
        let at = lines.iter().position(|line| {
            line.strip_prefix(key)
                .is_some_and(|rest| rest.starts_with(':'))
        });
        match at {
            Some(at) => lines[at] = wanted,
            None => lines.push(wanted),
        }
    }
    lines.join("\n") + "\n"
}

/// Whether this may name a provider: it stands in addresses, file names and log lines.
pub fn is_provider_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn check_file_name(key: &'static str, name: &str) -> Result<(), (&'static str, String)> {
    let plain = Path::new(name).file_name().is_some_and(|file| file == name);
    if plain {
        Ok(())
    } else {
        Err((
            key,
            format!(
                "found `{name}`, expected the name of a file in the plugins folder, without a path"
            ),
        ))
    }
}

/// The line (from 1) where a top-level key stands.
fn line_of(text: &str, key: &str) -> usize {
    let at = text.lines().position(|line| {
        line.trim_start()
            .strip_prefix(key)
            .is_some_and(|rest| rest.starts_with(':'))
    });
    at.map_or(1, |line| line + 1)
}

fn enabled_by_default() -> bool {
    true
}

impl Isolation {
    fn is_default(&self) -> bool {
        *self == Isolation::default()
    }
}

impl Limits {
    fn is_default(&self) -> bool {
        *self == Limits::default()
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        let found = match Manifest::parse(Path::new("manifests/acme.yaml"), text) {
            Ok(manifest) => format!("{:?}", manifest.limits),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&found);
    }

    #[test]
    fn limits_are_read_with_their_units() {
        check(
            "provider: acme\nlibrary: a.so\nlimits: {dispatch_timeout: 1s, body_max: 25MiB, rate: 500/s}\n",
            expect![
                "Limits { dispatch_timeout: Some(1s), body_max: Some(26214400), rate: Some(500) }"
            ],
        );
    }

    #[test]
    fn a_mistake_names_file_line_and_what_is_allowed() {
        check(
            "provider: acme\nlibary: a.so\n",
            expect![
                "manifests/acme.yaml: unknown field `libary`, expected one of `provider`, `enabled`, `library`, `declaration`, `sha256`, `isolation`, `config`, `oauth_client`, `oauth`, `limits`, `permissions` at line 2 column 1"
            ],
        );
        check(
            "provider: acme\nlibrary: ../a.so\n",
            expect![
                "manifests/acme.yaml: line 2: `library`: found `../a.so`, expected the name of a file in the plugins folder, without a path"
            ],
        );
        check(
            "provider: acme\nlibrary: a.so\nlimits:\n  rate: often\n",
            expect![
                "manifests/acme.yaml: limits: found `often`, expected a rate like `500/s` at line 4 column 3"
            ],
        );
        check(
            "provider: acme\n",
            expect![
                "manifests/acme.yaml: line 1: `provider`: needs `library: FILE.so` or `declaration: FILE.yaml`"
            ],
        );
        check(
            "library: a.so\n",
            expect!["manifests/acme.yaml: line 1: missing field `provider`"],
        );
        check(
            "provider: other\nlibrary: a.so\n",
            expect![
                "manifests/acme.yaml: line 1: `provider`: found `other`, but the file is named after `acme`: rename one of them"
            ],
        );
    }

    #[test]
    fn process_isolation_is_refused_until_it_exists() {
        check(
            "provider: acme\nlibrary: a.so\nisolation: process\n",
            expect![
                "manifests/acme.yaml: line 3: `isolation`: `process` is not available in this version: use `in-process` for a library that you trust as much as the host"
            ],
        );
    }

    #[test]
    fn setting_keys_keeps_comments_and_everything_else() {
        let text = "# ours\nprovider: acme\nenabled: false # for now\nlibrary: a.so\n";
        let expected = expect![[r#"
            # ours
            provider: acme
            enabled: true
            library: a.so
            sha256: 00ff
        "#]];
        expected.assert_eq(&with_keys(text, &[("enabled", "true"), ("sha256", "00ff")]));
    }

    #[test]
    fn a_written_manifest_reads_back() {
        let manifest = Manifest::pinned("acme", "libprovider_acme.so", &"0".repeat(64));
        let read = Manifest::parse(Path::new("acme.yaml"), &manifest.to_text())
            .expect("it was just written");
        assert_eq!(read, manifest);
    }
}
