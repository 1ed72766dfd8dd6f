//! A genuine request, changed in every way that must not be accepted.

use crate::messages::OwnedRequest;
use crate::rules::template::Piece;
use crate::rules::vocabulary::{Scheme, TimestampSource, VerifyRule};

/// What was changed, and the request.
pub(super) type Forgery = (String, OwnedRequest);

/// Forgeries of a genuine request; none of them is genuine by `rule`.
pub(super) fn forgeries(rule: &VerifyRule, genuine: &OwnedRequest) -> Vec<Forgery> {
    let mut forgeries = Vec::new();
    if matches!(rule.scheme, Scheme::Hmac(_)) {
        forgeries.extend(forged_bodies(genuine));
    }
    for header in signed_headers(rule) {
        forgeries.extend(forged_header(rule, genuine, &header));
    }
    forgeries
}

/// The headers that the proof consists of.
fn signed_headers(rule: &VerifyRule) -> Vec<String> {
    let mut headers = vec![rule.header.clone()];
    for piece in &rule.signed.0 {
        if let (Piece::Header(name), Scheme::Hmac(_)) = (piece, rule.scheme) {
            headers.push(name.clone());
        }
    }
    if let (Some((TimestampSource::Header(name), _)), true) =
        (&rule.timestamp, rule.signed.0.contains(&Piece::Timestamp))
    {
        headers.push(name.clone());
    }
    headers
}

fn forged_bodies(genuine: &OwnedRequest) -> Vec<Forgery> {
    let mut forgeries = Vec::new();
    let length = genuine.body.len();
    for at in [0, length / 3, length / 2, length.saturating_sub(1)] {
        let mut forged = genuine.clone();
        if let Some(byte) = forged.body.get_mut(at) {
            *byte ^= 1;
            forgeries.push((format!("one bit off at byte {at} of the body"), forged));
        }
    }
    for (what, more) in [
        ("a line end", b"\n".as_slice()),
        ("a NUL", b"\0"),
        ("another object", b"{}"),
    ] {
        let mut forged = genuine.clone();
        forged.body.extend_from_slice(more);
        forgeries.push((format!("{what} after the body"), forged));
    }
    forgeries.push((
        "no body".to_owned(),
        OwnedRequest {
            body: Vec::new(),
            ..genuine.clone()
        },
    ));
    forgeries
}

fn forged_header(rule: &VerifyRule, genuine: &OwnedRequest, name: &str) -> Vec<Forgery> {
    let Some(value) = genuine.as_request().headers.get(name).map(<[u8]>::to_vec) else {
        panic!("a signed sample has no header {name}");
    };
    let without = || {
        let mut request = genuine.clone();
        request
            .headers
            .retain(|(each, _)| !each.eq_ignore_ascii_case(name));
        request
    };
    let with = |what: &str, value: Vec<u8>| {
        let mut request = without();
        request.headers.push((name.to_owned(), value));
        (format!("{what} in {name}"), request)
    };
    let mut doubled = genuine.clone();
    doubled.headers.push((name.to_owned(), value.clone()));
    let mut preceded = genuine.clone();
    preceded
        .headers
        .insert(0, (name.to_ascii_uppercase(), b"x".to_vec()));
    let mut forgeries = vec![
        (format!("{name} missing"), without()),
        (format!("{name} twice"), doubled),
        (format!("{name} twice, a wrong one first"), preceded),
        with("nothing", Vec::new()),
        with("half of the value", value[..value.len() / 2].to_vec()),
        with("a value that is no text", vec![0xff; value.len()]),
        with(
            "something before the value",
            [b"x", value.as_slice()].concat(),
        ),
        with(
            "something after the value",
            [value.as_slice(), b"0"].concat(),
        ),
    ];
    if rule.parts.is_none() {
        for at in 0..value.len() {
            let mut value = value.clone();
            value[at] ^= 1;
            forgeries.push(with(&format!("one bit off at byte {at}"), value));
        }
    }
    if !rule.prefix.is_empty() && name.eq_ignore_ascii_case(&rule.header) {
        let bare = value[rule.prefix.len()..].to_vec();
        forgeries.push(with(
            "another prefix",
            [b"other=", bare.as_slice()].concat(),
        ));
        forgeries.push(with("no prefix", bare));
    }
    forgeries
}
