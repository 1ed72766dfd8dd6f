//! Answers requests that only want an answer: URL verification, CRC, `hub.challenge`.

use crate::messages::{EventDispatch, Reply, Subscription};
use crate::rules::keys::PreparedSubscription;
use crate::rules::source::Reading;
use crate::rules::template::fill_reply;
use crate::rules::vocabulary::{ChallengeProof, ChallengeRule, ReplyRule};
use crate::signature::tokens_equal;
use crate::{Error, Result};

impl ChallengeRule {
    /// Whether this request is the challenge; says nothing of its being genuine.
    pub(crate) fn fits(&self, reading: &Reading<'_>) -> bool {
        self.method
            .as_deref()
            .is_none_or(|method| method == reading.request.method)
            && self.when.holds(reading)
    }

    /// Whether it may be answered before the request is verified.
    pub(crate) fn is_before_verification(&self) -> bool {
        self.proof != ChallengeProof::Signature
    }

    /// The answer, when its own proof holds.
    pub(crate) fn answer(
        &self,
        subscription: &Subscription,
        prepared: &PreparedSubscription,
        reading: &Reading<'_>,
    ) -> Result<EventDispatch> {
        if let ChallengeProof::Token { source, secret } = &self.proof {
            let given = reading.text(source).unwrap_or_default();
            let ours = subscription.secret(secret).unwrap_or_default();
            if !tokens_equal(given.as_bytes(), ours.as_bytes()) {
                return Err(Error::unauthenticated(format!(
                    "{source} is not the token agreed on"
                )));
            }
        }
        let answer = reading
            .text(&self.answer)
            .ok_or_else(|| Error::invalid_input(format!("the challenge has no {}", self.answer)))?;
        let hmac = match &self.hmac {
            None => String::new(),
            Some(hmac) => {
                let key = prepared
                    .challenge_keys
                    .get(&hmac.secret)
                    .ok_or_else(|| Error::internal("the challenge's key is not prepared"))?;
                format!(
                    "{}{}",
                    hmac.prefix,
                    hmac.encoding.encode(&key.sign([answer.as_bytes()]))
                )
            }
        };
        Ok(EventDispatch::reply(self.reply.filled(&answer, &hmac)))
    }
}

impl ReplyRule {
    /// The reply with an answer filled in; in JSON as a JSON string, so that it cannot break out.
    pub(crate) fn filled(&self, answer: &str, hmac: &str) -> Reply {
        let body = if is_json(&self.content_type) {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            fill_reply(&self.body, &quoted(answer), &quoted(hmac))
        } else {
            fill_reply(&self.body, answer, hmac)
        };
        let headers = vec![
            ("content-type".to_owned(), self.content_type.clone()),
            // What a stranger sent is sent back: no browser shall take it for a page.
            ("x-content-type-options".to_owned(), "nosniff".to_owned()),
        ];
        Reply {
            status: self.status,
            headers,
            body: body.into_bytes(),
        }
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}
