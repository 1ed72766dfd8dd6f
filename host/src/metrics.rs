//! What is counted and measured, as Prometheus reads it. Plain atomics: counting costs one addition
//! and takes no lock, and the sets of labels are closed, so that no request can add a time series.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::panics;

/// Only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// `amount` more.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// How many until now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much there is now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// More, or less with a negative amount.
    pub fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// As it is now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter for each word of a closed set.
#[derive(Debug)]
pub struct Counters<const N: usize> {
    words: [&'static str; N],
    counters: [Counter; N],
}

impl<const N: usize> Counters<N> {
    fn of(words: [&'static str; N]) -> Self {
        Counters {
            words,
            counters: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// One more of this word; a word that is not in the set is not counted.
    pub fn increment(&self, word: &str) {
        self.add(word, 1);
    }

    /// `amount` more of this word.
    pub fn add(&self, word: &str, amount: u64) {
        if let Some(at) = self.words.iter().position(|other| *other == word) {
            self.counters[at].add(amount);
        }
    }

    /// How many of this word until now.
    pub fn value(&self, word: &str) -> u64 {
        let at = self.words.iter().position(|other| *other == word);
        at.map_or(0, |at| self.counters[at].value())
    }
}

/// Upper bounds of the buckets, in microseconds.
const BOUNDS_US: [u64; 12] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
];

/// How long something took.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BOUNDS_US.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

impl Latency {
    /// It took this long once more.
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = BOUNDS_US.iter().position(|bound| us <= *bound) {
            self.buckets[at].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }
}

/// Everything that is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    /// Webhook requests by what became of them; `unknown` named no endpoint, `unavailable` was
    /// answered 503.
    pub requests: Counters<7>,
    /// Calls of runnables by what became of them; `too_late` are those whose job goes on.
    pub calls: Counters<7>,
    /// Events taken into the log.
    pub events: Counter,
    /// Events by what matching made of them.
    pub events_handled: Counters<3>,
    /// Jobs made, by cause.
    pub jobs: Counters<7>,
    /// Jobs that ended, by state.
    pub jobs_ended: Counters<3>,
    /// Jobs that wait for their time or for a place.
    pub jobs_ready: Gauge,
    /// Jobs that this host runs now.
    pub jobs_running: Gauge,
    /// Hints of other hosts that they have no place for jobs.
    pub hints_heard: Counter,
    /// Steps of flows that were read from the store to plan what follows.
    pub flow_steps_read: Counter,
    /// Attempts by outcome.
    pub attempts: Counters<5>,
    /// From handing a write over to its synced commit.
    pub commit_latency: Latency,
    /// A webhook request from its head to its answer.
    pub request_latency: Latency,
    /// A call of a runnable from its head to its answer.
    pub call_latency: Latency,
    /// An attempt from its start to its end.
    pub attempt_latency: Latency,
    /// Provider libraries loaded, by whether it worked.
    pub plugin_loads: Counters<2>,
    /// Memory that reloads left behind, in bytes: a library is never closed.
    pub plugin_leaked_bytes: Gauge,
    /// Subscriptions that are due to be looked after.
    pub sync_due: Gauge,
    /// Steps that kept a subscription alive, by what was done.
    pub sync_steps: Counters<7>,
    /// Steps that failed, by why.
    pub sync_failures: Counters<11>,
    /// Timers that fired.
    pub timers_fired: Counter,
    /// Renewals of credentials that a service was asked for, by outcome.
    pub credential_renewals: Counters<3>,
    /// Connections that are open.
    pub sockets_open: Gauge,
    /// Messages that came over connections.
    pub socket_messages: Counter,
    /// Calls of the API by the class of their status.
    pub api_calls: Counters<4>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            requests: Counters::of([
                "accepted",
                "duplicate",
                "refused",
                "answered",
                "unknown",
                "too_large",
                "unavailable",
            ]),
            calls: Counters::of([
                "accepted",
                "duplicate",
                "refused",
                "unauthenticated",
                "too_large",
                "too_late",
                "unavailable",
            ]),
            events: Counter::default(),
            events_handled: Counters::of(["matched", "unmatched", "failed"]),
            jobs: Counters::of([
                "event", "webhook", "schedule", "replay", "test", "flow", "error",
            ]),
            jobs_ended: Counters::of(["done", "dead", "cancelled"]),
            jobs_ready: Gauge::default(),
            jobs_running: Gauge::default(),
            hints_heard: Counter::default(),
            flow_steps_read: Counter::default(),
            attempts: Counters::of(["ok", "failed", "timeout", "refused", "lost"]),
            commit_latency: Latency::default(),
            request_latency: Latency::default(),
            call_latency: Latency::default(),
            attempt_latency: Latency::default(),
            plugin_loads: Counters::of(["ok", "failed"]),
            plugin_leaked_bytes: Gauge::default(),
            sync_due: Gauge::default(),
            sync_steps: Counters::of([
                "make", "update", "renew", "retire", "check", "pull", "delete",
            ]),
            sync_failures: Counters::of([
                "internal",
                "panic",
                "unsupported",
                "invalid_input",
                "unauthenticated",
                "credentials",
                "upstream",
                "rate_limited",
                "not_found",
                "cancelled",
                "host",
            ]),
            timers_fired: Counter::default(),
            credential_renewals: Counters::of(["renewed", "refused", "failed"]),
            sockets_open: Gauge::default(),
            socket_messages: Counter::default(),
            api_calls: Counters::of(["2xx", "3xx", "4xx", "5xx"]),
        }
    }
}

impl Metrics {
    /// The text format of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        let mut page = Rendered::default();
        page.counters("requests", "outcome", "Webhook requests.", &self.requests);
        page.counters("calls", "outcome", "Calls of runnables.", &self.calls);
        page.counter("events", "Events taken into the log.", &self.events);
        let help = "Events by what matching made of them.";
        page.counters("events_handled", "outcome", help, &self.events_handled);
        page.counters("jobs_created", "cause", "Jobs made.", &self.jobs);
        page.counters("jobs_ended", "state", "Jobs that ended.", &self.jobs_ended);
        page.gauge("jobs_ready", "Jobs that wait.", &self.jobs_ready);
        page.gauge("jobs_running", "Jobs that run here.", &self.jobs_running);
        let help = "Hints of other hosts that they have no place for jobs.";
        page.counter("hints_heard", help, &self.hints_heard);
        let help = "Steps of flows that were read to plan what follows.";
        page.counter("flow_steps_read", help, &self.flow_steps_read);
        page.counters(
            "attempts",
            "outcome",
            "Attempts that ended.",
            &self.attempts,
        );
        let help = "From handing a write over to its synced commit.";
        page.latency("commit_seconds", help, &self.commit_latency);
        let help = "Webhook requests from their head to their answer.";
        page.latency("request_seconds", help, &self.request_latency);
        let help = "Calls of runnables from their head to their answer.";
        page.latency("call_seconds", help, &self.call_latency);
        page.latency("attempt_seconds", "Attempts.", &self.attempt_latency);
        page.counters(
            "plugin_loads",
            "outcome",
            "Provider libraries loaded.",
            &self.plugin_loads,
        );
        let help = "Memory that replaced provider libraries still hold.";
        page.gauge("plugin_leaked_bytes", help, &self.plugin_leaked_bytes);
        let help = "Subscriptions that are due to be looked after.";
        page.gauge("sync_due", help, &self.sync_due);
        let help = "Steps that kept a subscription alive.";
        page.counters("sync_steps", "action", help, &self.sync_steps);
        let help = "Steps that failed.";
        page.counters("sync_failures", "code", help, &self.sync_failures);
        page.counter("timers_fired", "Timers that fired.", &self.timers_fired);
        let help = "Renewals of credentials that a service was asked for.";
        let renewals = &self.credential_renewals;
        page.counters("credential_renewals", "outcome", help, renewals);
        page.gauge(
            "sockets_open",
            "Connections that are open.",
            &self.sockets_open,
        );
        let help = "Messages that came over connections.";
        page.counter("socket_messages", help, &self.socket_messages);
        page.counters("api_calls", "status", "Calls of the API.", &self.api_calls);
        let help = "Panics of the host itself: mistakes of ours, each with a line in the log.";
        page.total("panics", help, panics::seen());
        page.0
    }
}

#[derive(Default)]
struct Rendered(String);

impl Rendered {
    fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.total(name, help, counter.value());
    }

    fn total(&mut self, name: &str, help: &str, value: u64) {
        self.head(&format!("{name}_total"), "counter", help);
        self.line(&format!("{name}_total"), &value.to_string());
    }

    fn counters<const N: usize>(
        &mut self,
        name: &str,
        label: &str,
        help: &str,
        counters: &Counters<N>,
    ) {
        self.head(&format!("{name}_total"), "counter", help);
        for (word, counter) in counters.words.iter().zip(&counters.counters) {
            let series = format!("{name}_total{{{label}=\"{word}\"}}");
            self.line(&series, &counter.value().to_string());
        }
    }

    fn gauge(&mut self, name: &str, help: &str, gauge: &Gauge) {
        self.head(name, "gauge", help);
        self.line(name, &gauge.value().to_string());
    }

    fn latency(&mut self, name: &str, help: &str, latency: &Latency) {
        self.head(name, "histogram", help);
        let mut below = 0;
        for (bound, bucket) in BOUNDS_US.iter().zip(&latency.buckets) {
            below += bucket.load(Ordering::Relaxed);
            let series = format!("{name}_bucket{{le=\"{}\"}}", seconds(*bound));
            self.line(&series, &below.to_string());
        }
        // Read after the buckets, and never below them: the parts are counted one after another.
        let count = latency.count.load(Ordering::Relaxed).max(below);
        self.line(&format!("{name}_bucket{{le=\"+Inf\"}}"), &count.to_string());
        self.line(
            &format!("{name}_sum"),
            &seconds(latency.sum_us.load(Ordering::Relaxed)),
        );
        self.line(&format!("{name}_count"), &count.to_string());
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP triggerd_{name} {help}\n# TYPE triggerd_{name} {kind}"
        );
    }

    fn line(&mut self, series: &str, value: &str) {
        let _ = writeln!(self.0, "triggerd_{series} {value}");
    }
}

fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_rendered() {
        let metrics = Metrics::default();
        metrics.requests.increment("accepted");
        metrics.requests.increment("no such word");
        metrics.commit_latency.observe(Duration::from_micros(700));
        metrics.commit_latency.observe(Duration::from_secs(60));
        let page = metrics.render();
        for line in [
            "triggerd_requests_total{outcome=\"accepted\"} 1",
            "triggerd_requests_total{outcome=\"refused\"} 0",
            "triggerd_commit_seconds_bucket{le=\"0.0005\"} 0",
            "triggerd_commit_seconds_bucket{le=\"0.001\"} 1",
            "triggerd_commit_seconds_bucket{le=\"5\"} 1",
            "triggerd_commit_seconds_bucket{le=\"+Inf\"} 2",
            "triggerd_commit_seconds_sum 60.0007",
            "# TYPE triggerd_commit_seconds histogram",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is missing in:\n{page}"
            );
        }
    }

    #[test]
    fn every_series_has_its_type_and_a_number() {
        for line in Metrics::default()
            .render()
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let (series, value) = line.rsplit_once(' ').expect("two parts");
            assert!(series.starts_with("triggerd_"), "{line}");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
