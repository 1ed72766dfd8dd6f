//! `verify`: how a request proves who sent it.

use crate::declaration::native::condition::pointer;
use crate::declaration::section::Section;
use crate::rules::template::{Piece, SignedTemplate};
use crate::rules::time::{Unit, duration_ms};
use crate::rules::vocabulary::{PartsRule, Scheme, SecretEncoding, TimestampSource, VerifyRule};
use crate::signature::{Algorithm, Encoding};

const SCHEMES: &[(&str, Scheme)] = &[
    ("hmac-sha256", Scheme::Hmac(Algorithm::HmacSha256)),
    ("hmac-sha1", Scheme::Hmac(Algorithm::HmacSha1)),
    ("hmac-sha512", Scheme::Hmac(Algorithm::HmacSha512)),
    ("token", Scheme::Token),
    ("none", Scheme::None),
];

pub(super) const ENCODINGS: &[(&str, Encoding)] =
    &[("hex", Encoding::Hex), ("base64", Encoding::Base64)];

const SECRET_ENCODINGS: &[(&str, SecretEncoding)] = &[
    ("text", SecretEncoding::Text),
    ("base64", SecretEncoding::Encoded(Encoding::Base64)),
    ("hex", SecretEncoding::Encoded(Encoding::Hex)),
];

pub(super) fn verify(section: Section<'_>) -> Option<VerifyRule> {
    if !section.has("scheme") {
        section.required_text("scheme");
    }
    let scheme = section.choice("scheme", SCHEMES)?;
    let header = match scheme {
        Scheme::None => section.text("header").unwrap_or_default(),
        Scheme::Hmac(_) | Scheme::Token => section.required_text("header")?,
    };
    let signed = section.parsed(
        "signed",
        "a template of {body}, {url}, {timestamp}, {header:NAME}, {part:NAME}",
        |text| SignedTemplate::parse(text).ok(),
    );
    let rule = VerifyRule {
        scheme,
        header,
        prefix: section.text("prefix").unwrap_or_default(),
        encoding: section
            .choice("encoding", ENCODINGS)
            .unwrap_or(Encoding::Hex),
        signed: signed.unwrap_or_else(SignedTemplate::body),
        parts: section.section("parts").and_then(parts),
        secret: section
            .text("secret")
            .unwrap_or_else(|| "webhook_secret".to_owned()),
        secret_prefix: section.text("secret_prefix").unwrap_or_default(),
        secret_encoding: section
            .choice("secret_encoding", SECRET_ENCODINGS)
            .unwrap_or(SecretEncoding::Text),
        timestamp: section.section("timestamp").and_then(timestamp),
        tolerance_ms: tolerance(&section),
    };
    check(&section, &rule);
    section.rest();
    Some(rule)
}

fn parts(section: Section<'_>) -> Option<PartsRule> {
    let rule = PartsRule {
        separator: section.required_text("separator")?,
        assign: section.required_text("assign")?,
        signature: section.required_text("signature")?,
    };
    section.rest();
    Some(rule)
}

fn timestamp(section: Section<'_>) -> Option<(TimestampSource, Unit)> {
    let header = section.text("header").map(TimestampSource::Header);
    let part = section.text("part").map(TimestampSource::Part);
    let json = section
        .node("json")
        .and_then(|node| pointer(&section, node, "json"))
        .map(TimestampSource::Json);
    let unit = section
        .choice("unit", &[("s", Unit::Seconds), ("ms", Unit::Milliseconds)])
        .unwrap_or(Unit::Seconds);
    let mut found = [header, part, json].into_iter().flatten();
    let source = match (found.next(), found.next()) {
        (Some(source), None) => Some((source, unit)),
        _ => {
            section.findings.mistake(
                section.place,
                "a timestamp needs exactly one of: header, part, json",
            );
            None
        }
    };
    section.rest();
    source
}

fn tolerance(section: &Section<'_>) -> Option<u64> {
    let read = |text: &str| {
        if text == "none" {
            Some(None)
        } else {
            duration_ms(text).map(Some)
        }
    };
    section
        .parsed("tolerance", "`none` or a duration such as 5m", read)
        .flatten()
}

/// What would verify less than it says is a mistake.
fn check(section: &Section<'_>, rule: &VerifyRule) {
    let mistake = |message: &str| {
        section.findings.mistake(
            section.place,
            format!("{}: {message}", section.path("").trim_end_matches('.')),
        )
    };
    let pieces = &rule.signed.0;
    if matches!(rule.scheme, Scheme::Hmac(_)) && !pieces.contains(&Piece::Body) {
        mistake("`signed` must hold {body}, or anybody could change it");
    }
    if rule.parts.is_some() && !rule.prefix.is_empty() {
        mistake("`prefix` and `parts` exclude each other");
    }
    let uses_parts = pieces.iter().any(|piece| matches!(piece, Piece::Part(_)))
        || matches!(rule.timestamp, Some((TimestampSource::Part(_), _)));
    if uses_parts && rule.parts.is_none() {
        mistake("a part of the header is used, but `parts` does not say how it is divided");
    }
    match &rule.timestamp {
        None if rule.tolerance_ms.is_some() => mistake("`tolerance` needs `timestamp`"),
        None if pieces.contains(&Piece::Timestamp) => mistake("{timestamp} needs `timestamp`"),
        Some((TimestampSource::Json(_), _)) if pieces.contains(&Piece::Timestamp) => {
            mistake("{timestamp} cannot be read from the body before the body is verified");
        }
        Some((source, _)) if rule.tolerance_ms.is_some() => {
            let signed = pieces.iter().any(|piece| match (piece, source) {
                (Piece::Timestamp, _) | (_, TimestampSource::Json(_)) => true,
                (Piece::Header(name), TimestampSource::Header(header)) => {
                    name.eq_ignore_ascii_case(header)
                }
                (Piece::Part(name), TimestampSource::Part(part)) => name == part,
                _ => false,
            });
            if !signed {
                mistake(
                    "the timestamp is not part of `signed`, so that anybody could change it and `tolerance` would protect nothing",
                );
            }
        }
        _ => {}
    }
}
