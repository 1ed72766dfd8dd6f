//! Counters and gauges in the text form that Prometheus reads.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    provider: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

/// Everything that is counted. Names begin with `triggerd_`.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    refused_rows_dropped: Counter,
    events_matched: Counter,
    jobs_created: Counter,
    attempts: Family<OutcomeLabels, Counter>,
    attempt_seconds: Histogram,
    jobs: Family<StateLabels, Gauge>,
    plugin_loads: Gauge,
    plugin_bytes: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Metrics {
        let mut registry = Registry::with_prefix("triggerd");
        let requests = Family::default();
        registry.register("requests", "Requests at endpoints by provider and status", requests.clone());
        let refused_rows_dropped = Counter::default();
        registry.register(
            "refused_rows_dropped",
            "Refused requests that were counted but not logged, because too many came at once",
            refused_rows_dropped.clone(),
        );
        let events_matched = Counter::default();
        registry.register("events_matched", "Events that went through matching", events_matched.clone());
        let jobs_created = Counter::default();
        registry.register("jobs_created", "Jobs that events fired", jobs_created.clone());
        let attempts = Family::default();
        registry.register("attempts", "Attempts by outcome", attempts.clone());
        let attempt_seconds = Histogram::new(exponential_buckets(0.001, 4.0, 10));
        registry.register_with_unit("attempt_duration", "Time of attempts", Unit::Seconds, attempt_seconds.clone());
        let jobs = Family::default();
        registry.register("jobs", "Jobs that are not finished, by state", jobs.clone());
        let plugin_loads = Gauge::default();
        registry.register("plugin_loads", "Libraries loaded since the start; none is given back", plugin_loads.clone());
        let plugin_bytes = Gauge::default();
        registry.register_with_unit("plugin_size", "Size of the libraries loaded since the start", Unit::Bytes, plugin_bytes.clone());
        Metrics {
            registry,
            requests,
            refused_rows_dropped,
            events_matched,
            jobs_created,
            attempts,
            attempt_seconds,
            jobs,
            plugin_loads,
            plugin_bytes,
        }
    }

    /// A request at an endpoint was answered.
    pub fn request(&self, provider: &str, status: u16) {
        let labels = RequestLabels {
            provider: provider.to_owned(),
            status,
        };
        self.requests.get_or_create(&labels).inc();
    }

    /// The row of a refused request was left out.
    pub fn refused_row_dropped(&self) {
        self.refused_rows_dropped.inc();
    }

    /// So many events were matched and made so many jobs.
    pub fn matched(&self, events: usize, jobs: usize) {
        self.events_matched.inc_by(events as u64);
        self.jobs_created.inc_by(jobs as u64);
    }

    /// An attempt ended.
    pub fn attempt(&self, outcome: &'static str, took: Duration) {
        self.attempts.get_or_create(&OutcomeLabels { outcome }).inc();
        self.attempt_seconds.observe(took.as_secs_f64());
    }

    /// How many jobs are in a state now.
    pub fn jobs(&self, state: &'static str, count: i64) {
        self.jobs.get_or_create(&StateLabels { state }).set(count);
    }

    /// Libraries loaded since the start and their size in bytes.
    pub fn plugins(&self, loads: u64, bytes: u64) {
        self.plugin_loads.set(i64::try_from(loads).unwrap_or(i64::MAX));
        self.plugin_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The whole text, in the OpenMetrics form.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_stands_in_the_text() {
        let metrics = Metrics::new();
        metrics.request("acme", 401);
        metrics.request("acme", 401);
        metrics.attempt("ok", Duration::from_millis(3));
        let text = metrics.text();
        assert!(text.contains("triggerd_requests_total{provider=\"acme\",status=\"401\"} 2"), "{text}");
        assert!(text.contains("triggerd_attempts_total{outcome=\"ok\"} 1"), "{text}");
    }
}
