//! The part of the suite about proof: what is genuine is known as such, and nothing else.

use crate::ErrorCode;
use crate::messages::OwnedRequest;
use crate::provider::{Dispatch, Event};
use crate::rules::vocabulary::Scheme;
use crate::testkit::forgeries::forgeries;
use crate::testkit::subject::{NOW_MS, Subject, Whose, secret};

/// Nothing that was changed, left out, doubled, or signed with another's secret is accepted.
pub fn forgeries_are_refused<P: Dispatch + Event>(subject: &Subject<P>) {
    let Some(rule) = subject.rule() else {
        return unverified(subject);
    };
    let ours = subject.subscription(&subject.spec(Whose::Ours));
    let others = subject.subscription(&subject.spec(Whose::OtherTenants));
    for (sample, request) in subject.signed_samples() {
        for (what, forged) in forgeries(rule, &request) {
            assert_refused(
                subject.dispatch(&ours, &forged),
                &format!("{} with {what}", sample.file),
            );
        }
        assert_refused(
            subject.dispatch(&others, &request),
            &format!("{} at another tenant's endpoint", sample.file),
        );
        let theirs = subject.with_body(&request, &request.body);
        let theirs = subject.signed(theirs, &others);
        assert_refused(
            subject.dispatch(&ours, &theirs),
            &format!("{} signed with another tenant's secret", sample.file),
        );
        let not_text = OwnedRequest {
            body: b"\xff\xfe{\"a\":\xc3}".to_vec(),
            ..request.clone()
        };
        if matches!(rule.scheme, Scheme::Hmac(_)) {
            assert_refused(
                subject.dispatch(&ours, &not_text),
                &format!("{} with a body that is no text", sample.file),
            );
        }
    }
}

/// HTTP does not distinguish the case of header names, and neither may a provider.
pub fn header_names_are_of_any_case<P: Dispatch + Event>(subject: &Subject<P>) {
    let ours = subject.subscription(&subject.spec(Whose::Ours));
    for (sample, request) in subject.signed_samples() {
        for change in [str::to_ascii_uppercase, str::to_ascii_lowercase] {
            let mut changed = request.clone();
            changed
                .headers
                .iter_mut()
                .for_each(|(name, _)| *name = change(name));
            assert_eq!(
                subject.dispatch(&ours, &changed),
                subject.dispatch(&ours, &request),
                "{}",
                sample.file
            );
        }
    }
}

/// While a secret is rotated the old one is good beside the new one, and not afterwards.
pub fn rotated_secrets_are_accepted<P: Dispatch + Event>(subject: &Subject<P>) {
    let Some(rule) = subject.rule() else {
        return unverified(subject);
    };
    let mut during = subject.spec(Whose::OtherTenants);
    during.secrets.insert(
        format!("{}.previous", rule.secret),
        secret(rule, Whose::Ours),
    );
    let during = subject.subscription(&during);
    let after = subject.subscription(&subject.spec(Whose::OtherTenants));
    for (sample, request) in subject.signed_samples() {
        subject.dispatch(&during, &request).unwrap_or_else(|error| {
            panic!("{} is refused during a rotation: {error}", sample.file)
        });
        assert_refused(
            subject.dispatch(&after, &request),
            &format!("{} after a rotation", sample.file),
        );
    }
}

/// A subscription whose secret is missing or empty does not open.
pub fn secrets_are_required<P: Dispatch + Event>(subject: &Subject<P>) {
    let Some(rule) = subject.rule() else {
        return unverified(subject);
    };
    for found in [
        None,
        Some(""),
        Some("   "),
        Some(rule.secret_prefix.as_str()),
    ] {
        let mut spec = subject.spec(Whose::Ours);
        spec.secrets.remove(&rule.secret);
        spec.secrets
            .extend(found.map(|secret| (rule.secret.clone(), secret.to_owned())));
        let error = subject.declared.open_subscription(spec.clone()).err();
        let code = error.map(|error| error.code);
        assert_eq!(
            code,
            Some(ErrorCode::InvalidInput),
            "a subscription opens with the secret {found:?}"
        );
        assert!(
            !subject.declared.validate_subscription(&spec).is_empty(),
            "the secret {found:?} is found to be valid"
        );
    }
}

/// Where requests carry their time, they are good up to the tolerance, before and after, and not beyond.
pub fn timestamps_hold_up_to_the_edge<P: Dispatch + Event>(subject: &Subject<P>) {
    let Some(tolerance_ms) = subject.rule().and_then(|rule| rule.tolerance_ms) else {
        return;
    };
    let ours = subject.subscription(&subject.spec(Whose::Ours));
    let tolerance_ms = i64::try_from(tolerance_ms).unwrap_or(i64::MAX / 4);
    for (sample, request) in subject.signed_samples() {
        for (offset_ms, is_good) in [
            (tolerance_ms, true),
            (-tolerance_ms, true),
            (tolerance_ms + 1, false),
            (-tolerance_ms - 1, false),
        ] {
            let moved = OwnedRequest {
                received_at_ms: NOW_MS + offset_ms,
                ..request.clone()
            };
            let accepted = subject.dispatch(&ours, &moved).is_ok();
            assert_eq!(
                accepted, is_good,
                "{} received {offset_ms} ms after it was sent",
                sample.file
            );
        }
    }
}

/// The suite is worth nothing for a provider whose verification it does not know.
fn unverified<P: Dispatch + Event>(subject: &Subject<P>) {
    let declared = subject
        .declared
        .declaration()
        .rules
        .verify
        .as_ref()
        .map(|rule| rule.scheme);
    assert_eq!(
        declared,
        Some(Scheme::None),
        "extra.native.verify is missing: say how requests are verified, or that they are not"
    );
}

fn assert_refused<T>(result: crate::Result<T>, what: &str) {
    match result {
        Ok(_) => panic!("{what} is accepted"),
        Err(error) => assert_eq!(error.code, ErrorCode::Unauthenticated, "{what}: {error}"),
    }
}
