//! Signs a request by the declared rule: what the service does, done here for samples and tests.

use crate::messages::{Request, Subscription};
use crate::rules::keys::Proof;
use crate::rules::template::Piece;
use crate::rules::vocabulary::{Scheme, TimestampSource, VerifyRule};
use crate::{Error, Result};

/// The headers to add. `request.received_at_ms` is the time of signing.
pub(crate) fn sign(
    rule: &VerifyRule,
    subscription: &Subscription,
    request: &Request<'_>,
) -> Result<Vec<(String, String)>> {
    let mut added = Vec::new();
    let moment = rule
        .timestamp
        .as_ref()
        .map(|(_, unit)| unit.write(request.received_at_ms))
        .unwrap_or_default();
    let mut parts: Vec<String> = Vec::new();
    match (&rule.timestamp, &rule.parts) {
        (Some((TimestampSource::Header(name), _)), _) if request.headers.get(name).is_none() => {
            added.push((name.clone(), moment.clone()))
        }
        (Some((TimestampSource::Part(name), _)), Some(rule)) => {
            parts.push(format!("{name}{}{moment}", rule.assign))
        }
        _ => {}
    }
    let proof = match (&subscription.rules().proof, rule.scheme) {
        (Proof::Keys(keys), Scheme::Hmac(_)) => {
            let key = keys
                .first()
                .ok_or_else(|| Error::internal("this subscription has no key"))?;
            let pieces: Vec<Vec<u8>> = rule
                .signed
                .0
                .iter()
                .map(|piece| bytes(piece, rule, subscription, request, &moment))
                .collect::<Result<_>>()?;
            rule.encoding
                .encode(&key.sign(pieces.iter().map(Vec::as_slice)))
        }
        (Proof::Tokens(tokens), Scheme::Token) => {
            let token = tokens
                .first()
                .ok_or_else(|| Error::internal("this subscription has no token"))?;
            String::from_utf8(token.clone())
                .map_err(|_| Error::invalid_input("the token is not text, so it fits no header"))?
        }
        _ => return Ok(Vec::new()),
    };
    let value = match &rule.parts {
        Some(rule) => {
            parts.push(format!("{}{}{proof}", rule.signature, rule.assign));
            parts.join(&rule.separator)
        }
        None => format!("{}{proof}", rule.prefix),
    };
    added.push((rule.header.clone(), value));
    Ok(added)
}

fn bytes(
    piece: &Piece,
    rule: &VerifyRule,
    subscription: &Subscription,
    request: &Request<'_>,
    moment: &str,
) -> Result<Vec<u8>> {
    let header = |name: &str| match request.headers.single(name)? {
        Some(value) => Ok(value.to_vec()),
        None if matches!(&rule.timestamp, Some((TimestampSource::Header(each), _)) if each.eq_ignore_ascii_case(name)) => {
            Ok(moment.into())
        }
        None => Err(Error::invalid_input(format!(
            "the header {name}, which is signed too, is missing from the request"
        ))),
    };
    match piece {
        Piece::Text(text) => Ok(text.clone().into_bytes()),
        Piece::Body => Ok(request.body.to_vec()),
        Piece::Url => Ok(subscription.endpoint_url.clone().into_bytes()),
        Piece::Timestamp => match &rule.timestamp {
            Some((TimestampSource::Header(name), _)) => header(name),
            _ => Ok(moment.into()),
        },
        Piece::Header(name) => header(name),
        Piece::Part(name) => match &rule.timestamp {
            Some((TimestampSource::Part(each), _)) if each == name => Ok(moment.into()),
            _ => Err(Error::unsupported(format!(
                "the part `{name}` of the signature has no declared value"
            ))),
        },
    }
}
