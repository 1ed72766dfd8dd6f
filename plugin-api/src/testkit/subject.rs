//! A provider under test: opened, with its declaration, a secret and signed samples.

use std::marker::PhantomData;
use std::sync::Arc;

use serde_json::Value;
use trigger_plugin_abi::bundle::Bundle;

use crate::Result;
use crate::declaration::{Declared, EventDeclaration};
use crate::messages::{EventDispatch, OwnedRequest, Subscription, SubscriptionSpec};
use crate::provider::{Dispatch, Event, Setup};
use crate::rules::vocabulary::{Scheme, SecretEncoding, VerifyRule};
use crate::samples::{Sample, SampleOptions};
use crate::signature::Encoding;

/// When the samples are sent: 2023-11-14T22:13:20Z.
pub const NOW_MS: i64 = 1_700_000_000_000;

/// A provider that is tried.
pub struct Subject<P> {
    pub provider: P,
    pub declared: Arc<Declared>,
    of: PhantomData<P>,
}

/// One of the three secrets of the suite.
#[derive(Clone, Copy)]
pub(super) enum Whose {
    Ours,
    OtherTenants,
}

impl<P: Dispatch + Event> Subject<P> {
    /// Opens a provider over the bundle that its library embeds.
    ///
    /// # Panics
    /// When the declaration has a mistake or the provider does not open.
    pub fn open(bundle: &[u8], config: Value) -> Self {
        let bundle = Bundle::parse(bundle).unwrap_or_else(|error| panic!("{error}"));
        let declared = Declared::from_bundle(&bundle)
            .unwrap_or_else(|error| panic!("the declaration has mistakes:\n{error}"));
        let declared = Arc::new(declared);
        let setup = Setup {
            config,
            declared: Arc::clone(&declared),
        };
        let provider =
            P::open(setup).unwrap_or_else(|error| panic!("the provider does not open: {error}"));
        Self {
            provider,
            declared,
            of: PhantomData,
        }
    }

    pub(super) fn rule(&self) -> Option<&VerifyRule> {
        self.declared
            .declaration()
            .rules
            .verify
            .as_ref()
            .filter(|rule| rule.needs_secret())
    }

    /// Every sample, signed with our secret, with its event.
    pub(super) fn signed_samples(&self) -> Vec<(&Sample, OwnedRequest)> {
        let ours = self.subscription(&self.spec(Whose::Ours));
        let samples = &self.declared.declaration().samples;
        let mut signed = Vec::new();
        for sample in samples {
            let index = self
                .declared
                .samples(&sample.event)
                .position(|other| other.file == sample.file)
                .unwrap_or_default();
            let options = SampleOptions {
                index,
                delivery_id: Some("delivery-1".to_owned()),
                now_ms: Some(NOW_MS),
            };
            let request = self
                .declared
                .sample_with(&sample.event, &options)
                .unwrap_or_else(|error| panic!("{}: {error}", sample.file));
            signed.push((sample, self.signed(request, &ours)));
        }
        assert!(
            !signed.is_empty(),
            "a provider has at least one sample under samples/, or nothing can be tried"
        );
        signed
    }

    /// A genuine request with another body.
    pub(super) fn with_body(&self, request: &OwnedRequest, body: &[u8]) -> OwnedRequest {
        let ours = self.subscription(&self.spec(Whose::Ours));
        let mut request = OwnedRequest {
            body: body.to_vec(),
            ..request.clone()
        };
        if let Some(rule) = self.rule() {
            request
                .headers
                .retain(|(name, _)| !name.eq_ignore_ascii_case(&rule.header));
        }
        self.signed(request, &ours)
    }

    pub(super) fn signed(
        &self,
        mut request: OwnedRequest,
        subscription: &Subscription,
    ) -> OwnedRequest {
        let added = self.declared.sign(subscription, &request.as_request());
        let added = added.unwrap_or_else(|error| {
            panic!("a sample cannot be signed by the declared rule: {error}")
        });
        for (name, value) in added {
            request
                .headers
                .retain(|(each, _)| !each.eq_ignore_ascii_case(&name));
            request.headers.push((name, value.into_bytes()));
        }
        request
    }

    pub(super) fn spec(&self, whose: Whose) -> SubscriptionSpec {
        let mut spec = SubscriptionSpec {
            id: "sub_conformance".to_owned(),
            endpoint_url: "https://host.example/webhooks/subject/ep_1".to_owned(),
            ..SubscriptionSpec::default()
        };
        let rules = &self.declared.declaration().rules;
        for name in rules
            .challenges
            .iter()
            .flat_map(|challenge| challenge.secrets())
        {
            spec.secrets
                .insert(name.to_owned(), "challenge-secret".to_owned());
        }
        if let Some(rule) = self.rule() {
            spec.secrets
                .insert(rule.secret.clone(), secret(rule, whose));
        }
        spec
    }

    pub(super) fn subscription(&self, spec: &SubscriptionSpec) -> Subscription {
        self.declared
            .open_subscription(spec.clone())
            .unwrap_or_else(|error| panic!("the subscription does not open: {error}"))
    }

    pub(super) fn dispatch(
        &self,
        subscription: &Subscription,
        request: &OwnedRequest,
    ) -> Result<EventDispatch> {
        self.provider.dispatch(subscription, &request.as_request())
    }

    pub(super) fn event(&self, name: &str) -> &EventDeclaration {
        self.declared
            .declaration()
            .event(name)
            .unwrap_or_else(|| panic!("the event `{name}` is not declared"))
    }
}

/// As the service would give it out.
pub(super) fn secret(rule: &VerifyRule, whose: Whose) -> String {
    let bytes: &[u8] = match whose {
        Whose::Ours => b"conformance-secret-of-ours",
        Whose::OtherTenants => b"conformance-secret-of-others",
    };
    let text = match rule.secret_encoding {
        SecretEncoding::Text => String::from_utf8_lossy(bytes).into_owned(),
        // A token that is kept encoded is sent as its bytes.
        SecretEncoding::Encoded(encoding) if rule.scheme != Scheme::Token => encoding.encode(bytes),
        SecretEncoding::Encoded(_) => Encoding::Base64.encode(bytes),
    };
    format!("{}{text}", rule.secret_prefix)
}
