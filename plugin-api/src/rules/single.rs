//! Rules for one address that belongs to no provider: the same words as in a declaration, read and
//! applied without one.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::declaration::yaml;
use crate::declaration::{Declaration, Findings, Identity, Section, read_provider_rules};
use crate::messages::{EventDispatch, Request, Subscription, SubscriptionSpec};
use crate::rules::Declared;
use crate::rules::source::Source;
use crate::rules::template::Piece;
use crate::rules::vocabulary::{ChallengeProof, EventName, Scheme};
use crate::{Error, Result};

/// What may be said for one address; the rest of the vocabulary is about events.
pub const KEYS: [&str; 3] = ["verify", "delivery_id", "challenge"];
/// The name of the one event that a genuine request is.
const EVENT: &str = "request";

/// A mistake in such rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMistake {
    /// Where, as far as it is known: the keys from the outside in. Empty: the rules as a whole.
    pub path: Vec<String>,
    /// What was found and what is expected.
    pub message: String,
}

/// `verify`, `delivery_id` and `challenge` of one address.
#[derive(Debug)]
pub struct SingleRules(Declared);

impl SingleRules {
    /// Reads and compiles the rules; a mapping of [`KEYS`]. `verify` has to be there.
    ///
    /// # Errors
    /// Every mistake. A key that nobody knows is one too: there is no one to keep it for.
    pub fn parse(rules: &Map<String, Value>) -> Result<SingleRules, Vec<RuleMistake>> {
        let findings = Findings::of("rules");
        // JSON is YAML.
        let text = Value::Object(rules.clone()).to_string();
        let node = yaml::parse(&text, &findings);
        let section = node
            .as_ref()
            .and_then(|node| Section::open(node, "", &findings));
        let read = section.map(read_provider_rules);
        let (warnings, mistakes) = findings.into_parts();
        let remarks = mistakes.into_iter().chain(warnings);
        let mut mistakes: Vec<RuleMistake> = remarks
            .map(|finding| RuleMistake::of(finding.message))
            .collect();
        for key in rules.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            mistakes.push(RuleMistake {
                path: vec![key.clone()],
                message: format!("{key} is not known here; allowed: {}", KEYS.join(", ")),
            });
        }
        let rules = match read {
            Some(rules) if mistakes.is_empty() => rules,
            _ => return Err(mistakes),
        };
        if rules.verify.is_none() {
            return Err(vec![RuleMistake::of("verify is missing".to_owned())]);
        }
        let mut rules = rules;
        rules.event = Some(EventName::Fixed(EVENT.to_owned()));
        Ok(SingleRules(Declared::compile(Declaration {
            identity: Identity::default(),
            subscription_schema: Vec::new(),
            subscription_constructor: None,
            events: Vec::new(),
            native: Map::new(),
            unknown: Map::new(),
            rules,
            samples: Vec::new(),
        })))
    }

    /// The names of the secrets that the rules need, that of `verify` first.
    pub fn secrets(&self) -> Vec<String> {
        let rules = &self.0.declaration().rules;
        let verify = rules.verify.iter().filter(|rule| rule.needs_secret());
        let mut names: Vec<String> = Vec::new();
        let all = verify
            .map(|rule| rule.secret.as_str())
            .chain(rules.challenges.iter().flat_map(|one| one.secrets()));
        for name in all {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    /// The header that carries a secret as it is, which no log may show.
    pub fn masked_header(&self) -> Option<&str> {
        let verify = self.0.declaration().rules.verify.as_ref()?;
        (verify.scheme == Scheme::Token).then_some(verify.header.as_str())
    }

    /// The arguments of the query that carry a secret as it is.
    pub fn masked_query(&self) -> Vec<&str> {
        let challenges = self.0.declaration().rules.challenges.iter();
        challenges
            .filter_map(|challenge| match &challenge.proof {
                ChallengeProof::Token {
                    source: Source::Query(name),
                    ..
                } => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Whether the address itself is signed, which then must be one and the same for all requests.
    pub fn signs_address(&self) -> bool {
        let verify = self.0.declaration().rules.verify.as_ref();
        verify.is_some_and(|rule| rule.signed.0.contains(&Piece::Url))
    }

    /// Prepares the rules for an address with its secrets; `NAME.previous` beside `NAME` while a
    /// secret is rotated.
    ///
    /// # Errors
    /// `INVALID_INPUT` when a secret is missing, empty or not of its encoding.
    pub fn open(&self, url: &str, secrets: BTreeMap<String, String>) -> Result<Subscription> {
        self.0.open_subscription(SubscriptionSpec {
            endpoint_url: url.to_owned(),
            secrets,
            ..SubscriptionSpec::default()
        })
    }

    /// Reads a request: no event if it was a challenge, else the one that says it is genuine.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when it does not prove who sent it, `INVALID_INPUT` when it cannot be read.
    pub fn dispatch(
        &self,
        address: &Subscription,
        request: &Request<'_>,
    ) -> Result<EventDispatch, Error> {
        self.0.dispatch(address, request)
    }
}

impl RuleMistake {
    /// A remark begins with the path of what it is about: `verify.scheme is missing`.
    fn of(message: String) -> RuleMistake {
        let first = message.split([' ', ':']).next().unwrap_or_default();
        let parts: Vec<&str> = first.split('.').collect();
        let path = match parts.first() {
            Some(first) if KEYS.contains(first) => {
                parts.iter().map(|part| (*part).to_owned()).collect()
            }
            _ => Vec::new(),
        };
        RuleMistake { path, message }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::messages::OwnedRequest;
    use crate::signature::{Algorithm, Encoding, Key};

    fn parse(rules: Value) -> Result<SingleRules, Vec<RuleMistake>> {
        let Value::Object(rules) = rules else {
            panic!("a mapping");
        };
        SingleRules::parse(&rules)
    }

    fn secrets(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs.iter().map(|(name, text)| (*name, *text));
        owned
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    }

    #[test]
    fn a_request_is_read_by_rules_of_its_own() {
        let rules = parse(json!({
            "verify": {"scheme": "hmac-sha256", "header": "X-Sign", "prefix": "sha256="},
            "delivery_id": {"header": "X-Delivery"},
        }))
        .expect("rules");
        assert_eq!(rules.secrets(), ["webhook_secret"]);
        let address = rules
            .open(
                "https://h/hooks/a",
                secrets(&[("webhook_secret", "s3cret")]),
            )
            .expect("opened");
        let key = Key::new(Algorithm::HmacSha256, b"s3cret").expect("a key");
        let sign = Encoding::Hex.encode(&key.sign([&b"{}"[..]]));
        let mut request = OwnedRequest {
            method: "POST".into(),
            path: "/hooks/a".into(),
            query: String::new(),
            headers: vec![
                ("X-Sign".into(), format!("sha256={sign}").into_bytes()),
                ("X-Delivery".into(), b"d-1".to_vec()),
            ],
            body: b"{}".to_vec(),
            received_at_ms: 0,
        };
        let read = rules.dispatch(&address, &request.as_request());
        let read = read.expect("genuine");
        assert_eq!(read.events.len(), 1);
        assert_eq!(read.delivery_id.as_deref(), Some("d-1"));
        request.body = b"{ }".to_vec();
        rules
            .dispatch(&address, &request.as_request())
            .expect_err("forged");
        rules
            .open("https://h/hooks/a", secrets(&[("webhook_secret", "")]))
            .expect_err("an empty secret");
    }

    #[test]
    fn mistakes_say_where_they_are() {
        let at = |rules: Value| -> Vec<String> {
            let mistakes = parse(rules).expect_err("mistakes");
            mistakes.iter().map(|one| one.path.join("/")).collect()
        };
        assert_eq!(at(json!({})), ["verify"]);
        assert_eq!(
            at(json!({"verify": {"scheme": "rot13", "header": "X"}})),
            ["verify/scheme"]
        );
        assert_eq!(
            at(json!({"verify": {"scheme": "token", "header": "X", "colour": 1}})),
            ["verify/colour"]
        );
        assert_eq!(
            at(json!({"verify": {"scheme": "token", "header": "X"}, "event": {"name": "x"}})),
            ["event"]
        );
    }
}
