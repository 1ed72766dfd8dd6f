//! What is kept of a file, and what Drive says of one.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::access;
use crate::pull::fingerprint::{clamped, fingerprint};
use crate::pull::moment::field_ms;
use crate::subscription::place::FOLDER;

/// What Drive is asked to say of a file, and what an event hands on.
pub const FIELDS: &str = "id,name,mimeType,parents,driveId,trashed,trashedTime,createdTime,\
modifiedTime,version,size,md5Checksum,headRevisionId,description,shared,sharedWithMeTime,\
webViewLink,owners(displayName,emailAddress,permissionId),\
lastModifyingUser(displayName,emailAddress,permissionId),\
permissions(id,type,role,emailAddress,domain,displayName),permissionIds";

/// Drive's own limit is far higher; what lies behind is not compared.
const NAME_BYTES_MAX: usize = 1024;
const OWNERS_MAX: usize = 10;

/// What is kept of a file. Short names: there are as many as files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(rename = "n")]
    pub name: String,
    #[serde(rename = "k")]
    pub mime_type: String,
    #[serde(rename = "p", default)]
    pub parents: Vec<String>,
    #[serde(rename = "t", default)]
    pub trashed: bool,
    #[serde(rename = "m", default)]
    pub modified_ms: Option<i64>,
    /// Of the content and the description.
    #[serde(rename = "c", default)]
    pub content: u64,
    /// `id:role` of each permission, sorted.
    #[serde(rename = "a", default)]
    pub access: Vec<String>,
    #[serde(rename = "o", default)]
    pub owners: Vec<String>,
    #[serde(rename = "v", default)]
    pub version: String,
    /// The listing in which it was seen last.
    #[serde(rename = "g", default)]
    pub generation: u32,
}

/// A file as Drive describes it.
pub struct File {
    pub id: String,
    pub record: Record,
    pub created_ms: Option<i64>,
    pub shared_with_me_ms: Option<i64>,
    pub trashed_ms: Option<i64>,
    /// As it came.
    pub said: Value,
}

impl File {
    /// Reads it; `None` for something without an id.
    pub fn of(said: Value, generation: u32) -> Option<Self> {
        let text = |field: &str| said.get(field).and_then(Value::as_str).unwrap_or_default();
        let list = |field: &str| said.get(field).and_then(Value::as_array);
        let id = text("id").to_owned();
        let owners = list("owners").into_iter().flatten();
        let addresses = owners.filter_map(|owner| owner.get("emailAddress")?.as_str());
        let parents = list("parents").into_iter().flatten();
        let record = Record {
            name: clamped(text("name"), NAME_BYTES_MAX).to_owned(),
            mime_type: text("mimeType").to_owned(),
            parents: parents
                .filter_map(|parent| Some(parent.as_str()?.to_owned()))
                .collect(),
            trashed: said.get("trashed") == Some(&Value::Bool(true)),
            modified_ms: field_ms(&said, "modifiedTime"),
            content: fingerprint(&json!([
                said.get("headRevisionId"),
                said.get("md5Checksum"),
                said.get("size"),
                said.get("description"),
            ])),
            access: access::summary(&said),
            owners: addresses.take(OWNERS_MAX).map(str::to_owned).collect(),
            version: text("version").to_owned(),
            generation,
        };
        (!id.is_empty()).then(|| Self {
            id,
            record,
            created_ms: field_ms(&said, "createdTime"),
            shared_with_me_ms: field_ms(&said, "sharedWithMeTime"),
            trashed_ms: field_ms(&said, "trashedTime"),
            said,
        })
    }
}

impl Record {
    pub fn is_folder(&self) -> bool {
        self.mime_type == FOLDER
    }

    /// A file that is gone, as Drive would have described it.
    pub fn as_said(&self, id: &str) -> Value {
        let owners = self.owners.iter();
        let mut said = json!({
            "id": id,
            "name": self.name,
            "mimeType": self.mime_type,
            "parents": self.parents,
            "trashed": self.trashed,
        });
        if !self.owners.is_empty() {
            said["owners"] = owners
                .map(|owner| json!({ "emailAddress": owner }))
                .collect();
        }
        said
    }
}
