//! What happens on the server, told as its events are serialized, and who is sent it.

use serde_json::{Map, Value, json};

use super::hooks::Hook;
use super::{State, filter, php};
use crate::Delivery;

/// Every class that can be listened to, and what it says.
const CLASSES: [(&str, Kind); 28] = [
    ("OCP\\Files\\Events\\Node\\AbstractNodeEvent", Kind::Never),
    ("OCP\\Files\\Events\\Node\\AbstractNodesEvent", Kind::Never),
    (
        "OCP\\Calendar\\Events\\AbstractCalendarObjectEvent",
        Kind::Never,
    ),
    (
        "OCP\\Files\\Events\\Node\\NodeCreatedEvent",
        Kind::Node(HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\NodeWrittenEvent",
        Kind::Node(HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\NodeTouchedEvent",
        Kind::Node(HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\NodeDeletedEvent",
        Kind::Node(NO_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\BeforeNodeCreatedEvent",
        Kind::Node(NO_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\BeforeNodeWrittenEvent",
        Kind::Node(HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\BeforeNodeReadEvent",
        Kind::Node(HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\BeforeNodeTouchedEvent",
        Kind::Node(HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\BeforeNodeDeletedEvent",
        Kind::Node(HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\NodeCopiedEvent",
        Kind::Nodes(HAS_ID, HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\NodeRenamedEvent",
        Kind::Nodes(NO_ID, HAS_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\BeforeNodeCopiedEvent",
        Kind::Nodes(HAS_ID, NO_ID),
    ),
    (
        "OCP\\Files\\Events\\Node\\BeforeNodeRenamedEvent",
        Kind::Nodes(HAS_ID, NO_ID),
    ),
    (
        "OCA\\Files_Trashbin\\Events\\NodeRestoredEvent",
        Kind::Nodes(HAS_ID, HAS_ID),
    ),
    (
        "OCA\\Files_Trashbin\\Events\\BeforeNodeRestoredEvent",
        Kind::Nodes(HAS_ID, NO_ID),
    ),
    (
        "OCP\\Calendar\\Events\\CalendarObjectCreatedEvent",
        Kind::CalendarObject,
    ),
    (
        "OCP\\Calendar\\Events\\CalendarObjectUpdatedEvent",
        Kind::CalendarObject,
    ),
    (
        "OCP\\Calendar\\Events\\CalendarObjectDeletedEvent",
        Kind::CalendarObject,
    ),
    (
        "OCP\\Calendar\\Events\\CalendarObjectMovedToTrashEvent",
        Kind::CalendarObject,
    ),
    (
        "OCP\\Calendar\\Events\\CalendarObjectRestoredEvent",
        Kind::CalendarObject,
    ),
    (
        "OCP\\Calendar\\Events\\CalendarObjectMovedEvent",
        Kind::MovedCalendarObject,
    ),
    ("OCP\\SystemTag\\TagAssignedEvent", Kind::Tags),
    ("OCP\\SystemTag\\TagUnassignedEvent", Kind::Tags),
    ("OCP\\SystemTag\\MapperEvent", Kind::TagMapping),
    ("OCA\\Forms\\Events\\FormSubmittedEvent", Kind::Form),
];

const HAS_ID: bool = true;
/// Of what does not exist yet, or any more.
const NO_ID: bool = false;

#[derive(Clone, Copy)]
enum Kind {
    /// Abstract: it can be listened to, and never comes.
    Never,
    Node(bool),
    /// Source and target.
    Nodes(bool, bool),
    CalendarObject,
    MovedCalendarObject,
    Tags,
    TagMapping,
    Form,
}

/// Whether hooks for this class are taken.
pub fn is_class(class: &str) -> bool {
    CLASSES.iter().any(|(each, _)| *each == class)
}

/// A payload that a hook for this class may get, as filters see it.
pub fn probe(class: &str) -> Value {
    let kind = CLASSES.iter().find(|(each, _)| *each == class);
    let event = kind.and_then(|(class, kind)| event(class, *kind, &Map::new(), 0));
    json!({
        "event": event.unwrap_or_default(),
        "user": {"uid": "alice", "displayName": "Alice Ünïcode"},
        "time": 1_795_213_567,
    })
}

/// Something happened: every hook that wants it is sent it. Answers how many are.
///
/// # Errors
/// When there is no such class.
pub fn happen(state: &mut State, at_ms: i64, told: &Map<String, Value>) -> Result<usize, String> {
    let wanted = text(told, "class", "NodeCreatedEvent");
    let (class, kind) = CLASSES
        .iter()
        .find(|(class, _)| *class == wanted || class.rsplit('\\').next() == Some(wanted.as_str()))
        .ok_or_else(|| format!("there is no event class `{wanted}`"))?;
    let event = match told.get("event") {
        Some(Value::Object(event)) => {
            let mut event = event.clone();
            event.insert("class".to_owned(), json!(class));
            Value::Object(event)
        }
        _ => event(class, *kind, told, at_ms).ok_or_else(|| format!("{class} is abstract"))?,
    };
    let user = match told.get("user") {
        Some(Value::Null) => Value::Null,
        _ => {
            let uid = text(told, "user", "alice");
            let name = state
                .accounts
                .named(&uid)
                .map(|account| account.display_name.clone());
            json!({"uid": uid, "displayName": name.unwrap_or_else(|| uid.clone())})
        }
    };
    let payload = json!({"event": event, "user": user, "time": at_ms.div_euclid(1000)});
    let listening: Vec<Hook> = state
        .hooks
        .all
        .values()
        .filter(|hook| hook.event == *class)
        .filter(|hook| {
            hook.user_id_filter.is_empty() || payload["user"]["uid"] == hook.user_id_filter.as_str()
        })
        .cloned()
        .collect();
    let mut sent = 0;
    for hook in listening {
        match filter::passes(&hook.event_filter, &payload) {
            Ok(true) => {
                send(state, &hook, &payload);
                sent += 1;
            }
            Ok(false) => {}
            // The exception ends the listener: the hooks after this one lose the event too.
            Err(exception) => {
                let line = format!("the filter of hook {} lost an event: {exception}", hook.id);
                state.violations.push(line);
                break;
            }
        }
    }
    Ok(sent)
}

fn send(state: &mut State, hook: &Hook, payload: &Value) {
    let mut body = payload.clone();
    body["authentication"] = json!([]);
    let own = [&hook.headers, &hook.auth_data]
        .into_iter()
        .filter_map(Value::as_object);
    let mut headers: Vec<(String, String)> = own
        .flatten()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let of_client = [
        ("User-Agent", "Nextcloud-Server-Crawler/34.0.1"),
        ("Accept-Encoding", "br, gzip"),
    ];
    headers.extend(of_client.map(|(name, value)| (name.to_owned(), value.to_owned())));
    state.deliveries_made += 1;
    state.outbox.push(Delivery {
        id: state.deliveries_made,
        url: hook.uri.clone(),
        headers,
        body: php::json(&body).into_bytes(),
        before_answer: false,
    });
}

fn event(class: &str, kind: Kind, told: &Map<String, Value>, at_ms: i64) -> Option<Value> {
    let mut event = match kind {
        Kind::Never => return None,
        Kind::Node(has_id) => {
            json!({"node": node(told, "path", "/alice/files/inbox/letter.pdf", has_id)})
        }
        Kind::Nodes(source_has_id, has_id) => json!({
            "source": node(told, "source_path", "/alice/files/inbox/draft.pdf", source_has_id),
            "target": node(told, "path", "/alice/files/inbox/letter.pdf", has_id),
        }),
        Kind::CalendarObject => {
            let calendar = calendar(told, "calendar", 3, "personal");
            json!({
                "calendarId": calendar["id"],
                "calendarData": calendar,
                "shares": [],
                "objectData": object(told, &calendar["id"], at_ms),
            })
        }
        Kind::MovedCalendarObject => {
            let (source, target) = (
                calendar(told, "source_calendar", 3, "personal"),
                calendar(told, "calendar", 8, "work"),
            );
            json!({
                "sourceCalendarId": source["id"],
                "sourceCalendarData": source,
                "targetCalendarId": target["id"],
                "targetCalendarData": target,
                "sourceShares": [],
                "targetShares": [],
                "objectData": object(told, &target["id"], at_ms),
            })
        }
        Kind::Tags => json!({
            "objectType": text(told, "object_type", "files"),
            "objectIds": told.get("object_ids").cloned().unwrap_or_else(|| json!(["226"])),
            "tagIds": told.get("tags").cloned().unwrap_or_else(|| json!([1])),
        }),
        Kind::TagMapping => json!({
            "eventType": "OCP\\SystemTag\\ISystemTagObjectMapper::assignTags",
            "objectType": text(told, "object_type", "files"),
            "objectId": text(told, "object_id", "226"),
            "tagIds": told.get("tags").cloned().unwrap_or_else(|| json!([1])),
        }),
        Kind::Form => json!({"form": {"id": 51, "title": "Feedback"}, "submission": {"id": 220}}),
    };
    event["class"] = json!(class);
    Some(event)
}

fn node(told: &Map<String, Value>, name: &str, default: &str, has_id: bool) -> Value {
    let path = text(told, name, default);
    match has_id {
        true => json!({"id": told.get("id").and_then(Value::as_u64).unwrap_or(230), "path": path}),
        false => json!({ "path": path }),
    }
}

fn calendar(told: &Map<String, Value>, name: &str, id: u64, uri: &str) -> Value {
    let told = told
        .get(name)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    json!({
        "id": told.get("id").and_then(Value::as_u64).unwrap_or(id),
        "uri": text(&told, "uri", uri),
        "principaluri": format!("principals/users/{}", text(&told, "owner", "alice")),
        "{http://calendarserver.org/ns/}getctag": "http://sabre.io/ns/sync/2",
        "{http://sabredav.org/ns}sync-token": 2,
        "{urn:ietf:params:xml:ns:caldav}supported-calendar-component-set": [],
        "{urn:ietf:params:xml:ns:caldav}schedule-calendar-transp": [],
        "{DAV:}displayname": text(&told, "name", uri),
        "{urn:ietf:params:xml:ns:caldav}calendar-description": null,
        "{urn:ietf:params:xml:ns:caldav}calendar-timezone": null,
        "{http://apple.com/ns/ical/}calendar-order": 0,
        "{http://apple.com/ns/ical/}calendar-color": "#0082c9",
        "{http://nextcloud.com/ns}deleted-at": null,
        "{http://nextcloud.com/ns}default-alarm-part-day": null,
        "{http://nextcloud.com/ns}default-alarm-full-day": null,
        "{http://nextcloud.com/ns}owner-displayname": "Alice Ünïcode",
    })
}

fn object(told: &Map<String, Value>, calendar_id: &Value, at_ms: i64) -> Value {
    let component = text(told, "component", "vevent");
    let kind = component.to_uppercase();
    let default = format!(
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:{kind}\r\nUID:7f4f2e4a\r\nSUMMARY:Planning\r\nEND:{kind}\r\nEND:VCALENDAR\r\n"
    );
    let ics = text(told, "ics", &default);
    json!({
        "id": 6,
        "uri": "7F4F2E4A.ics",
        "uid": "7f4f2e4a",
        "lastmodified": at_ms.div_euclid(1000),
        "etag": "\"881b08c0a6d69acf5e47d682c22d6b7d\"",
        "calendarid": calendar_id,
        "size": ics.len(),
        "calendardata": ics,
        "component": component,
        "classification": 0,
        "{http://nextcloud.com/ns}deleted-at": null,
    })
}

fn text(told: &Map<String, Value>, name: &str, default: &str) -> String {
    told.get(name)
        .and_then(Value::as_str)
        .unwrap_or(default)
        .to_owned()
}
