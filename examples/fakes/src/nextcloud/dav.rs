//! As much of WebDAV as choices are made from: PROPFIND of depth 1 over folders, calendars and tags.

use super::State;
use crate::{Answer, Exchange};

const NAMESPACES: &str = r#"xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns" xmlns:cal="urn:ietf:params:xml:ns:caldav" xmlns:cs="http://calendarserver.org/ns/" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns""#;

/// Path below everybody's files, and whether it is a folder.
const FILES: [(&str, bool); 6] = [
    ("inbox", true),
    ("inbox/hello wörld.txt", false),
    ("inbox/scans & letters", true),
    ("Templates", true),
    ("Templates/Calendar.odt", false),
    ("Readme.md", false),
];
/// Address, name, and whose it is if it is not one's own.
const CALENDARS: [(&str, &str, Option<&str>); 3] = [
    ("personal", "Personal", None),
    ("contact_birthdays", "Contact birthdays", None),
    ("team_shared_by_bob", "Team <A>", Some("bob")),
];
const TAGS: [(&str, &str); 3] = [("1", "Invoice"), ("4", "To & fro"), ("12", "Später")];

/// Answers a request below `/remote.php/dav/`.
pub fn answer(state: &mut State, at_ms: i64, request: &Exchange) -> Answer {
    let Some(account) = state.who_asks(at_ms, request) else {
        return refused(
            401,
            "NotAuthenticated",
            "No public access to this resource.",
        )
        .with(
            "www-authenticate",
            "Basic realm=\"Nextcloud\", charset=\"UTF-8\"",
        );
    };
    if request.method != "PROPFIND" || request.header("depth") != Some("1") {
        state.violate(request, "only PROPFIND of depth 1 is known here");
        return refused(501, "NotImplemented", "not here");
    }
    let asked = String::from_utf8_lossy(&request.body).into_owned();
    if !asked.contains("propfind") || !asked.contains("DAV:") {
        state.violate(request, "the body names no properties");
        return refused(400, "BadRequest", "the body is no propfind");
    }
    let segments = request.segments();
    let below: Vec<&str> = segments
        .iter()
        .skip(2)
        .map(String::as_str)
        .filter(|s| !s.is_empty())
        .collect();
    let resources = match below.as_slice() {
        ["systemtags"] => tags(),
        ["calendars", user] if *user == account.uid => calendars(user),
        ["files", user, folder @ ..] if *user == account.uid => {
            match files(user, &folder.join("/")) {
                Some(resources) => resources,
                None => return refused(404, "NotFound", "File could not be located"),
            }
        }
        _ => return refused(404, "NotFound", "File not found"),
    };
    let body = format!(
        "<?xml version=\"1.0\"?>\n<d:multistatus {NAMESPACES}>{}</d:multistatus>\n",
        resources.concat()
    );
    Answer::text(207, "application/xml; charset=utf-8", body)
}

fn tags() -> Vec<String> {
    let mut all = vec![response("systemtags/", "", "<oc:id/><oc:display-name/>")];
    all.extend(TAGS.iter().map(|(id, name)| {
        let found = format!(
            "<oc:id>{id}</oc:id><oc:display-name>{}</oc:display-name>",
            escaped(name)
        );
        response(&format!("systemtags/{id}"), &found, "")
    }));
    all
}

fn calendars(user: &str) -> Vec<String> {
    let home = "<d:resourcetype><d:collection/></d:resourcetype>";
    let mut all = vec![response(
        &format!("calendars/{user}/"),
        home,
        "<d:displayname/><oc:owner-principal/>",
    )];
    for (uri, name, owner) in CALENDARS {
        let owner = owner.unwrap_or(user);
        let found = format!(
            "<d:resourcetype><d:collection/><cal:calendar/></d:resourcetype><d:displayname>{}</d:displayname><oc:owner-principal>principal:principals/users/{owner}</oc:owner-principal>",
            escaped(name)
        );
        all.push(response(&format!("calendars/{user}/{uri}/"), &found, ""));
    }
    for (uri, of_type) in [
        ("inbox", "cal:schedule-inbox"),
        ("trashbin", "nc:trash-bin"),
    ] {
        let found = format!("<d:resourcetype><d:collection/><{of_type}/></d:resourcetype>");
        all.push(response(
            &format!("calendars/{user}/{uri}/"),
            &found,
            "<d:displayname/><oc:owner-principal/>",
        ));
    }
    all
}

fn files(user: &str, folder: &str) -> Option<Vec<String>> {
    let is_known = folder.is_empty() || FILES.contains(&(folder, true));
    let one = |path: &str, is_folder: bool| {
        let (of_type, end) = match is_folder {
            true => ("<d:resourcetype><d:collection/></d:resourcetype>", "/"),
            false => ("<d:resourcetype/>", ""),
        };
        response(&format!("files/{user}/{path}{end}"), of_type, "")
    };
    let children = FILES
        .iter()
        .filter(|(path, _)| path.rsplit_once('/').map_or("", |(parent, _)| parent) == folder);
    let mut all = vec![one(folder, true).replace("//</d:href>", "/</d:href>")];
    all.extend(children.map(|(path, is_folder)| one(path, *is_folder)));
    is_known.then_some(all)
}

fn response(path: &str, found: &str, missing: &str) -> String {
    let href: String = path
        .bytes()
        .map(|byte| match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let propstat = |properties: &str, status: &str| match properties {
        "" => String::new(),
        _ => format!(
            "<d:propstat><d:prop>{properties}</d:prop><d:status>HTTP/1.1 {status}</d:status></d:propstat>"
        ),
    };
    format!(
        "<d:response><d:href>/remote.php/dav/{href}</d:href>{}{}</d:response>",
        propstat(found, "200 OK"),
        propstat(missing, "404 Not Found")
    )
}

fn refused(status: u16, exception: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\"><s:exception>Sabre\\DAV\\Exception\\{exception}</s:exception><s:message>{message}</s:message></d:error>"
    );
    Answer::text(status, "application/xml; charset=utf-8", body)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
