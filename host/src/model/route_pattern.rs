//! The path of a route: `/hooks/orders/{id}`, literal segments and parameters, and at its end perhaps
//! `{*rest}` for one segment or more.

use std::fmt;
use std::str::FromStr;

/// What every route begins with.
pub const PREFIX: &str = "/hooks/";
const LENGTH_MAX: usize = 255;
const SEGMENTS_MAX: usize = 16;
const NAME_MAX: usize = 64;

/// A path that a route answers at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutePattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
    /// The last one; takes what is left, at least one segment.
    Rest(String),
}

/// What is wrong with a text that should be the path of a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct RoutePatternError(String);

impl RoutePattern {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// How many segments it has after [`PREFIX`].
    pub fn length(&self) -> usize {
        self.segments.len()
    }

    /// Whether it ends in `{*…}`, so that longer paths fit it too.
    pub fn is_open(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::Rest(_)))
    }

    /// Whether there is a path that fits both.
    pub fn overlaps(&self, other: &RoutePattern) -> bool {
        let (mut ours, mut theirs) = (self.segments.iter(), other.segments.iter());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return true,
                // Either takes all that the other one still has, which is at least one segment.
                (Some(Segment::Rest(_)), Some(_)) | (Some(_), Some(Segment::Rest(_))) => {
                    return true;
                }
                (Some(Segment::Literal(one)), Some(Segment::Literal(other))) if one != other => {
                    return false;
                }
                (Some(_), Some(_)) => {}
                (None, Some(_)) | (Some(_), None) => return false,
            }
        }
    }

    /// The parameters of a path, as [`decoded_segments`] divided it. `None`: it does not fit.
    pub fn fit(&self, path: &[String]) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let here = path.get(index)?;
            match segment {
                Segment::Literal(text) if text == here => {}
                Segment::Literal(_) => return None,
                Segment::Parameter(name) => found.push((name.clone(), here.clone())),
                Segment::Rest(name) => {
                    found.push((name.clone(), path[index..].join("/")));
                    return Some(found);
                }
            }
        }
        (path.len() == self.segments.len()).then_some(found)
    }
}

/// The segments of a request's path after [`PREFIX`], percent-decoded once. `None`: no route has such
/// a path (an empty segment, bytes that are not UTF-8, `.` or `..`).
pub fn decoded_segments(path: &str) -> Option<Vec<String>> {
    let rest = path.strip_prefix(PREFIX)?;
    let segments = rest.split('/').map(|segment| {
        let text = decode(segment)?;
        let is_segment = !matches!(text.as_str(), "" | "." | "..");
        is_segment.then_some(text)
    });
    segments.collect()
}

fn decode(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        decoded.extend(hex::decode(digits).ok()?);
    }
    String::from_utf8(decoded).ok()
}

impl FromStr for RoutePattern {
    type Err = RoutePatternError;

    fn from_str(text: &str) -> Result<RoutePattern, RoutePatternError> {
        let wrong = |expected: &str| Err(RoutePatternError(expected.to_owned()));
        let Some(rest) = text.strip_prefix(PREFIX) else {
            return wrong("a path that begins with `/hooks/`");
        };
        if text.len() > LENGTH_MAX || rest.split('/').count() > SEGMENTS_MAX {
            return wrong("a path of at most 255 bytes and 16 segments");
        }
        let mut segments = Vec::new();
        for part in rest.split('/') {
            if matches!(segments.last(), Some(Segment::Rest(_))) {
                return wrong("`{*…}` at the end only");
            }
            let inner = part
                .strip_prefix('{')
                .and_then(|part| part.strip_suffix('}'));
            let segment = match inner {
                Some(inner) => match inner.strip_prefix('*') {
                    Some(name) => Segment::Rest(name.to_owned()),
                    None => Segment::Parameter(inner.to_owned()),
                },
                None => Segment::Literal(part.to_owned()),
            };
            match &segment {
                Segment::Literal(text) if !is_literal(text) => {
                    return wrong(
                        "segments of letters, digits, `-`, `_`, `.` and `~`, or a parameter like `{id}`",
                    );
                }
                Segment::Parameter(name) | Segment::Rest(name) if !is_name(name) => {
                    return wrong(
                        "parameters named like `{order_id}`: letters, digits and `_`, a letter first",
                    );
                }
                _ => {}
            }
            segments.push(segment);
        }
        let pattern = RoutePattern {
            text: text.to_owned(),
            segments,
        };
        let names: Vec<&str> = pattern.parameters().collect();
        let is_doubled = |(index, name): (usize, &&str)| names[..index].contains(name);
        if names.iter().enumerate().any(is_doubled) {
            return wrong("each parameter once");
        }
        Ok(pattern)
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_literal(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    !matches!(text, "" | "." | "..") && text.bytes().all(is_letter)
}

fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> RoutePattern {
        text.parse().expect(text)
    }

    #[test]
    fn what_is_no_path_of_a_route_is_refused() {
        for text in [
            "/other/a",
            "/hooks",
            "/hooks/",
            "/hooks//a",
            "/hooks/a/",
            "/hooks/a b",
            "/hooks/a%20b",
            "/hooks/../a",
            "/hooks/{}",
            "/hooks/{a}/{a}",
            "/hooks/{a-b}",
            "/hooks/x{a}",
            "/hooks/{*a}/b",
            "/hooks/{WEBHOOK__X",
        ] {
            assert!(text.parse::<RoutePattern>().is_err(), "{text}");
        }
        let long = |length: usize| format!("/hooks/{}", "a".repeat(length - PREFIX.len()));
        let deep = |segments: usize| format!("/hooks{}", "/a".repeat(segments));
        for (fits, does_not) in [
            (long(LENGTH_MAX), long(LENGTH_MAX + 1)),
            (deep(SEGMENTS_MAX), deep(SEGMENTS_MAX + 1)),
        ] {
            assert!(fits.parse::<RoutePattern>().is_ok(), "{fits}");
            assert!(does_not.parse::<RoutePattern>().is_err(), "{does_not}");
        }
    }

    #[test]
    fn patterns_overlap_if_one_path_fits_both() {
        for (one, other, expected) in [
            ("/hooks/a", "/hooks/a", true),
            ("/hooks/a", "/hooks/b", false),
            ("/hooks/a", "/hooks/a/b", false),
            ("/hooks/{x}", "/hooks/a", true),
            ("/hooks/{x}/b", "/hooks/a/{y}", true),
            ("/hooks/{x}/b", "/hooks/a/c", false),
            ("/hooks/{*x}", "/hooks/a/b/c", true),
            ("/hooks/a/{*x}", "/hooks/a", false),
            ("/hooks/a/{*x}", "/hooks/b/{*y}", false),
            ("/hooks/{x}/c/{*y}", "/hooks/a/{*z}", true),
        ] {
            assert_eq!(
                pattern(one).overlaps(&pattern(other)),
                expected,
                "{one} {other}"
            );
            assert_eq!(
                pattern(other).overlaps(&pattern(one)),
                expected,
                "{other} {one}"
            );
        }
    }

    #[test]
    fn a_path_gives_its_parameters() {
        let fit = |text: &str, path: &str| {
            let found = pattern(text).fit(&decoded_segments(path)?)?;
            let pairs = found.iter().map(|(name, value)| format!("{name}={value}"));
            Some(pairs.collect::<Vec<_>>().join("&"))
        };
        for (text, path, expected) in [
            ("/hooks/a/{id}", "/hooks/a/7", Some("id=7")),
            ("/hooks/a/{id}", "/hooks/a/x%2Fy%20z", Some("id=x/y z")),
            ("/hooks/a/{id}", "/hooks/%61/7", Some("id=7")),
            ("/hooks/a/{id}", "/hooks/a/", None),
            ("/hooks/a/{id}", "/hooks/a/7/8", None),
            ("/hooks/a/{id}", "/hooks/a/%ff", None),
            ("/hooks/a/{id}", "/hooks/a/%2", None),
            ("/hooks/a/{id}", "/hooks/a/%2e%2e", None),
            ("/hooks/a/{*rest}", "/hooks/a/b/c", Some("rest=b/c")),
            ("/hooks/a/{*rest}", "/hooks/a", None),
            ("/hooks/a", "/hooks/a", Some("")),
            ("/hooks/a", "/hooks/a/", None),
        ] {
            assert_eq!(fit(text, path).as_deref(), expected, "{text} {path}");
        }
    }
}
