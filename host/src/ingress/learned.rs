//! What genuine requests teach about the registration that verified them.

use axum::http::HeaderMap;
use serde_json::{Map, Value};

use super::endpoints::Ingress;
use super::webhook::display_chain;
use crate::model::Registration;
use crate::plugins::LiveProvider;

/// Longer values are not learned.
const VALUE_MAX: usize = 1024;

impl Ingress {
    /// Keeps what is new, after the answer: if it is lost, the next request teaches it again.
    pub(super) fn learn(
        &self,
        live: &LiveProvider,
        registration: Option<&Registration>,
        headers: &HeaderMap,
    ) {
        let rules = &live.facts.sync.learn;
        let Some(registration) = registration.filter(|_| !rules.is_empty()) else {
            return;
        };
        let Some(learned) = learned(rules, registration, headers) else {
            return;
        };
        let (store, id) = (self.store.clone(), registration.id.clone());
        let subscription = registration.subscription_id.clone();
        tokio::spawn(async move {
            let kept = store.learn_of_registration(&subscription, &id, &learned);
            if let Err(error) = kept.await {
                tracing::warn!(
                    %subscription,
                    error = display_chain(&error),
                    "what a request taught could not be kept"
                );
            }
        });
    }
}

/// All that is learned, if something of it is new: names and headers as the declaration has them.
fn learned(
    rules: &[(String, String)],
    registration: &Registration,
    headers: &HeaderMap,
) -> Option<Map<String, Value>> {
    let mut learned = registration.learned.clone();
    for (name, header) in rules {
        let Some(value) = headers.get(header).and_then(|value| value.to_str().ok()) else {
            continue;
        };
        let is_known = registration.properties.contains_key(name) || learned.contains_key(name);
        if !is_known && !value.is_empty() && value.len() <= VALUE_MAX {
            learned.insert(name.clone(), value.into());
        }
    }
    (learned.len() > registration.learned.len()).then_some(learned)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::clock::Millis;
    use crate::id::{RegistrationId, SubscriptionId};
    use crate::model::RegistrationState;
    use crate::secret::Secret;

    #[test]
    fn what_is_new_is_learned_once() {
        let at = Millis(1);
        let mut registration = Registration {
            credential_id: None,
            id: RegistrationId::generate(at),
            subscription_id: SubscriptionId::generate(at),
            state: RegistrationState::Making,
            external_id: String::new(),
            endpoint_url: String::new(),
            parameters: Map::new(),
            events: Vec::new(),
            properties: Map::new(),
            learned: Map::new(),
            secrets: Secret::new("{}".to_owned()),
            expires_at: None,
            created_at: at,
            updated_at: at,
        };
        let rules = [("resource_id".to_owned(), "x-resource".to_owned())];
        let mut headers = HeaderMap::new();
        assert_eq!(learned(&rules, &registration, &headers), None);
        headers.insert("x-resource", HeaderValue::from_static("r1"));
        let first = learned(&rules, &registration, &headers).expect("something new");
        assert_eq!(first["resource_id"], "r1");
        registration.learned = first;
        assert_eq!(learned(&rules, &registration, &headers), None);
        registration.learned.clear();
        for value in [String::new(), "r".repeat(VALUE_MAX + 1)] {
            let value = HeaderValue::from_str(&value).expect("a value");
            headers.insert("x-resource", value);
            assert_eq!(learned(&rules, &registration, &headers), None);
        }
    }
}
