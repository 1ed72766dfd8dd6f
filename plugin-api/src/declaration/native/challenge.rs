//! `challenge` and `reply`: requests that only want an answer.

use crate::declaration::native::condition::{source, whole_condition};
use crate::declaration::native::verify::ENCODINGS;
use crate::declaration::section::Section;
use crate::rules::vocabulary::{AnswerHmac, ChallengeProof, ChallengeRule, ReplyRule};
use crate::signature::Encoding;

pub(super) fn challenge(section: Section<'_>) -> Option<ChallengeRule> {
    let verified = section.boolean("verified").unwrap_or(true);
    let token = section.section("token").and_then(token);
    let when = section.section("when").and_then(whole_condition);
    let answer = section.section("answer").and_then(|answer| {
        let found = source(&answer);
        answer.rest();
        found
    });
    let proof = match token {
        Some(token) => token,
        None if verified => ChallengeProof::Signature,
        None => ChallengeProof::Nothing,
    };
    for key in ["when", "answer"] {
        if !section.has(key) {
            section
                .findings
                .mistake(section.place, format!("{} is missing", section.path(key)));
        }
    }
    let rule = ChallengeRule {
        method: section
            .text("method")
            .map(|method| method.to_ascii_uppercase()),
        when: when?,
        proof,
        answer: answer?,
        hmac: section.section("hmac").and_then(hmac),
        reply: section
            .section("reply")
            .map_or_else(echo, |reply_section| reply(reply_section, "{answer}")),
    };
    section.rest();
    Some(rule)
}

pub(super) fn reply(section: Section<'_>, body_at_first: &str) -> ReplyRule {
    let status = section.parsed("status", "a status from 200 to 599", |text| {
        text.parse()
            .ok()
            .filter(|status| (200..600).contains(status))
    });
    let single_line = |text: &str| (!text.contains(['\r', '\n', '\0'])).then(|| text.to_owned());
    let rule = ReplyRule {
        status: status.unwrap_or(200),
        content_type: section
            .parsed("content_type", "a media type", single_line)
            .unwrap_or_else(|| "text/plain".to_owned()),
        body: section
            .text("body")
            .unwrap_or_else(|| body_at_first.to_owned()),
    };
    section.rest();
    rule
}

fn echo() -> ReplyRule {
    ReplyRule {
        status: 200,
        content_type: "text/plain".to_owned(),
        body: "{answer}".to_owned(),
    }
}

fn token(section: Section<'_>) -> Option<ChallengeProof> {
    let proof = ChallengeProof::Token {
        source: source(&section)?,
        secret: section.required_text("secret")?,
    };
    section.rest();
    Some(proof)
}

fn hmac(section: Section<'_>) -> Option<AnswerHmac> {
    let rule = AnswerHmac {
        secret: section
            .text("secret")
            .unwrap_or_else(|| "webhook_secret".to_owned()),
        encoding: section
            .choice("encoding", ENCODINGS)
            .unwrap_or(Encoding::Hex),
        prefix: section.text("prefix").unwrap_or_default(),
    };
    section.rest();
    Some(rule)
}
