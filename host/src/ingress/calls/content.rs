//! The body of a call, by its kind, as arguments.

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD as BASE64};
use bytes::Bytes;
use url::form_urlencoded;

use super::arguments::{Arguments, METADATA};
use super::cloudevents::{self, Form};
use super::multipart::{self, File};
use super::options::Options;
use super::refusal::Refusal;

/// Bodies above this are read away from the threads that serve requests.
const INLINE_MAX: usize = 256 << 10;
/// A form with more fields is no form.
pub(super) const FIELDS_MAX: usize = 10_000;
/// Either alphabet, padded or not: the URL-safe one is brought into the form of the other.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a call sent.
pub(super) struct Sent {
    pub(super) is_get: bool,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) options: Options,
    /// Headers that are always wanted as arguments.
    pub(super) always: Vec<String>,
    /// The header that carried the token, which is not handed over.
    pub(super) is_token_in_header: bool,
    /// Arguments that are there whatever was sent: the parameters of a path.
    pub(super) fixed: Vec<(String, String)>,
}

/// What is handed over: for one job, or for each of a batch.
pub(super) struct Read {
    pub(super) arguments: Vec<Arguments>,
    pub(super) is_batch: bool,
    /// With the name of their field.
    pub(super) files: Vec<(String, File)>,
}

impl Read {
    fn one(arguments: Arguments) -> Read {
        Read {
            arguments: vec![arguments],
            is_batch: false,
            files: Vec::new(),
        }
    }
}

/// Reads the body and adds what the caller asks for beside it.
pub(super) async fn read(sent: Sent) -> Result<Read, Refusal> {
    check_encoding(&sent.headers)?;
    let kind = MediaType::of(&sent.headers);
    let boundary = kind.as_ref().and_then(|kind| kind.boundary());
    let read = match (sent.is_get, boundary) {
        (false, Some(boundary)) => {
            // A form may be the data of an event: what its headers say is not for them to drop.
            let attributes = match cloudevents::form_of(&sent.headers, kind.as_ref())? {
                Some(_) => Some(cloudevents::attributes(&sent.headers, kind.as_ref())?),
                None => None,
            };
            let mut read = multipart::read(sent.body.clone(), boundary).await?;
            for arguments in &mut read.arguments {
                if let Some(attributes) = &attributes {
                    arguments.set(METADATA, attributes);
                }
            }
            read
        }
        _ if sent.body.len() <= INLINE_MAX => read_whole(&sent, kind.as_ref())?,
        _ => {
            let reading = tokio::task::spawn_blocking(move || {
                let read = read_whole(&sent, kind.as_ref());
                (sent, read)
            });
            let (sent, read) = reading
                .await
                .expect("invariant: reading a body does not panic");
            return finish(read?, &sent);
        }
    };
    finish(read, &sent)
}

fn read_whole(sent: &Sent, kind: Option<&MediaType>) -> Result<Read, Refusal> {
    if sent.is_get {
        let payload = sent.options.payload.as_deref().unwrap_or_default();
        return Arguments::of_json(&decode(payload)?, "?payload").map(Read::one);
    }
    match cloudevents::form_of(&sent.headers, kind)? {
        Some(Form::Structured) => cloudevents::structured(&sent.body, "").map(Read::one),
        Some(Form::Binary) => cloudevents::binary(&sent.headers, &sent.body, kind).map(Read::one),
        Some(Form::Batch) => Ok(Read {
            arguments: cloudevents::batch(&sent.body)?,
            is_batch: true,
            files: Vec::new(),
        }),
        None => of_kind(kind, &sent.body).map(Read::one),
    }
}

/// A body by its type alone.
pub(super) fn of_kind(kind: Option<&MediaType>, body: &[u8]) -> Result<Arguments, Refusal> {
    let Some(kind) = kind else {
        return Arguments::of_json(body, "body");
    };
    if kind.is_json() {
        return Arguments::of_json(body, "body");
    }
    if kind.essence == "application/x-www-form-urlencoded" {
        if form_urlencoded::parse(body).count() > FIELDS_MAX {
            let detail = format!("the form has more than {FIELDS_MAX} fields");
            return Err(Refusal::unreadable("body", detail));
        }
        let pairs = form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        return Arguments::of_pairs(pairs);
    }
    match std::str::from_utf8(body) {
        Ok(text) if kind.is_text() => Ok(Arguments::of_text("raw_string", text)),
        _ => Ok(Arguments::of_text("raw_bytes", &BASE64.encode(body))),
    }
}

fn finish(read: Read, sent: &Sent) -> Result<Read, Refusal> {
    let extra = extra(sent)?;
    let finish = |mut arguments: Arguments| {
        let metadata = arguments.take(METADATA);
        if sent.options.wrap_body {
            arguments = arguments.wrapped();
        }
        if let Some(metadata) = metadata {
            arguments.set(METADATA, metadata);
        }
        if sent.options.raw && !sent.is_get {
            match std::str::from_utf8(&sent.body) {
                Ok(text) => arguments.set("raw_string", text),
                Err(_) => arguments.set("raw_bytes", BASE64.encode(&sent.body)),
            }
        }
        for (name, value) in &extra {
            arguments.set(name, value);
        }
        arguments
    };
    Ok(Read {
        arguments: read.arguments.into_iter().map(finish).collect(),
        ..read
    })
}

/// Headers and arguments of the query that are wanted beside the body.
fn extra(sent: &Sent) -> Result<Vec<(String, String)>, Refusal> {
    let mut extra = Vec::new();
    for wanted in sent.always.iter().chain(&sent.options.include_headers) {
        let name = wanted.to_ascii_lowercase();
        let named = sent.options.include_headers.contains(wanted);
        if name == header::AUTHORIZATION.as_str() && sent.is_token_in_header {
            if !named {
                continue;
            }
            let detail = "the token of the call is not handed over to what it runs";
            return Err(Refusal::invalid(format!("?include_header={name}"), detail));
        }
        let values: Vec<String> = sent
            .headers
            .get_all(&name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        if !values.is_empty() {
            extra.push((name.replace('-', "_"), values.join(", ")));
        }
    }
    extra.extend(sent.options.include_query.iter().cloned());
    extra.extend(sent.fixed.iter().cloned());
    Ok(extra)
}

/// A body is taken as it comes: one that is packed would have to be unpacked first.
fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let encodings = headers.get_all(header::CONTENT_ENCODING);
    let is_plain = |value: &axum::http::HeaderValue| {
        value.as_bytes().is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity")
    };
    match encodings.iter().all(is_plain) {
        true => Ok(()),
        false => Err(Refusal::of(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "packed bodies are not unpacked: send it as it is",
        )
        .at("content-encoding")),
    }
}

/// Base64 of either alphabet, padded or not.
fn decode(text: &str) -> Result<Vec<u8>, Refusal> {
    // A `+` that was not escaped arrives as a space.
    let standard: String = text
        .chars()
        .map(|letter| match letter {
            '-' | ' ' => '+',
            '_' => '/',
            other => other,
        })
        .collect();
    LENIENT
        .decode(standard)
        .map_err(|_| Refusal::unreadable("?payload", "it is not base64 of either alphabet"))
}

/// What `Content-Type` says.
pub(super) struct MediaType {
    /// Lower-case, without parameters.
    pub(super) essence: String,
    /// As it was sent.
    pub(super) text: String,
}

impl MediaType {
    /// `None`: there is none, or none that reads.
    pub(super) fn of(headers: &HeaderMap) -> Option<MediaType> {
        MediaType::parse(headers.get(header::CONTENT_TYPE)?.to_str().ok()?)
    }

    pub(super) fn parse(text: &str) -> Option<MediaType> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        (!essence.is_empty()).then(|| MediaType {
            essence: essence.to_ascii_lowercase(),
            text: text.trim().to_owned(),
        })
    }

    pub(super) fn is_json(&self) -> bool {
        self.essence == "application/json"
            || self.essence == "text/json"
            || self.essence.ends_with("+json")
    }

    pub(super) fn is_text(&self) -> bool {
        self.essence.starts_with("text/")
            || self.essence == "application/xml"
            || self.essence.ends_with("+xml")
    }

    fn boundary(&self) -> Option<String> {
        match self.essence == "multipart/form-data" {
            true => Some(multer::parse_boundary(&self.text).unwrap_or_default()),
            false => None,
        }
    }
}
