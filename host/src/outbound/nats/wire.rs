//! The protocol's lines: what a client writes and what a server says.
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>, headers as of ADR-4.

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::message::{NatsError, shown};

/// The longest line, which is that of `INFO` in a large cluster.
const LINE_MAX: usize = 64 << 10;
/// The largest message with its headers; as much as a runnable may keep, and some headers.
const MESSAGE_MAX: usize = (16 << 20) + (64 << 10);

/// What a server says.
#[derive(Debug)]
pub(super) enum Said {
    Info(Box<Info>),
    Message(Message),
    Ping,
    Pong,
    Ok,
    Error(String),
}

/// What a server says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    #[serde(default)]
    pub(super) headers: bool,
    #[serde(default)]
    pub(super) max_payload: usize,
    #[serde(default)]
    pub(super) tls_required: bool,
    #[serde(default)]
    pub(super) nonce: String,
    /// It is about to go.
    #[serde(default, rename = "ldm")]
    pub(super) is_leaving: bool,
}

/// A message to a subscription of ours.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) subject: String,
    /// Of a server's own messages: 503 means that nobody listens.
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: Bytes,
}

/// Takes the next thing said out of what was read; nothing if it is not whole yet.
pub(super) fn read(buffer: &mut BytesMut) -> Result<Option<Said>, NatsError> {
    let Some(end) = buffer.windows(2).position(|pair| pair == b"\r\n") else {
        return match buffer.len() > LINE_MAX {
            true => Err(odd("a line without end")),
            false => Ok(None),
        };
    };
    let line = std::str::from_utf8(&buffer[..end]).map_err(|_| odd("a line that is no text"))?;
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let said = match word.to_ascii_uppercase().as_str() {
        "MSG" => return read_message(rest.to_owned(), false, end + 2, buffer),
        "HMSG" => return read_message(rest.to_owned(), true, end + 2, buffer),
        "INFO" => serde_json::from_str(rest)
            .map(|info| Said::Info(Box::new(info)))
            .map_err(|_| odd("an INFO that does not read"))?,
        "PING" => Said::Ping,
        "PONG" => Said::Pong,
        "+OK" => Said::Ok,
        "-ERR" => Said::Error(shown(rest.trim())),
        _ => return Err(odd(line)),
    };
    buffer.advance(end + 2);
    Ok(Some(said))
}

/// `subject sid [reply] [#headers] #total`, then as many bytes and the end of a line.
fn read_message(
    line: String,
    has_headers: bool,
    start: usize,
    buffer: &mut BytesMut,
) -> Result<Option<Said>, NatsError> {
    let parts: Vec<&str> = line.split_ascii_whitespace().collect();
    let sizes = if has_headers { 2 } else { 1 };
    if !(sizes + 2..=sizes + 3).contains(&parts.len()) {
        return Err(odd("a message without its sizes"));
    }
    let size = |place: usize| parts[place].parse::<usize>().ok();
    let total = size(parts.len() - 1).filter(|total| *total <= MESSAGE_MAX);
    let total = total.ok_or_else(|| odd("a message beyond all bounds"))?;
    let head = match has_headers {
        true => size(parts.len() - 2).filter(|head| *head <= total),
        false => Some(0),
    };
    let head = head.ok_or_else(|| odd("headers beyond their message"))?;
    if buffer.len() < start + total + 2 {
        buffer.reserve(start + total + 2 - buffer.len());
        return Ok(None);
    }
    buffer.advance(start);
    let mut payload = buffer.split_to(total).freeze();
    if !buffer.starts_with(b"\r\n") {
        return Err(odd("a message without an end"));
    }
    buffer.advance(2);
    let head = payload.split_to(head);
    let (status, headers) = read_headers(&head)?;
    Ok(Some(Said::Message(Message {
        subject: parts[0].to_owned(),
        status,
        headers,
        payload,
    })))
}

type Headers = (Option<u16>, Vec<(String, String)>);

/// `NATS/1.0`, perhaps a status, then a line for each.
fn read_headers(head: &[u8]) -> Result<Headers, NatsError> {
    if head.is_empty() {
        return Ok((None, Vec::new()));
    }
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let first = lines.next().and_then(|line| line.strip_prefix("NATS/1.0"));
    let first = first.ok_or_else(|| odd("headers of another version"))?;
    let status = first.split_ascii_whitespace().next();
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    Ok((
        status.and_then(|status| status.parse().ok()),
        headers.collect(),
    ))
}

fn odd(what: &str) -> NatsError {
    NatsError::Protocol(shown(what))
}

/// `CONNECT`, with a `PING` whose answer says that it was accepted.
pub(super) fn introduce(out: &mut BytesMut, is_tls: bool, login: Map<String, Value>) {
    let mut fields = serde_json::json!({
        "verbose": false,
        "pedantic": false,
        "tls_required": is_tls,
        "name": "triggerd",
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": 1,
        "echo": false,
        "headers": true,
        "no_responders": true,
    });
    if let Value::Object(fields) = &mut fields {
        fields.extend(login);
    }
    out.extend_from_slice(format!("CONNECT {fields}\r\nPING\r\n").as_bytes());
}

/// `SUB`, for the inbox that answers come to.
pub(super) fn subscribe(out: &mut BytesMut, subject: &str) {
    out.extend_from_slice(format!("SUB {subject} 1\r\n").as_bytes());
}

/// `HPUB`, and a `PING` whose answer says that it was read.
pub(super) fn publish(out: &mut BytesMut, message: &Outgoing, reply_to: Option<&str>) {
    let mut head = String::from("NATS/1.0\r\n");
    for (name, value) in &message.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    let reply_to = reply_to
        .map(|inbox| format!("{inbox} "))
        .unwrap_or_default();
    let (subject, payload) = (&message.subject, &message.payload);
    let sizes = format!("{} {}", head.len(), head.len() + payload.len());
    out.extend_from_slice(format!("HPUB {subject} {reply_to}{sizes}\r\n{head}").as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\nPING\r\n");
}

/// What is written of a message.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) subject: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) payload: Bytes,
}

impl Outgoing {
    /// As the server counts it against its limit.
    pub(super) fn size(&self) -> usize {
        let lines = self.headers.iter();
        let lines: usize = lines
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum();
        lines + 12 + self.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Result<Vec<Said>, NatsError> {
        let mut buffer = BytesMut::from(text);
        let mut said = Vec::new();
        while let Some(next) = read(&mut buffer)? {
            said.push(next);
        }
        Ok(said)
    }

    #[test]
    fn what_a_server_says_is_read_in_any_pieces() {
        let text = b"INFO {\"headers\":true,\"max_payload\":9,\"ldm\":true}\r\nping\r\n+OK\r\n\
            MSG a.1 1 2\r\nhi\r\nHMSG a.2 1 r 28 30\r\nNATS/1.0 503\r\nA: b\r\nC:d \r\n\r\nok\r\n\
            -ERR 'Authorization Violation'\r\nPONG\r\n";
        for cut in 0..text.len() {
            let mut buffer = BytesMut::from(&text[..cut]);
            let mut said = Vec::new();
            while let Some(next) = read(&mut buffer).expect("NATS") {
                said.push(next);
            }
            buffer.extend_from_slice(&text[cut..]);
            while let Some(next) = read(&mut buffer).expect("NATS") {
                said.push(next);
            }
            assert!(buffer.is_empty());
            let [
                Said::Info(info),
                Said::Ping,
                Said::Ok,
                Said::Message(plain),
                Said::Message(headed),
                Said::Error(error),
                Said::Pong,
            ] = said.as_slice()
            else {
                panic!("{said:?}");
            };
            assert!(info.headers && info.is_leaving && info.max_payload == 9);
            assert_eq!(
                (plain.subject.as_str(), &plain.payload[..]),
                ("a.1", &b"hi"[..])
            );
            assert_eq!(
                (headed.status, &headed.payload[..]),
                (Some(503), &b"ok"[..])
            );
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            assert_eq!(headed.headers, [pair("A", "b"), pair("C", "d")]);
            assert_eq!(error, "Authorization Violation");
        }
    }

    #[test]
    fn what_is_not_nats_or_too_much_is_refused_before_it_is_held() {
        for text in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"INFO nonsense\r\n",
            b"MSG a 1 99999999999\r\n",
            b"MSG a 1 -1\r\n",
            b"MSG a\r\n",
            b"HMSG a 1 9 2\r\n",
            b"HMSG a 1 4 4\r\nHTTP\r\n",
            b"MSG a 1 1\r\nxyz",
            b"\xff\r\n",
        ] {
            assert!(all(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
        let endless = vec![b'x'; LINE_MAX + 1];
        assert!(all(&endless).is_err());
    }

    #[test]
    fn a_publication_counts_its_headers() {
        let message = Outgoing {
            subject: "a.b".to_owned(),
            headers: vec![("K".to_owned(), "v".to_owned())],
            payload: Bytes::from_static(b"{}"),
        };
        let mut out = BytesMut::new();
        publish(&mut out, &message, Some("_INBOX.1"));
        let expected = "HPUB a.b _INBOX.1 18 20\r\nNATS/1.0\r\nK: v\r\n\r\n{}\r\nPING\r\n";
        assert_eq!(std::str::from_utf8(&out).expect("text"), expected);
        assert_eq!(message.size(), 20);
    }
}
