//! Where a rule reads a value of a request: a header, a query argument, or a place in the payload.

use std::cell::OnceCell;

use crate::messages::Request;
use crate::rules::fields::{Fields, Found, Unreadable};
use crate::rules::form;
use crate::rules::pointer::Pointer;
use crate::rules::scalar::Scalar;

/// Where one value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Header(String),
    Query(String),
    Json(Pointer),
}

/// One request while the rules read it: its payload is walked once, and only if a rule asks for it.
pub(crate) struct Reading<'r> {
    pub request: &'r Request<'r>,
    /// The JSON: the body, a field of a form, or one item of a batch.
    pub payload: &'r [u8],
    fields: &'r Fields,
    found: OnceCell<Result<Found<'r, 'r>, Unreadable>>,
}

/// What was found of one or more sources: comparable values, and whether anything was there at all.
#[derive(Debug, Default)]
pub(crate) struct Values<'a> {
    pub scalars: Vec<Scalar<'a>>,
    /// Something other than null, be it an object.
    pub is_there: bool,
}

impl Source {
    pub fn pointer(&self) -> Option<&Pointer> {
        match self {
            Self::Json(pointer) => Some(pointer),
            Self::Header(_) | Self::Query(_) => None,
        }
    }

    /// The name of the header, if it is one.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name),
            Self::Query(_) | Self::Json(_) => None,
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "the header {name}"),
            Self::Query(name) => write!(f, "the query argument {name}"),
            Self::Json(pointer) => write!(f, "{pointer} of the payload"),
        }
    }
}

impl<'r> Reading<'r> {
    pub fn new(request: &'r Request<'r>, payload: &'r [u8], fields: &'r Fields) -> Self {
        Self {
            request,
            payload,
            fields,
            found: OnceCell::new(),
        }
    }

    /// The values at a source. What cannot be read is not there; [`Self::unreadable`] says why.
    pub fn values(&self, source: &Source) -> Values<'r> {
        match source {
            Source::Header(name) => Values::of_texts(
                self.request
                    .headers
                    .all(name)
                    .filter_map(|value| std::str::from_utf8(value).ok()),
            ),
            Source::Query(name) => {
                let value = form::value(self.request.query.as_bytes(), name)
                    .and_then(|value| String::from_utf8(value).ok());
                match value {
                    Some(value) => Values {
                        scalars: vec![Scalar::Text(value.into())],
                        is_there: true,
                    },
                    None => Values::default(),
                }
            }
            Source::Json(pointer) => match self.found() {
                Ok(found) => Values::of_json(found.all(pointer)),
                Err(_) => Values::default(),
            },
        }
    }

    /// The first value at a source as text.
    pub fn text(&self, source: &Source) -> Option<String> {
        self.values(source)
            .scalars
            .first()
            .and_then(Scalar::text)
            .map(str::to_owned)
    }

    /// Why the payload could not be read, if a rule asked for it and it could not.
    pub fn unreadable(&self) -> Option<&Unreadable> {
        self.found.get().and_then(|found| found.as_ref().err())
    }

    fn found(&self) -> &Result<Found<'r, 'r>, Unreadable> {
        self.found.get_or_init(|| self.fields.read(self.payload))
    }
}

impl<'a> Values<'a> {
    pub fn of_json(raws: impl Iterator<Item = &'a str>) -> Self {
        let mut values = Self::default();
        for raw in raws {
            values.is_there |= raw != "null";
            values.scalars.extend(Scalar::list_from_json(raw));
        }
        values
    }

    fn of_texts(texts: impl Iterator<Item = &'a str>) -> Self {
        let scalars: Vec<Scalar<'a>> = texts.map(|text| Scalar::Text(text.into())).collect();
        Self {
            is_there: !scalars.is_empty(),
            scalars,
        }
    }
}
