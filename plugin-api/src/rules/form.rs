//! `application/x-www-form-urlencoded`, in bodies and in queries (WHATWG URL, section 5.1).

use serde_json::{Map, Value};

use crate::messages::Headers;

/// Whether the request says that its body is a form.
pub fn is_form(headers: &Headers<'_>) -> bool {
    let kind = headers.get_str("content-type").unwrap_or_default();
    kind.split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// The first value of a name.
pub fn value(form: &[u8], name: &str) -> Option<Vec<u8>> {
    pairs(form)
        .find(|(each, _)| each == name.as_bytes())
        .map(|(_, value)| value)
}

/// The fields as one JSON object of texts; a name that comes more than once becomes a list.
/// Bytes that are no UTF-8 become U+FFFD.
pub fn to_object(form: &[u8]) -> Vec<u8> {
    let mut object = Map::new();
    for (name, value) in pairs(form) {
        let name = String::from_utf8_lossy(&name).into_owned();
        let value = Value::String(String::from_utf8_lossy(&value).into_owned());
        match object.get_mut(&name) {
            None => {
                object.insert(name, value);
            }
            Some(Value::Array(items)) => items.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(object).to_string().into_bytes()
}

/// Decoded names and values, in order.
pub fn pairs(form: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    form.split(|b| *b == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let split = pair.iter().position(|b| *b == b'=');
            let (name, value) = split.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            (decode(name), decode(value))
        })
}

/// A `%` without two hexadecimal digits after it stands for itself.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'%')
            .then(|| after.get(..2).and_then(|digits| hex::decode(digits).ok()))
            .flatten();
        match escaped {
            Some(byte) => {
                bytes.extend(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let form = b"a=1+2&payload=%7B%22x%22%3A%22%C3%A9%22%7D&&b&a=%zz&c=%4";
        assert_eq!(value(form, "payload").unwrap(), "{\"x\":\"é\"}".as_bytes());
        assert_eq!(value(form, "b").unwrap(), b"");
        assert_eq!(value(form, "c").unwrap(), b"%4");
        assert_eq!(value(form, "absent"), None);
        assert_eq!(
            to_object(b"a=1&b=x%FF&a=%zz"),
            "{\"a\":[\"1\",\"%zz\"],\"b\":\"x\u{fffd}\"}".as_bytes()
        );
    }

    #[test]
    fn the_content_type_decides_what_is_a_form() {
        let check = |kind: &str| {
            let headers = [("content-type".to_owned(), kind.as_bytes().to_vec())];
            is_form(&Headers::from(headers.as_slice()))
        };
        assert!(check("application/x-www-form-urlencoded"));
        assert!(check("Application/X-WWW-Form-Urlencoded; charset=utf-8"));
        assert!(!check("application/json"));
        assert!(!is_form(&Headers::from(
            [(String::new(), Vec::new())].as_slice()
        )));
    }
}
