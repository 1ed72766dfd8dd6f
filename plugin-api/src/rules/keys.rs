//! The secrets of a subscription, prepared for its declaration's rules.

use std::collections::BTreeMap;

use crate::messages::SubscriptionSpec;
use crate::rules::vocabulary::{ChallengeProof, ProviderRules, Scheme, SecretEncoding, VerifyRule};
use crate::signature::{Algorithm, Key};

/// What the rules prepare of a subscription.
#[derive(Debug, Default)]
pub struct PreparedSubscription {
    pub(crate) proof: Proof,
    /// For challenges, by the secret's name.
    pub(crate) challenge_keys: BTreeMap<String, Key>,
}

/// By what a request is known to be genuine.
#[derive(Default)]
pub(crate) enum Proof {
    /// The declaration has no rule: by rules alone nothing is accepted.
    #[default]
    NoRule,
    /// The declaration, or the operator, said that everything is.
    Everything,
    /// Signed by one of these; the first is the one to sign with.
    Keys(Vec<Key>),
    /// It carries one of these.
    Tokens(Vec<Vec<u8>>),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NoRule => "NoRule",
            Self::Everything => "Everything",
            Self::Keys(_) => "Keys(…)",
            Self::Tokens(_) => "Tokens(…)",
        })
    }
}

/// Why a subscription's secrets cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SecretProblem {
    /// The secret's name.
    pub name: String,
    pub message: String,
}

/// Prepares the secrets that the rules need.
pub(crate) fn prepare(
    rules: &ProviderRules,
    spec: &SubscriptionSpec,
) -> Result<PreparedSubscription, SecretProblem> {
    let proof = match &rules.verify {
        _ if verification_is_off(spec) => Proof::Everything,
        None => Proof::NoRule,
        Some(rule) => proof(rule, spec)?,
    };
    let mut challenge_keys = BTreeMap::new();
    for challenge in &rules.challenges {
        if let Some(hmac) = &challenge.hmac {
            let secrets = named_secrets(spec, &hmac.secret)?;
            let key = secrets
                .first()
                .and_then(|secret| Key::new(Algorithm::HmacSha256, secret.as_bytes()).ok());
            challenge_keys.extend(key.map(|key| (hmac.secret.clone(), key)));
        }
        if let ChallengeProof::Token { secret, .. } = &challenge.proof {
            named_secrets(spec, secret)?;
        }
    }
    Ok(PreparedSubscription {
        proof,
        challenge_keys,
    })
}

/// The operator wrote `verification: none` for this subscription: the one way to go without.
fn verification_is_off(spec: &SubscriptionSpec) -> bool {
    spec.parameters
        .get("verification")
        .is_some_and(|value| value == "none")
}

fn proof(rule: &VerifyRule, spec: &SubscriptionSpec) -> Result<Proof, SecretProblem> {
    if rule.scheme == Scheme::None {
        return Ok(Proof::Everything);
    }
    let secrets = named_secrets(spec, &rule.secret)?;
    let secrets = secrets
        .into_iter()
        .map(|secret| decode(rule, secret))
        .collect::<Result<Vec<_>, _>>()?;
    match rule.scheme {
        Scheme::Hmac(algorithm) => {
            let keys = secrets
                .iter()
                .map(|secret| Key::new(algorithm, secret).map_err(|_| empty(&rule.secret)));
            Ok(Proof::Keys(keys.collect::<Result<_, _>>()?))
        }
        Scheme::Token | Scheme::None => Ok(Proof::Tokens(secrets)),
    }
}

/// The secret of this name, and those kept beside it while it is rotated (`NAME.previous`): never
/// none, never an empty one.
fn named_secrets<'s>(
    spec: &'s SubscriptionSpec,
    name: &str,
) -> Result<Vec<&'s str>, SecretProblem> {
    let current = spec.secrets.get(name).ok_or_else(|| SecretProblem {
        name: name.to_owned(),
        message: format!("the secret `{name}` is missing; without it no request can be verified"),
    })?;
    let beside = spec.secrets.iter().filter(|(each, _)| {
        each.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    });
    let secrets: Vec<&str> = std::iter::once(current)
        .chain(beside.map(|(_, secret)| secret))
        .map(String::as_str)
        .collect();
    match secrets.iter().any(|secret| secret.trim().is_empty()) {
        true => Err(empty(name)),
        false => Ok(secrets),
    }
}

fn decode(rule: &VerifyRule, secret: &str) -> Result<Vec<u8>, SecretProblem> {
    let text = secret.strip_prefix(&rule.secret_prefix).unwrap_or(secret);
    let bytes =
        match rule.secret_encoding {
            SecretEncoding::Text => text.as_bytes().to_vec(),
            SecretEncoding::Encoded(encoding) => encoding
                .decode(text.trim().as_bytes())
                .ok_or_else(|| SecretProblem {
                    name: rule.secret.clone(),
                    message: format!(
                        "the secret `{}` is not the {encoding:?} that this service gives out",
                        rule.secret
                    ),
                })?,
        };
    if bytes.is_empty() {
        Err(empty(&rule.secret))
    } else {
        Ok(bytes)
    }
}

fn empty(name: &str) -> SecretProblem {
    SecretProblem {
        name: name.to_owned(),
        message: format!("the secret `{name}` is empty, which would accept everybody"),
    }
}
