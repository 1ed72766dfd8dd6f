//! Raw HTTP messages in files (`.http`): samples, recorded requests and answers.
//!
//! The first line, headers, an empty line, then the body byte for byte to the end of the file. Lines
//! end with CRLF or LF. `Content-Length` is not consulted: what was recorded may have been shortened.

use crate::host::HttpResponse;
use crate::messages::OwnedRequest;

/// Why a file is not an HTTP message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFileError {
    #[error("the first line is not `METHOD /path HTTP/1.1`")]
    RequestLine,
    #[error("the first line is not `HTTP/1.1 STATUS`")]
    StatusLine,
    #[error("line {0} is no header (`Name: value`)")]
    Header(usize),
}

type Parts<'m> = (&'m [u8], Vec<(String, Vec<u8>)>, &'m [u8]);

/// Reads a request. Its time of arrival is 0.
pub fn parse_request(message: &[u8]) -> Result<OwnedRequest, HttpFileError> {
    let (line, headers, body) = parts(message)?;
    let line = std::str::from_utf8(line).map_err(|_| HttpFileError::RequestLine)?;
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(HttpFileError::RequestLine);
    };
    if !words
        .next()
        .is_none_or(|version| version.starts_with("HTTP/"))
        || !method.bytes().all(|b| b.is_ascii_uppercase())
    {
        return Err(HttpFileError::RequestLine);
    }
    // A recorded client names the whole address; what a server sees begins with the path.
    let target = target.split_once("://").map_or(target, |(_, rest)| {
        rest.find('/').map_or("/", |at| &rest[at..])
    });
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(OwnedRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.to_vec(),
        received_at_ms: 0,
    })
}

/// Reads an answer.
pub fn parse_response(message: &[u8]) -> Result<HttpResponse, HttpFileError> {
    let (line, headers, body) = parts(message)?;
    let line = std::str::from_utf8(line).map_err(|_| HttpFileError::StatusLine)?;
    let status = line
        .strip_prefix("HTTP/")
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    let status = status
        .filter(|status| (100..600).contains(status))
        .ok_or(HttpFileError::StatusLine)?;
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()));
    Ok(HttpResponse {
        status,
        headers: headers.collect(),
        body: body.to_vec(),
    })
}

fn parts(message: &[u8]) -> Result<Parts<'_>, HttpFileError> {
    let (first, mut rest) = line(message);
    let mut headers = Vec::new();
    let mut number = 1;
    loop {
        let (header, after) = line(rest);
        rest = after;
        number += 1;
        if header.is_empty() {
            return Ok((first, headers, rest));
        }
        let colon = header
            .iter()
            .position(|b| *b == b':')
            .ok_or(HttpFileError::Header(number))?;
        let name = std::str::from_utf8(&header[..colon])
            .ok()
            .filter(|name| !name.is_empty() && !name.contains(' '));
        let name = name.ok_or(HttpFileError::Header(number))?;
        headers.push((name.to_owned(), header[colon + 1..].trim_ascii().to_vec()));
    }
}

/// The first line without its end, and what follows.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match text.iter().position(|b| *b == b'\n') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[][..]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_to_its_last_byte() {
        let request = parse_request(
            b"POST /hook?a=1 HTTP/1.1\r\nHost: x\r\nX-Sign:  v1 \r\n\r\nbody\r\n\xff",
        )
        .unwrap();
        assert_eq!(
            (
                request.method.as_str(),
                request.path.as_str(),
                request.query.as_str()
            ),
            ("POST", "/hook", "a=1")
        );
        assert_eq!(request.headers[1], ("X-Sign".to_owned(), b"v1".to_vec()));
        assert_eq!(request.body, b"body\r\n\xff");
        assert_eq!(
            parse_request(b"GET https://api.example/x?y HTTP/1.1\n\n")
                .unwrap()
                .path,
            "/x"
        );
    }

    #[test]
    fn an_answer_is_read() {
        let answer = parse_response(b"HTTP/1.1 404 Not Found\nRetry-After: 5\n\n{}").unwrap();
        assert_eq!(
            (
                answer.status,
                answer.header("retry-after"),
                answer.body.as_slice()
            ),
            (404, Some("5"), b"{}".as_slice())
        );
    }

    #[test]
    fn what_is_no_message_is_refused() {
        assert_eq!(parse_request(b"").unwrap_err(), HttpFileError::RequestLine);
        assert_eq!(
            parse_request(b"HTTP/1.1 200 OK\n\n").unwrap_err(),
            HttpFileError::RequestLine
        );
        assert_eq!(
            parse_request(b"GET / HTTP/1.1\nno header\n\n").unwrap_err(),
            HttpFileError::Header(2)
        );
        assert_eq!(
            parse_response(b"GET / HTTP/1.1\n\n").unwrap_err(),
            HttpFileError::StatusLine
        );
        assert_eq!(
            parse_response(b"HTTP/1.1 9999\n\n").unwrap_err(),
            HttpFileError::StatusLine
        );
    }
}
