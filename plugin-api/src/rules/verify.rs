//! Is the request genuine? Decided over the raw bytes, before anything of them is parsed.

use crate::messages::Request;
use crate::rules::fields::Fields;
use crate::rules::keys::Proof;
use crate::rules::scalar::Scalar;
use crate::rules::template::Piece;
use crate::rules::time::Unit;
use crate::rules::vocabulary::{PartsRule, Scheme, TimestampSource, VerifyRule};
use crate::signature::{signatures_equal, tokens_equal};
use crate::{Error, Result};

/// What is verified, and for whom.
pub(crate) struct Evidence<'a> {
    pub rule: Option<&'a VerifyRule>,
    pub proof: &'a Proof,
    pub endpoint_url: &'a str,
    pub request: &'a Request<'a>,
}

impl Evidence<'_> {
    /// # Errors
    /// `UNAUTHENTICATED`, saying which header is missing or does not hold, never what it should be.
    pub fn verify(&self) -> Result<()> {
        match (self.proof, self.rule) {
            (Proof::Everything, _) => Ok(()),
            (Proof::Keys(keys), Some(rule)) if matches!(rule.scheme, Scheme::Hmac(_)) => {
                let header = self.header(&rule.header)?;
                let given = signatures(rule, header)?;
                let pieces = self.signed_pieces(rule, header)?;
                // Every key is tried with every signature, so that time tells nothing of which held.
                let mut holds = false;
                for key in keys {
                    let expected = key.sign(pieces.iter().copied());
                    for signature in &given {
                        holds |= signatures_equal(&expected, signature);
                    }
                }
                if !holds {
                    return Err(Error::unauthenticated(format!(
                        "the signature in {} does not hold",
                        rule.header
                    )));
                }
                self.check_time(rule, header)
            }
            (Proof::Tokens(tokens), Some(rule)) if rule.scheme == Scheme::Token => {
                let header = self.header(&rule.header)?;
                let given = header
                    .strip_prefix(rule.prefix.as_bytes())
                    .ok_or_else(|| wrong_prefix(rule))?;
                let holds = tokens
                    .iter()
                    .fold(false, |holds, token| holds | tokens_equal(given, token));
                match holds {
                    true => self.check_time(rule, header),
                    false => Err(Error::unauthenticated(format!(
                        "the token in {} is not the one agreed on",
                        rule.header
                    ))),
                }
            }
            (Proof::NoRule | Proof::Keys(_) | Proof::Tokens(_), _) => Err(Error::unauthenticated(
                "the declaration does not say how requests are verified (`extra.native.verify`)",
            )),
        }
    }

    /// A header that must be there exactly once.
    fn header(&self, name: &str) -> Result<&[u8]> {
        let value = self
            .request
            .headers
            .single(name)
            .map_err(|error| Error::unauthenticated(error.message))?;
        match value {
            None => Err(Error::unauthenticated(format!(
                "the header {name} is missing"
            ))),
            Some([]) => Err(Error::unauthenticated(format!(
                "the header {name} is empty"
            ))),
            Some(value) => Ok(value),
        }
    }

    fn signed_pieces<'p>(
        &'p self,
        rule: &'p VerifyRule,
        header: &'p [u8],
    ) -> Result<Vec<&'p [u8]>> {
        let piece = |piece: &'p Piece| match piece {
            Piece::Text(text) => Ok(text.as_bytes()),
            Piece::Body => Ok(self.request.body),
            Piece::Url => Ok(self.endpoint_url.as_bytes()),
            Piece::Header(name) => self.header(name),
            Piece::Part(name) => part(rule, header, name),
            Piece::Timestamp => match &rule.timestamp {
                Some((TimestampSource::Header(name), _)) => self.header(name),
                Some((TimestampSource::Part(name), _)) => part(rule, header, name),
                Some((TimestampSource::Json(_), _)) | None => Err(Error::internal(
                    "the declaration signs a timestamp that it does not have",
                )),
            },
        };
        rule.signed.0.iter().map(piece).collect()
    }

    /// A request that was recorded long ago is not genuine now, nor is one from the future.
    fn check_time(&self, rule: &VerifyRule, header: &[u8]) -> Result<()> {
        let (Some(tolerance_ms), Some((source, unit))) = (rule.tolerance_ms, &rule.timestamp)
        else {
            return Ok(());
        };
        let text = match source {
            TimestampSource::Header(name) => self.header(name)?.to_vec(),
            TimestampSource::Part(name) => part(rule, header, name)?.to_vec(),
            TimestampSource::Json(pointer) => {
                let fields = Fields::new([pointer]);
                let found = fields.read(self.request.body).map_err(|error| {
                    Error::unauthenticated(format!("the timestamp cannot be read: {error}"))
                })?;
                let value = found.one(pointer).and_then(Scalar::from_json);
                value
                    .as_ref()
                    .and_then(Scalar::text)
                    .unwrap_or_default()
                    .as_bytes()
                    .to_vec()
            }
        };
        let moment_ms = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| unit.read(text));
        let moment_ms = moment_ms.ok_or_else(|| {
            Error::unauthenticated(format!(
                "the timestamp is not a time in {}",
                unit_name(*unit)
            ))
        })?;
        let apart_ms = self.request.received_at_ms.abs_diff(moment_ms);
        if apart_ms > tolerance_ms {
            return Err(Error::unauthenticated(format!(
                "the timestamp is {} s away from our clock; at most {} s are accepted",
                apart_ms / 1000,
                tolerance_ms / 1000
            )));
        }
        Ok(())
    }
}

/// The signatures that a header carries, decoded; at least one.
fn signatures(rule: &VerifyRule, header: &[u8]) -> Result<Vec<Vec<u8>>> {
    let decoded: Vec<Vec<u8>> = match &rule.parts {
        None => {
            let text = header
                .strip_prefix(rule.prefix.as_bytes())
                .ok_or_else(|| wrong_prefix(rule))?;
            rule.encoding.decode(text).into_iter().collect()
        }
        Some(parts) => {
            let named =
                divide(parts, header).filter(|(name, _)| *name == parts.signature.as_bytes());
            // No service sends more than a few; a header of thousands is not worth as many comparisons.
            named
                .take(32)
                .filter_map(|(_, text)| rule.encoding.decode(text))
                .collect()
        }
    };
    if decoded.is_empty() {
        return Err(Error::unauthenticated(format!(
            "the header {} holds no signature of the declared form",
            rule.header
        )));
    }
    Ok(decoded)
}

/// A part of the signature's header that must be there exactly once.
fn part<'h>(rule: &VerifyRule, header: &'h [u8], name: &str) -> Result<&'h [u8]> {
    let parts = rule.parts.iter().flat_map(|parts| divide(parts, header));
    let mut found = parts
        .filter(|(each, _)| *each == name.as_bytes())
        .map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => Err(Error::unauthenticated(format!(
            "the header {} has no part `{name}`",
            rule.header
        ))),
        (Some(_), Some(_)) => Err(Error::unauthenticated(format!(
            "the header {} has the part `{name}` more than once",
            rule.header
        ))),
    }
}

fn divide<'h>(parts: &PartsRule, header: &'h [u8]) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
    let pieces = split(header, parts.separator.as_bytes().to_vec());
    let assign = parts.assign.as_bytes().to_vec();
    pieces.filter_map(move |piece| {
        let piece = piece.trim_ascii();
        let at = find(piece, &assign)?;
        Some((piece[..at].trim_ascii(), &piece[at + assign.len()..]))
    })
}

fn split(text: &[u8], separator: Vec<u8>) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        match find(current, &separator) {
            Some(at) => {
                rest = Some(&current[at + separator.len()..]);
                Some(&current[..at])
            }
            None => {
                rest = None;
                Some(current)
            }
        }
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len().max(1))
        .position(|window| window == wanted)
}

fn wrong_prefix(rule: &VerifyRule) -> Error {
    Error::unauthenticated(format!(
        "the header {} does not begin with `{}`",
        rule.header, rule.prefix
    ))
}

fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "seconds",
        Unit::Milliseconds => "milliseconds",
        Unit::Rfc3339 => "RFC 3339",
    }
}
