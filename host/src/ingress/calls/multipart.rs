//! `multipart/form-data`: texts are arguments, files are put aside and told of by their path. What
//! the sender calls a file never decides where it lies.

use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::stream;

use super::arguments::{Arguments, check_name};
use super::content::{FIELDS_MAX, Read};
use super::refusal::Refusal;

/// More files in one call are refused.
const FILES_MAX: usize = 256;

/// A file of a form.
pub(super) struct File {
    /// As the sender calls it; for reading only.
    pub(super) name: String,
    pub(super) content_type: Option<String>,
    pub(super) bytes: Bytes,
}

/// Reads a form. Parts with a file name are files, the others are texts.
pub(super) async fn read(body: Bytes, boundary: String) -> Result<Read, Refusal> {
    let unreadable = |error: multer::Error| {
        Refusal::unreadable("body", format!("it is not multipart/form-data: {error}"))
    };
    if boundary.is_empty() {
        let detail = "`multipart/form-data` needs its `boundary`";
        return Err(Refusal::unreadable("content-type", detail));
    }
    let whole = stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(body)));
    let mut parts = multer::Multipart::new(whole, boundary);
    let (mut texts, mut files) = (Vec::new(), Vec::new());
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        if texts.len() >= FIELDS_MAX || files.len() >= FILES_MAX {
            let detail = format!("a form has at most {FIELDS_MAX} fields and {FILES_MAX} files");
            return Err(Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, detail).at("body"));
        }
        let Some(name) = part.name().map(str::to_owned) else {
            return Err(Refusal::unreadable(
                "body",
                "a part of the form has no name",
            ));
        };
        let (file_name, kind) = (part.file_name().map(str::to_owned), part.content_type());
        let content_type = kind.map(ToString::to_string);
        let bytes = part.bytes().await.map_err(unreadable)?;
        match file_name {
            Some(file_name) => {
                check_name(&name, || format!("/{name}"))?;
                let file = File {
                    name: file_name,
                    content_type,
                    bytes,
                };
                files.push((name, file));
            }
            None => match String::from_utf8(bytes.into()) {
                Ok(text) => texts.push((name, text)),
                Err(_) => {
                    let detail = format!("the field `{}` is not UTF-8", name.escape_debug());
                    return Err(Refusal::unreadable("body", detail));
                }
            },
        }
    }
    Ok(Read {
        arguments: vec![Arguments::of_pairs(texts)?],
        is_batch: false,
        files,
    })
}
