//! Texts with places to fill in: what a signature is made over, and what a challenge is answered.

/// What a service signs: `v0:{header:X-Time}:{body}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTemplate(pub Vec<Piece>);

/// One piece of what is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Body,
    /// `{url}`: the endpoint's address, as the service was given it.
    Url,
    Header(String),
    /// `{timestamp}`: as the `timestamp` rule finds it.
    Timestamp,
    /// `{part:t}`: another part of the signature's header.
    Part(String),
}

impl SignedTemplate {
    /// The body alone, which is what most services sign.
    pub fn body() -> Self {
        Self(vec![Piece::Body])
    }

    /// Reads a template; the error names the placeholder that does not exist.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (name, after) = after.split_once('}').ok_or("a `{` without `}`")?;
            pieces.push(match name.split_once(':') {
                None if name == "body" => Piece::Body,
                None if name == "url" => Piece::Url,
                None if name == "timestamp" => Piece::Timestamp,
                Some(("header", name)) if !name.is_empty() => Piece::Header(name.to_owned()),
                Some(("part", name)) if !name.is_empty() => Piece::Part(name.to_owned()),
                _ => return Err(format!("the placeholder `{{{name}}}`")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }
}

/// Fills `{answer}` and `{hmac}` into a reply; every other brace stands for itself, as JSON needs it.
/// One pass, so that an answer which reads `{hmac}` is not filled in again.
pub fn fill_reply(template: &str, answer: &str, hmac: &str) -> String {
    let mut filled = String::with_capacity(template.len() + answer.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{answer}") {
            filled.push_str(answer);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("{hmac}") {
            filled.push_str(hmac);
            rest = after;
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_become_pieces() {
        let template = SignedTemplate::parse("v0:{header:X-Time}:{body}").unwrap();
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            template.0,
            [
                text("v0:"),
                Piece::Header("X-Time".to_owned()),
                text(":"),
                Piece::Body
            ]
        );
        assert_eq!(
            SignedTemplate::parse("{nobody}").unwrap_err(),
            "the placeholder `{nobody}`"
        );
        assert_eq!(
            SignedTemplate::parse("{body").unwrap_err(),
            "a `{` without `}`"
        );
    }

    #[test]
    fn a_reply_is_filled_once() {
        assert_eq!(
            fill_reply(r#"{"a": {answer}, "b": "{hmac}"}"#, "{hmac}", "x"),
            r#"{"a": {hmac}, "b": "x"}"#
        );
    }
}
