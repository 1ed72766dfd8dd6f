//! For whom a call into a provider is made: what its own calls back to the host may use.
//!
//! A cold call carries a random name in its JSON (`context`), which the library sends along with
//! every service it asks for. The name is good until the call has ended, so that a service asked
//! for outside of a call has no credential and no state.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;

use crate::clock::random;
use crate::id::{CredentialId, SubscriptionId};

/// What a call may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallScope {
    /// Whose state is read and written.
    pub subscription: Option<SubscriptionId>,
    /// What is attached to requests.
    pub credential: Option<CredentialId>,
    /// Where the service is, for providers that are at more than one place; without a slash at its
    /// end.
    pub base_url: Option<String>,
}

/// The calls that are under way in one provider.
#[derive(Default)]
pub struct Scopes(RwLock<HashMap<Box<str>, Arc<CallScope>>>);

impl Scopes {
    /// Names a call; it ends when the guard is dropped.
    pub fn enter(self: &Arc<Self>, scope: Arc<CallScope>) -> Entered {
        let mut bytes = [0u8; 16];
        random(&mut bytes);
        let name: Box<str> = hex::encode(bytes).into();
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.clone(), scope);
        Entered {
            scopes: Arc::clone(self),
            name,
        }
    }

    /// The scope that a service call names, if it is still under way.
    pub fn of(&self, arguments: &[u8]) -> Option<Arc<CallScope>> {
        let named: Named<'_> = serde_json::from_slice(arguments).ok()?;
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(named.context?)
            .cloned()
    }
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    context: Option<&'a str>,
}

/// A call that is under way.
pub struct Entered {
    scopes: Arc<Scopes>,
    name: Box<str>,
}

impl Entered {
    /// What the library is told.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.scopes
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_found_by_its_name_until_its_call_ends() {
        let scopes = Arc::new(Scopes::default());
        let scope = Arc::new(CallScope {
            base_url: Some("https://acme.example".to_owned()),
            ..CallScope::default()
        });
        let entered = scopes.enter(Arc::clone(&scope));
        let arguments = format!(r#"{{"key":"cursor","context":"{}"}}"#, entered.name());
        assert_eq!(scopes.of(arguments.as_bytes()), Some(scope));
        assert_eq!(scopes.of(br#"{"key":"cursor","context":"0"}"#), None);
        assert_eq!(scopes.of(br#"{"key":"cursor"}"#), None);
        drop(entered);
        assert_eq!(scopes.of(arguments.as_bytes()), None);
    }
}
