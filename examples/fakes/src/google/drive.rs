//! Files of the account's Drive and of one shared drive, and the log of their changes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::channels::{About, Watched};
use super::clock::rfc3339;
use super::description::Call;
use super::refusal::Refusal;
use super::search::{self, Term};
use super::{ACCOUNT, page_of};

pub const FOLDER: &str = "application/vnd.google-apps.folder";
pub const ROOT: &str = "0AROOT";
pub const SHARED_DRIVE: &str = "0ATEAM";
const DAY_MS: i64 = 86_400_000;
const BASE: &str = "https://www.googleapis.com/drive/v3";

/// A file, a folder, or the root of a drive.
#[derive(Clone)]
pub struct Stored {
    pub id: String,
    pub name: String,
    pub mime_type: String,
    pub parent: Option<String>,
    /// The shared drive that it is in.
    pub drive: Option<String>,
    pub trashed_ms: Option<i64>,
    pub created_ms: i64,
    pub modified_ms: i64,
    pub shared_with_me_ms: Option<i64>,
    pub version: u64,
    pub content: u64,
    pub owner: String,
    pub editor: String,
    /// Id and role.
    pub permissions: BTreeMap<String, String>,
}

struct Change {
    file: String,
    drive: Option<String>,
    at_ms: i64,
    removed: bool,
}

/// The files and the log.
pub struct Drive {
    pub files: BTreeMap<String, Stored>,
    log: Vec<Change>,
    /// Tokens of an earlier place are gone.
    valid_from: usize,
}

impl Default for Drive {
    fn default() -> Self {
        let root = |id: &str, drive: Option<&str>| Stored {
            id: id.to_owned(),
            name: if drive.is_some() { "Team" } else { "My Drive" }.to_owned(),
            mime_type: FOLDER.to_owned(),
            parent: None,
            drive: drive.map(str::to_owned),
            trashed_ms: None,
            created_ms: 0,
            modified_ms: 0,
            shared_with_me_ms: None,
            version: 1,
            content: 0,
            owner: ACCOUNT.to_owned(),
            editor: ACCOUNT.to_owned(),
            permissions: BTreeMap::new(),
        };
        let roots = [root(ROOT, None), root(SHARED_DRIVE, Some(SHARED_DRIVE))];
        Self {
            files: roots
                .into_iter()
                .map(|root| (root.id.clone(), root))
                .collect(),
            log: Vec::new(),
            valid_from: 0,
        }
    }
}

impl Drive {
    /// Something was done to a file: one more line of the log.
    pub fn log(&mut self, at_ms: i64, id: &str, removed: bool) {
        let drive = self.files.get(id).and_then(|file| file.drive.clone());
        self.log.push(Change {
            file: id.to_owned(),
            drive,
            at_ms,
            removed,
        });
        if removed {
            self.files.remove(id);
        }
    }

    /// Every token given out so far is too old from now on.
    pub fn expire_cursor(&mut self) {
        self.log.push(Change {
            file: String::new(),
            drive: None,
            at_ms: 0,
            removed: true,
        });
        self.valid_from = self.log.len();
    }

    pub fn get(&self, call: &Call) -> Result<Value, Refusal> {
        let mut file = said(self.found(call)?);
        if call.fields.is_none() {
            file = brief(&file);
        }
        Ok(file)
    }

    pub fn list(&self, call: &Call, page_max: Option<usize>) -> Result<Value, Refusal> {
        assert_drive(call)?;
        let alternatives = call.query("q").map(search::parse).transpose()?;
        let wanted = call.query("driveId");
        let fits = |file: &&Stored| {
            let visible = match (wanted, &file.drive) {
                (Some(wanted), drive) => drive.as_deref() == Some(wanted),
                (None, None) => true,
                (None, Some(_)) => {
                    call.is_set("includeItemsFromAllDrives") && file.parent.is_some()
                }
            };
            let searched = alternatives.as_ref().is_none_or(|alternatives| {
                alternatives
                    .iter()
                    .any(|terms| terms.iter().all(|term| holds(term, file)))
            });
            visible && searched && file.parent.is_some()
        };
        let all: Vec<&Stored> = self.files.values().filter(fits).collect();
        let begin = page_token(call)?;
        let range = page_of(call, ("pageSize", 100), page_max, begin);
        let page = all.get(begin.min(all.len())..range.end.min(all.len()));
        let files: Vec<Value> = page
            .unwrap_or_default()
            .iter()
            .map(|file| match &call.fields {
                Some(_) => said(file),
                None => brief(&said(file)),
            })
            .collect();
        let mut answer =
            json!({"kind": "drive#fileList", "incompleteSearch": false, "files": files});
        if range.end < all.len() {
            answer["nextPageToken"] = json!(format!("~{}", range.end));
        }
        Ok(answer)
    }

    pub fn drives(&self, call: &Call, page_max: Option<usize>) -> Result<Value, Refusal> {
        let terms = call.query("q").map(search::parse).transpose()?;
        let roots = self.files.values().filter(|file| {
            let searched = terms.iter().flatten().flatten();
            file.drive.is_some()
                && file.parent.is_none()
                && searched.into_iter().all(|term| holds(term, file))
        });
        let all: Vec<Value> = roots
            .map(|root| json!({"kind": "drive#drive", "id": root.id, "name": root.name}))
            .collect();
        let begin = page_token(call)?;
        let range = page_of(call, ("pageSize", 10), page_max, begin);
        let page = all.get(begin.min(all.len())..range.end.min(all.len()));
        let mut answer = json!({"kind": "drive#driveList", "drives": page.unwrap_or_default()});
        if range.end < all.len() {
            answer["nextPageToken"] = json!(format!("~{}", range.end));
        }
        Ok(answer)
    }

    pub fn start_page_token(&self, call: &Call) -> Result<Value, Refusal> {
        self.assert_known_drive(call)?;
        if call.query("driveId").is_some() && !call.is_set("supportsAllDrives") {
            return Err(Refusal::malformed("driveId needs supportsAllDrives"));
        }
        Ok(json!({
            "kind": "drive#startPageToken",
            "startPageToken": self.log.len().to_string(),
        }))
    }

    pub fn changes(&self, call: &Call, page_max: Option<usize>) -> Result<Value, Refusal> {
        let begin = self.changes_from(call)?;
        // Of a file that changed several times, only the last is told.
        let mut told: BTreeMap<&str, usize> = BTreeMap::new();
        for (place, change) in self.log.iter().enumerate().skip(begin) {
            told.insert(&change.file, place);
        }
        let wanted = call.query("driveId");
        let places = (begin..self.log.len()).filter(|place| {
            let change = &self.log[*place];
            let visible = match (wanted, &change.drive) {
                (Some(wanted), drive) => drive.as_deref() == Some(wanted),
                (None, None) => true,
                (None, Some(_)) => call.is_set("includeItemsFromAllDrives"),
            };
            visible && told.get(change.file.as_str()) == Some(place) && !change.file.is_empty()
        });
        let places: Vec<usize> = places.collect();
        let size = page_of(call, ("pageSize", 100), page_max, 0).end;
        let page = places.iter().take(size);
        let changes: Vec<Value> = page.map(|place| self.change(*place, call)).collect();
        let mut answer = json!({"kind": "drive#changeList", "changes": changes});
        match places.get(size) {
            Some(next) => answer["nextPageToken"] = json!(next.to_string()),
            None => answer["newStartPageToken"] = json!(self.log.len().to_string()),
        }
        Ok(answer)
    }

    pub fn watched_file(&self, call: &Call) -> Result<Watched, Refusal> {
        let file = self.found(call)?;
        Ok(Watched {
            uri: format!("{BASE}/files/{}?alt=json", file.id),
            about: About::File(file.id.clone()),
            lifetime_max_ms: DAY_MS,
        })
    }

    pub fn watched_changes(&self, call: &Call) -> Result<Watched, Refusal> {
        self.changes_from(call)?;
        let drive = call.query("driveId").map(str::to_owned);
        let drives = drive.as_deref().unwrap_or("user");
        Ok(Watched {
            uri: format!("{BASE}/changes?alt=json&of={drives}"),
            about: About::Changes(drive),
            lifetime_max_ms: 7 * DAY_MS,
        })
    }

    fn changes_from(&self, call: &Call) -> Result<usize, Refusal> {
        assert_drive(call)?;
        self.assert_known_drive(call)?;
        let token = call.query("pageToken").unwrap_or_default();
        let place: usize = token.parse().map_err(|_| Refusal {
            location: Some("pageToken".to_owned()),
            ..Refusal::new(400, "invalid", "Invalid Value")
        })?;
        match place < self.valid_from {
            true => Err(Refusal::gone("pageToken")),
            false => Ok(place),
        }
    }

    fn change(&self, place: usize, call: &Call) -> Value {
        let change = &self.log[place];
        let mut told = json!({
            "kind": "drive#change",
            "type": "file",
            "changeType": "file",
            "time": rfc3339(change.at_ms),
            "removed": change.removed,
            "fileId": change.file,
        });
        if let Some(file) = self.files.get(&change.file).filter(|_| !change.removed) {
            told["file"] = match &call.fields {
                Some(_) => said(file),
                None => brief(&said(file)),
            };
        }
        told
    }

    fn found(&self, call: &Call) -> Result<&Stored, Refusal> {
        let id = match call.place("fileId") {
            "root" => ROOT,
            id => id,
        };
        let visible = |file: &&Stored| file.drive.is_none() || call.is_set("supportsAllDrives");
        let file = self.files.get(id).filter(visible);
        file.ok_or_else(|| Refusal::not_found(&format!("File: {id}")))
    }

    fn assert_known_drive(&self, call: &Call) -> Result<(), Refusal> {
        match call.query("driveId") {
            Some(id) if id != SHARED_DRIVE => {
                Err(Refusal::not_found(&format!("Shared drive: {id}")))
            }
            _ => Ok(()),
        }
    }
}

/// Who the account is.
pub fn about(call: &Call) -> Result<Value, Refusal> {
    if call.fields.is_none() {
        return Err(Refusal::malformed(
            "The 'fields' parameter is required for this method.",
        ));
    }
    Ok(json!({"kind": "drive#about", "user": user(ACCOUNT)}))
}

/// A shared drive is searched in one way only.
fn assert_drive(call: &Call) -> Result<(), Refusal> {
    let all = call.is_set("includeItemsFromAllDrives");
    if all && !call.is_set("supportsAllDrives") {
        return Err(Refusal::malformed(
            "includeItemsFromAllDrives needs supportsAllDrives",
        ));
    }
    if call.query("driveId").is_none() {
        return Ok(());
    }
    let corpora = call.method != "files.list" || call.query("corpora") == Some("drive");
    match all && corpora {
        true => Ok(()),
        false => Err(Refusal::malformed(
            "driveId needs includeItemsFromAllDrives, and for files corpora=drive",
        )),
    }
}

fn page_token(call: &Call) -> Result<usize, Refusal> {
    match call.query("pageToken") {
        None => Ok(0),
        Some(token) => token
            .strip_prefix('~')
            .and_then(|place| place.parse().ok())
            .ok_or_else(|| Refusal::malformed(format!("`{token}` is no page token"))),
    }
}

fn holds(term: &Term, file: &Stored) -> bool {
    match term {
        Term::InParents(parent) => {
            let parent = if parent == "root" { ROOT } else { parent };
            file.parent.as_deref() == Some(parent)
        }
        Term::Trashed(trashed) => file.trashed_ms.is_some() == *trashed,
        Term::MimeIs(kind) => file.mime_type == *kind,
        Term::MimeIsNot(kind) => file.mime_type != *kind,
        Term::NameContains(part) => file.name.to_lowercase().contains(&part.to_lowercase()),
    }
}

/// What is told when nobody says which fields.
fn brief(file: &Value) -> Value {
    let named =
        ["kind", "id", "name", "mimeType"].map(|name| (name.to_owned(), file[name].clone()));
    Value::Object(named.into_iter().collect())
}

fn user(address: &str) -> Value {
    json!({
        "kind": "drive#user",
        "displayName": address.split('@').next(),
        "emailAddress": address,
        "permissionId": permission_id(address),
        "me": address == ACCOUNT,
    })
}

/// The same person has the same id everywhere.
pub fn permission_id(address: &str) -> String {
    let sum = address.bytes().fold(7_u64, |sum, byte| {
        (sum * 31 + u64::from(byte)) % 100_000_000_000
    });
    format!("{sum:020}")
}

fn said(file: &Stored) -> Value {
    let mut said = json!({
        "kind": "drive#file",
        "id": file.id,
        "name": file.name,
        "mimeType": file.mime_type,
        "trashed": file.trashed_ms.is_some(),
        "createdTime": rfc3339(file.created_ms),
        "modifiedTime": rfc3339(file.modified_ms),
        "version": file.version.to_string(),
        "shared": file.permissions.len() > 1,
        "webViewLink": format!("https://drive.google.com/file/d/{}/view", file.id),
        "lastModifyingUser": user(&file.editor),
    });
    let mut put = |name: &str, value: Value| said[name] = value;
    if let Some(parent) = &file.parent {
        put("parents", json!([parent]));
    }
    if let Some(at_ms) = file.trashed_ms {
        put("trashedTime", json!(rfc3339(at_ms)));
    }
    if let Some(at_ms) = file.shared_with_me_ms {
        put("sharedWithMeTime", json!(rfc3339(at_ms)));
    }
    if file.mime_type != FOLDER && !file.mime_type.starts_with("application/vnd.google-apps") {
        put("size", json!((100 + file.content).to_string()));
        put(
            "headRevisionId",
            json!(format!("{}-{}", file.id, file.content)),
        );
    }
    let ids: Vec<String> = file
        .permissions
        .keys()
        .map(|each| permission_id(each))
        .collect();
    put("permissionIds", json!(ids));
    match &file.drive {
        Some(drive) => put("driveId", json!(drive)),
        None => {
            put("owners", json!([user(&file.owner)]));
            let permissions = file.permissions.iter().map(|(address, role)| {
                json!({
                    "kind": "drive#permission",
                    "id": permission_id(address),
                    "type": "user",
                    "role": role,
                    "emailAddress": address,
                    "displayName": address.split('@').next(),
                })
            });
            put("permissions", permissions.collect());
        }
    }
    said
}
