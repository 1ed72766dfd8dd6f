//! What a version keeps sealed: signing secrets, secret headers, secret variables.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::outbound::nats::NatsLogin;
use crate::runnables::environment;
use crate::runnables::fields::Fields;
use crate::runnables::signature::SigningSecret;
use crate::runnables::spec::{SpecError, read_header};
use crate::secret::Secret;

/// The secrets of one version, stored as `{"secret": "whsec_…", "headers": {…}, "env": {…}, "login":
/// {…}}`.
#[derive(Clone, Debug, Default)]
pub struct RunnableSecrets {
    /// What requests are signed with. More than one while a secret is being rotated: `secret` is
    /// then a list, and each signs.
    pub signing: Vec<SigningSecret>,
    /// Headers marked sensitive, so that nothing prints them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// As whom messages are sent to a NATS server.
    pub login: NatsLogin,
    /// Variables of a program.
    pub env: Vec<(String, Secret<String>)>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Secret<String>),
    More(Vec<Secret<String>>),
}

impl RunnableSecrets {
    /// Reads the opened JSON of a version's secrets. No mistake shows a value.
    pub fn parse(secrets: &Secret<String>) -> Result<RunnableSecrets, SpecError> {
        let value: Value = serde_json::from_str(secrets.expose())
            .map_err(|_| SpecError::new("secrets", "no JSON", "a JSON object"))?;
        let hide = |error: SpecError| SpecError {
            found: "something else".to_owned(),
            ..error
        };
        let mut fields = Fields::of(&value)?;
        let signing = fields
            .take("secret", "`whsec_` and base64, or a list of these")
            .map_err(hide)?;
        let headers: Option<BTreeMap<String, Secret<String>>> =
            fields.take("headers", "an object of texts").map_err(hide)?;
        let env: Option<BTreeMap<String, Secret<String>>> =
            fields.take("env", "an object of texts").map_err(hide)?;
        let login: Option<LoginFields> = fields.take("login", LOGIN).map_err(hide)?;
        fields.finish()?;
        Ok(RunnableSecrets {
            login: login.map_or(Ok(NatsLogin::None), read_login)?,
            signing: read_signing(signing)?,
            headers: headers
                .into_iter()
                .flatten()
                .map(|(name, value)| {
                    let (name, mut value) = read_header("headers", &name, value.expose())?;
                    value.set_sensitive(true);
                    Ok((name, value))
                })
                .collect::<Result<_, SpecError>>()?,
            env: env
                .into_iter()
                .flatten()
                .map(|(name, value)| {
                    environment::check("env", &name, value.expose())?;
                    Ok((name, value))
                })
                .collect::<Result<_, SpecError>>()?,
        })
    }
}

const LOGIN: &str = "`token`, or `user` and `password`, or `nkey`, or `creds`";

#[derive(serde::Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum LoginFields {
    Token {
        token: Secret<String>,
    },
    Password {
        user: String,
        password: Secret<String>,
    },
    Nkey {
        nkey: Secret<String>,
    },
    Creds {
        creds: Secret<String>,
    },
}

fn read_login(fields: LoginFields) -> Result<NatsLogin, SpecError> {
    let (field, read) = match fields {
        LoginFields::Token { token } => return Ok(NatsLogin::Token(token)),
        LoginFields::Password { user, password } => {
            return Ok(NatsLogin::Password { user, password });
        }
        LoginFields::Nkey { nkey } => ("login.nkey", NatsLogin::nkey(nkey.expose())),
        LoginFields::Creds { creds } => ("login.creds", NatsLogin::creds(creds.expose())),
    };
    read.map_err(|error| SpecError::new(field, "something else", error.to_string()))
}

fn read_signing(secrets: Option<OneOrMore>) -> Result<Vec<SigningSecret>, SpecError> {
    let secrets = match secrets {
        None => Vec::new(),
        Some(OneOrMore::One(secret)) => vec![secret],
        Some(OneOrMore::More(secrets)) => secrets,
    };
    secrets
        .iter()
        .map(|secret| {
            SigningSecret::parse(secret.expose())
                .map_err(|error| SpecError::new("secret", error.found(), error.expected()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RunnableSecrets, String> {
        RunnableSecrets::parse(&Secret::new(text.to_owned())).map_err(|error| error.to_string())
    }

    #[test]
    fn one_secret_or_several_sign() {
        let one = r#"{"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#;
        assert_eq!(parse(one).expect("secrets").signing.len(), 1);
        let two = r#"{"secret": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                                 "whsec_AAKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}"#;
        assert_eq!(parse(two).expect("secrets").signing.len(), 2);
        assert!(parse("{}").expect("secrets").signing.is_empty());
    }

    #[test]
    fn no_mistake_and_no_debug_shows_a_secret() {
        for text in [
            r#"{"secret": "whsec_hunter2"}"#,
            r#"{"secret": "hunter2"}"#,
            r#"{"secret": {"hunter2": 1}}"#,
            r#"{"headers": "hunter2"}"#,
            r#"{"headers": {"A": "hunter2\n"}}"#,
            r#"{"env": {"PATH": "hunter2"}}"#,
            r#"{"env": ["hunter2"]}"#,
            r#"{"login": "hunter2"}"#,
            r#"{"login": {"token": "a", "hunter2": "b"}}"#,
            r#"{"login": {"user": "hunter2"}}"#,
            r#"{"login": {"nkey": "SUhunter2"}}"#,
            r#"{"login": {"creds": "hunter2"}}"#,
        ] {
            let mistake = parse(text).expect_err(text);
            assert!(!mistake.contains("hunter2"), "{mistake}");
        }
        let good = parse(
            r#"{"headers": {"A": "hunter2"}, "env": {"B": "hunter2"}, "login": {"token": "hunter2"}}"#,
        );
        let shown = format!("{:?}", good.expect("secrets"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
