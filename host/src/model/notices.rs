//! Who is told of the changes in a workspace, and what of.

use serde_json::Value;

use crate::clock::Millis;
use crate::id::{NoticeId, WorkspaceId};
use crate::secret::Secret;

/// The address that is told of every change in a workspace.
#[derive(Clone, Debug)]
pub struct WorkspaceHook {
    pub workspace_id: WorkspaceId,
    /// The workspace's name.
    pub workspace: String,
    pub url: String,
    /// What notices are signed with, `whsec_…`.
    pub secret: Secret<String>,
    /// Ranges of addresses opened beyond public ones.
    pub allow: Vec<String>,
    /// Why the last notice was not taken; none: it was.
    pub failure: Option<String>,
    pub told_at: Option<Millis>,
    /// So many notices are still to be told.
    pub waiting: i64,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// Who is to be told.
#[derive(Clone, Debug)]
pub struct HookOrder {
    pub url: String,
    pub secret: Secret<String>,
    pub allow: Vec<String>,
}

/// A change that is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub id: NoticeId,
    pub workspace_id: WorkspaceId,
    /// `runnable.create` and the like, as in the audit log.
    pub action: String,
    /// The id of the object.
    pub object: String,
    pub detail: Value,
    /// This one included.
    pub tries: u32,
    pub created_at: Millis,
}
