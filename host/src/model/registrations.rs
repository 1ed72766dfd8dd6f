//! Registrations: what was made at a service for a subscription.

use serde_json::{Map, Value};

use super::words::RegistrationState;
use crate::clock::Millis;
use crate::id::{CredentialId, RegistrationId, SubscriptionId};
use crate::secret::Secret;

/// One thing made at the service: a hook, a channel. Requests are genuine if one of a
/// subscription's registrations verifies them.
#[derive(Clone, Debug)]
pub struct Registration {
    /// What plugins call its key.
    pub id: RegistrationId,
    pub subscription_id: SubscriptionId,
    pub state: RegistrationState,
    /// In whose name it was made; none: nobody's, or that is not known any more.
    pub credential_id: Option<CredentialId>,
    /// The service's own id of it; empty while nobody knows.
    pub external_id: String,
    pub endpoint_url: String,
    /// What was asked for when it was made or changed last.
    pub parameters: Map<String, Value>,
    pub events: Vec<String>,
    /// What the service answered.
    pub properties: Map<String, Value>,
    /// What genuine requests taught since.
    pub learned: Map<String, Value>,
    /// A JSON object, value by field name.
    pub secrets: Secret<String>,
    pub expires_at: Option<Millis>,
    pub created_at: Millis,
    pub updated_at: Millis,
}

impl Registration {
    /// What was answered, and beside it what was learned.
    pub fn all_properties(&self) -> Map<String, Value> {
        let mut all = self.learned.clone();
        for (key, value) in &self.properties {
            all.insert(key.clone(), value.clone());
        }
        all
    }
}

/// A registration that is about to be made.
#[derive(Clone, Debug)]
pub struct NewRegistration {
    pub id: RegistrationId,
    pub credential_id: Option<CredentialId>,
    pub endpoint_url: String,
    pub parameters: Map<String, Value>,
    pub events: Vec<String>,
    /// A JSON object, value by field name; sealed by the store.
    pub secrets: Secret<String>,
}

/// What the service answered about one.
#[derive(Clone, Debug)]
pub struct RegistrationAnswer {
    /// Who asked.
    pub credential_id: Option<CredentialId>,
    pub external_id: String,
    pub endpoint_url: String,
    pub parameters: Map<String, Value>,
    pub events: Vec<String>,
    pub properties: Map<String, Value>,
    /// None: those it has.
    pub secrets: Option<Secret<String>>,
    pub expires_at: Option<Millis>,
}

/// One change of a subscription's registrations.
#[derive(Clone, Debug)]
pub enum RegistrationChange {
    /// In state `making`.
    Insert(NewRegistration),
    /// It is as the service answered; its state stays.
    Answered {
        id: RegistrationId,
        answer: RegistrationAnswer,
    },
    State {
        id: RegistrationId,
        state: RegistrationState,
    },
    /// It is gone at the service.
    Delete(RegistrationId),
}
