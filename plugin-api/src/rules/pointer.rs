//! A JSON pointer (RFC 6901) with one addition: the segment `*` means each item of an array.

use std::fmt;
use std::str::FromStr;

/// How deep a pointer may reach; what lies deeper in a payload is skipped without recursion.
pub const SEGMENTS_MAX: usize = 32;

/// Where something stands in a payload: `/issue/labels/0/name`, `/commits/*/message`, or `""` for the whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pointer {
    text: String,
    segments: Vec<Segment>,
}

/// One step of a pointer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A key of an object, or the index of an array's item.
    Name(String),
    /// Each item of an array.
    Each,
}

/// Why a text is not a pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    #[error("a pointer is empty or starts with `/`")]
    NoSlash,
    #[error("a pointer has at most {SEGMENTS_MAX} segments")]
    TooDeep,
    #[error("after `~` in a pointer comes `0` (for `~`) or `1` (for `/`)")]
    Escape,
}

impl Pointer {
    /// The whole payload.
    pub fn whole() -> Self {
        Self {
            text: String::new(),
            segments: Vec::new(),
        }
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it may find more than one value.
    pub fn is_many(&self) -> bool {
        self.segments.contains(&Segment::Each)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Pointer {
    type Err = PointerError;

    fn from_str(text: &str) -> Result<Self, PointerError> {
        if text.is_empty() {
            return Ok(Self::whole());
        }
        let rest = text.strip_prefix('/').ok_or(PointerError::NoSlash)?;
        let segments = rest
            .split('/')
            .map(segment)
            .collect::<Result<Vec<_>, _>>()?;
        if segments.len() > SEGMENTS_MAX {
            return Err(PointerError::TooDeep);
        }
        Ok(Self {
            text: text.to_owned(),
            segments,
        })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() {
            "the whole payload"
        } else {
            &self.text
        })
    }
}

fn segment(text: &str) -> Result<Segment, PointerError> {
    if text == "*" {
        return Ok(Segment::Each);
    }
    let mut name = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        name.push(match (c, c == '~') {
            (_, false) => c,
            (_, true) => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(PointerError::Escape),
            },
        });
    }
    Ok(Segment::Name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_resolved_and_a_star_means_each_item() {
        let pointer: Pointer = "/a~1b/~0c/*/0".parse().unwrap();
        let name = |text: &str| Segment::Name(text.to_owned());
        assert_eq!(
            pointer.segments(),
            [name("a/b"), name("~c"), Segment::Each, name("0")]
        );
        assert!(pointer.is_many());
        assert_eq!(pointer.as_str(), "/a~1b/~0c/*/0");
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        assert_eq!("action".parse::<Pointer>(), Err(PointerError::NoSlash));
        assert_eq!("/a~2".parse::<Pointer>(), Err(PointerError::Escape));
        assert_eq!(
            "/a".repeat(33).parse::<Pointer>(),
            Err(PointerError::TooDeep)
        );
        assert!("/a".repeat(32).parse::<Pointer>().is_ok());
    }
}
