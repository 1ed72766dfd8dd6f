//! What a declaration says of keeping its subscriptions: leases, checks, pulls, what requests teach.

use std::time::Duration;

use serde_json::Value;

use crate::units::parse_duration;

/// Read from `extra.native` of a declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncFacts {
    /// Registrations end by themselves.
    pub lease: Option<Lease>,
    /// Compared with the service so often.
    pub check_every: Option<Duration>,
    /// Read from the service without being woken.
    pub pull: Option<PullFacts>,
    /// Properties of a registration that its genuine requests teach: name and header.
    pub learn: Vec<(String, String)>,
}

/// How registrations end, and how that is kept from happening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// As long as one lives, where the service does not say.
    pub lifetime: Duration,
    /// It is renewed so long before its end.
    pub renew_before: Duration,
    pub renew: Renewal,
}

/// How a lease is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The plugin's `refresh`.
    Refresh,
    /// A second registration is made, then the first is ended.
    Recreate,
}

/// When changes are read without being woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullFacts {
    pub every: Option<Duration>,
    /// Once after each start of the host.
    pub at_start: bool,
}

impl SyncFacts {
    /// Of `extra.native` as it was written. What does not read counts as not said.
    pub fn of(native: &serde_json::Map<String, Value>) -> SyncFacts {
        let section = |key: &str| native.get(key).unwrap_or(&Value::Null);
        let duration = |section: &Value, key: &str| {
            let text = section.get(key).and_then(Value::as_str);
            text.and_then(parse_duration)
                .filter(|every| !every.is_zero())
        };
        let (lease, pull, learn) = (section("lease"), section("pull"), section("learn"));
        let taught = learn.as_object().into_iter().flatten();
        SyncFacts {
            lease: duration(lease, "lifetime").map(|lifetime| Lease {
                lifetime,
                renew_before: duration(lease, "renew_before").unwrap_or(lifetime / 4),
                renew: match lease["renew"].as_str() {
                    Some("recreate") => Renewal::Recreate,
                    _ => Renewal::Refresh,
                },
            }),
            check_every: duration(section("check"), "every"),
            pull: pull.is_object().then(|| PullFacts {
                every: duration(pull, "every"),
                at_start: pull["at_start"] == true,
            }),
            learn: taught
                .filter_map(|(name, rule)| {
                    let header = rule.get("header")?.as_str()?;
                    Some((name.clone(), header.to_ascii_lowercase()))
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_declaration_says_is_read_and_nonsense_counts_as_unsaid() {
        let native = json!({
            "lease": { "lifetime": "24h", "renew_before": "6h", "renew": "recreate" },
            "check": { "every": "6h" },
            "pull": { "every": "soon", "at_start": true },
            "learn": { "resource_id": { "header": "X-Acme-Resource-ID" }, "x": 1 },
        });
        let facts = SyncFacts::of(native.as_object().expect("a map"));
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let lease = facts.lease.expect("a lease");
        assert_eq!((lease.lifetime, lease.renew_before), (hours(24), hours(6)));
        assert_eq!(lease.renew, Renewal::Recreate);
        assert_eq!(facts.check_every, Some(hours(6)));
        let pull = PullFacts {
            every: None,
            at_start: true,
        };
        assert_eq!(facts.pull, Some(pull));
        let taught = ("resource_id".to_owned(), "x-acme-resource-id".to_owned());
        assert_eq!(facts.learn, [taught]);
        assert_eq!(SyncFacts::of(&serde_json::Map::new()), SyncFacts::default());
    }
}
