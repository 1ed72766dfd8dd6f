//! Reads what WebDAV answers to a PROPFIND: a list of resources with properties (RFC 4918, 13).
//!
//! Nothing is expanded but the five entities of XML itself, a document type is refused, and depth
//! and number are bounded: the answer comes from a server that nobody vouches for.

use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event as Xml};
use quick_xml::name::ResolveResult;

/// The namespace of WebDAV itself.
pub const DAV: &str = "DAV:";
/// The namespace of Nextcloud's properties, as it was first called.
pub const OWNCLOUD: &str = "http://owncloud.org/ns";
/// The namespace of CalDAV.
pub const CALDAV: &str = "urn:ietf:params:xml:ns:caldav";

const DEPTH_MAX: usize = 32;
const RESOURCES_MAX: usize = 20_000;
/// Below it, the address of everything that Nextcloud offers over WebDAV.
const ROOT: &str = "/remote.php/dav/";

/// One thing at the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resource {
    /// Its path below `/remote.php/dav/`, decoded, without a slash at its end.
    pub path: String,
    properties: Vec<Property>,
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it is not XML: {0}")]
    NotXml(String),
    #[error("it has a document type, which no WebDAV answer has")]
    DocumentType,
    #[error("it is nested too deep")]
    TooDeep,
    #[error("it is longer than {RESOURCES_MAX} entries")]
    TooLong,
}

/// A name with its namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Name {
    namespace: String,
    local: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Property {
    name: Name,
    text: String,
    /// The elements in it: of a resource type, what the resource is.
    elements: Vec<Name>,
}

impl Resource {
    /// The text of a property; empty counts as absent.
    pub fn text(&self, namespace: &str, local: &str) -> Option<&str> {
        let property = self.property(namespace, local)?;
        Some(property.text.trim()).filter(|text| !text.is_empty())
    }

    /// Whether its resource type is this.
    pub fn is_a(&self, namespace: &str, local: &str) -> bool {
        self.property(DAV, "resourcetype")
            .is_some_and(|types| types.elements.iter().any(|each| each.is(namespace, local)))
    }

    fn property(&self, namespace: &str, local: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|property| property.name.is(namespace, local))
    }
}

impl Name {
    fn is(&self, namespace: &str, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }
}

/// Reads an answer of status 207.
pub fn read(answer: &[u8]) -> Result<Vec<Resource>, Unreadable> {
    let text = std::str::from_utf8(answer).map_err(|_| Unreadable::NotUtf8)?;
    let mut xml = NsReader::from_str(text.trim_start_matches('\u{feff}'));
    let mut reading = Reading::default();
    loop {
        let (namespace, event) = xml
            .read_resolved_event()
            .map_err(|error| Unreadable::NotXml(error.to_string()))?;
        let namespace = match namespace {
            ResolveResult::Bound(namespace) => namespace.as_ref().to_owned(),
            ResolveResult::Unbound | ResolveResult::Unknown(_) => String::new(),
        };
        match event {
            Xml::Start(start) => reading.open(namespace, start.local_name().as_ref())?,
            Xml::Empty(empty) => {
                reading.open(namespace, empty.local_name().as_ref())?;
                reading.close()?;
            }
            Xml::End(_) => reading.close()?,
            Xml::Text(text) => reading.text.push_str(&text.xml10_content()),
            Xml::CData(text) => reading.text.push_str(&text.xml10_content()),
            Xml::GeneralRef(entity) => reading.text.push_str(&resolve(&entity)?),
            Xml::DocType(_) => return Err(Unreadable::DocumentType),
            Xml::Eof => return Ok(reading.resources),
            Xml::Comment(_) | Xml::Decl(_) | Xml::PI(_) => {}
        }
    }
}

/// Where in the answer we are, and what was found so far.
#[derive(Default)]
struct Reading {
    open: Vec<Name>,
    text: String,
    resource: Resource,
    /// Of the propstat that is open: they count only if its status is 200.
    found: Vec<Property>,
    status: String,
    resources: Vec<Resource>,
}

impl Reading {
    fn open(&mut self, namespace: String, local: &str) -> Result<(), Unreadable> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Unreadable::TooDeep);
        }
        let name = Name {
            namespace,
            local: local.to_owned(),
        };
        match self.below_prop() {
            Some(0) => self.found.push(Property {
                name: name.clone(),
                ..Property::default()
            }),
            Some(1) => {
                if let Some(property) = self.found.last_mut() {
                    property.elements.push(name.clone());
                }
            }
            _ => {}
        }
        self.open.push(name);
        self.text.clear();
        Ok(())
    }

    fn close(&mut self) -> Result<(), Unreadable> {
        let text = std::mem::take(&mut self.text);
        let Some(closed) = self.open.pop() else {
            return Ok(());
        };
        match self.below_prop() {
            Some(0) => {
                if let Some(property) = self.found.last_mut() {
                    property.text = text;
                }
                return Ok(());
            }
            // An owner is an address within an element: its text is the property's.
            Some(1) => {
                self.text = text;
                return Ok(());
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let parent = self.open.last().map(|parent| parent.local.as_str());
        match (closed.namespace.as_str(), closed.local.as_str(), parent) {
            (DAV, "href", Some("response")) => self.resource.path = path(text.trim()),
            (DAV, "status", Some("propstat")) => self.status = text,
            (DAV, "propstat", _) => {
                let found = std::mem::take(&mut self.found);
                if std::mem::take(&mut self.status).contains(" 200") {
                    self.resource.properties.extend(found);
                }
            }
            (DAV, "response", _) => {
                if self.resources.len() >= RESOURCES_MAX {
                    return Err(Unreadable::TooLong);
                }
                self.resources.push(std::mem::take(&mut self.resource));
            }
            _ => {}
        }
        Ok(())
    }

    /// How many elements are open below the open `prop`.
    fn below_prop(&self) -> Option<usize> {
        let prop = self.open.iter().position(|name| name.is(DAV, "prop"))?;
        Some(self.open.len() - prop - 1)
    }
}

fn resolve(entity: &BytesRef<'_>) -> Result<String, Unreadable> {
    let not_xml = |error: quick_xml::Error| Unreadable::NotXml(error.to_string());
    if let Some(letter) = entity.resolve_char_ref().map_err(not_xml)? {
        return Ok(letter.to_string());
    }
    let name = entity.xml10_content();
    match resolve_predefined_entity(&name) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Unreadable::NotXml(format!("&{name}; means nothing"))),
    }
}

/// The path of an address, decoded; the server may be in a folder.
fn path(href: &str) -> String {
    let below = href.find(ROOT).map_or(href, |at| &href[at + ROOT.len()..]);
    let bytes = below.trim_end_matches('/').as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = |offset: usize| {
            bytes
                .get(at + offset)
                .and_then(|b| char::from(*b).to_digit(16))
        };
        match (byte, hex(1), hex(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGS: &str = r#"<?xml version="1.0"?>
<d:multistatus xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns" xmlns:oc="http://owncloud.org/ns">
 <d:response><d:href>/nextcloud/remote.php/dav/systemtags/</d:href>
  <d:propstat><d:prop/><d:status>HTTP/1.1 200 OK</d:status></d:propstat>
  <d:propstat><d:prop><oc:id/><oc:display-name/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status></d:propstat>
 </d:response>
 <d:response><d:href>/nextcloud/remote.php/dav/systemtags/1</d:href>
  <d:propstat><d:prop><oc:id>1</oc:id><oc:display-name>To &amp; fro &#252;</oc:display-name>
   <d:resourcetype><d:collection/><c:calendar xmlns:c="urn:ietf:params:xml:ns:caldav"/></d:resourcetype>
   <d:owner><d:href>/nextcloud/remote.php/dav/principals/users/alice/</d:href></d:owner></d:prop>
   <d:status>HTTP/1.1 200 OK</d:status></d:propstat>
 </d:response>
</d:multistatus>"#;

    #[test]
    fn a_list_is_read_with_the_properties_that_are_there() {
        let [root, tag] = &read(TAGS.as_bytes()).unwrap()[..] else {
            panic!("two resources");
        };
        assert_eq!(root.path, "systemtags");
        assert_eq!(root.text(OWNCLOUD, "id"), None);
        assert_eq!(tag.path, "systemtags/1");
        assert_eq!(tag.text(OWNCLOUD, "id"), Some("1"));
        assert_eq!(tag.text(OWNCLOUD, "display-name"), Some("To & fro ü"));
        assert!(tag.is_a(CALDAV, "calendar") && tag.is_a(DAV, "collection"));
        assert!(!tag.is_a(DAV, "calendar"));
        let owner = "/nextcloud/remote.php/dav/principals/users/alice/";
        assert_eq!(tag.text(DAV, "owner"), Some(owner));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let deep = "<a>".repeat(100);
        for (answer, why) in [
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "document type"),
            ("<a>&x;</a>", "&x; means nothing"),
            ("<a></b>", "not XML"),
            (deep.as_str(), "too deep"),
        ] {
            let error = read(answer.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(matches!(read(b"<a>\xff</a>"), Err(Unreadable::NotUtf8)));
        assert_eq!(read(b"<html><body>Login</body></html>").unwrap(), []);
    }

    #[test]
    fn an_address_is_decoded() {
        let spelled = "/remote.php/dav/files/alice/hello%20w%C3%B6rld/";
        assert_eq!(path(spelled), "files/alice/hello wörld");
        assert_eq!(path("/remote.php/dav/files/100%"), "files/100%");
    }
}
