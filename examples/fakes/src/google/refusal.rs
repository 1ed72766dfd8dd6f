//! How Google says no.

use serde_json::json;

use crate::Answer;

/// A refusal, in the shape that both services share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub reason: String,
    pub message: String,
    /// The parameter or header that is wrong.
    pub location: Option<String>,
    /// A malformed request, which a client that follows the description never sends.
    pub is_violation: bool,
}

impl Refusal {
    /// Something that a well-behaved client can meet.
    pub fn new(status: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.to_owned(),
            message: message.into(),
            location: None,
            is_violation: false,
        }
    }

    /// What no client should send.
    pub fn malformed(message: impl Into<String>) -> Self {
        Self {
            is_violation: true,
            ..Self::new(400, "badRequest", message)
        }
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(404, "notFound", format!("{what} not found."))
    }

    pub fn unauthorized() -> Self {
        Self {
            location: Some("Authorization".to_owned()),
            ..Self::new(
                401,
                "authError",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
            )
        }
    }

    pub fn insufficient_scopes() -> Self {
        Self::new(
            403,
            "insufficientPermissions",
            "Request had insufficient authentication scopes.",
        )
    }

    /// Where the reader stopped is not known any more.
    pub fn gone(location: &str) -> Self {
        Self {
            location: Some(location.to_owned()),
            ..Self::new(
                410,
                "fullSyncRequired",
                "Sync token is no longer valid, a full sync is required.",
            )
        }
    }

    pub fn into_answer(self) -> Answer {
        let mut cause = json!({
            "domain": if self.reason.ends_with("LimitExceeded") { "usageLimits" } else { "global" },
            "reason": self.reason,
            "message": self.message,
        });
        if let Some(location) = self.location {
            let kind = if location == "Authorization" {
                "header"
            } else {
                "parameter"
            };
            cause["locationType"] = json!(kind);
            cause["location"] = json!(location);
        }
        let body = json!({
            "error": {"errors": [cause], "code": self.status, "message": self.message}
        });
        Answer::json(self.status, &body)
    }
}
