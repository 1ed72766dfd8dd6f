//! The rules of a provider.

use crate::declaration::native::challenge::{challenge, reply};
use crate::declaration::native::condition::{pointer, source};
use crate::declaration::native::verify::verify;
use crate::declaration::section::Section;
use crate::declaration::yaml::{Content, Node};
use crate::rules::source::Source;
use crate::rules::time::{Unit, duration_ms};
use crate::rules::vocabulary::{
    BodyRule, DELIVERY_WINDOW_MS, DeliveryIdRule, EventName, FormRule, ProviderRules, UnknownEvents,
};

const FOR_THE_HOST: [&str; 10] = [
    "base_url",
    "oauth",
    "attach",
    "lend",
    "permissions",
    "lease",
    "learn",
    "pull",
    "check",
    "transport",
];

pub(crate) fn read_provider_rules(section: Section<'_>) -> ProviderRules {
    for key in FOR_THE_HOST {
        // For the host, which reads them from the declaration as it was written.
        section.node(key);
    }
    let path = section.path("challenge");
    let challenges = section
        .list("challenge")
        .iter()
        .filter_map(|node| Section::open(node, &path, section.findings));
    let rules = ProviderRules {
        verify: section.section("verify").and_then(verify),
        event: section.section("event").and_then(event_name),
        unknown: section
            .choice(
                "unknown",
                &[
                    ("pass", UnknownEvents::Pass),
                    ("ignore", UnknownEvents::Ignore),
                ],
            )
            .unwrap_or_default(),
        ignore: section.texts("ignore"),
        delivery_id: section.section("delivery_id").and_then(delivery_id),
        occurred_at: section.section("occurred_at").and_then(moment),
        body: section.section("body").map(body).unwrap_or_default(),
        reply: section.section("reply").map(|section| reply(section, "")),
        wake: section.boolean("wake").unwrap_or_default(),
        route: section.section("route").and_then(plain_source),
        challenges: challenges.filter_map(challenge).collect(),
    };
    if rules.event.is_none() && !rules.ignore.is_empty() {
        section.findings.mistake(
            section.place,
            format!(
                "{} names events, but `event` does not say where their name is",
                section.path("ignore")
            ),
        );
    }
    section.rest();
    rules
}

fn plain_source(section: Section<'_>) -> Option<Source> {
    let found = source(&section);
    section.rest();
    found
}

fn event_name(section: Section<'_>) -> Option<EventName> {
    let name = match section.text("name") {
        Some(name) => Some(EventName::Fixed(name)),
        None => source(&section).map(EventName::At),
    };
    section.rest();
    name
}

fn delivery_id(section: Section<'_>) -> Option<DeliveryIdRule> {
    section.choice("scope", &[("subscription", ())]);
    let window_ms = section
        .parsed("window", "a duration such as 72h", duration_ms)
        .unwrap_or(DELIVERY_WINDOW_MS);
    let source = source(&section);
    section.rest();
    Some(DeliveryIdRule {
        source: source?,
        window_ms,
    })
}

fn moment(section: Section<'_>) -> Option<(Source, Unit)> {
    let units = [
        ("s", Unit::Seconds),
        ("ms", Unit::Milliseconds),
        ("rfc3339", Unit::Rfc3339),
    ];
    let unit = section.choice("unit", &units).unwrap_or(Unit::Rfc3339);
    let source = source(&section);
    section.rest();
    Some((source?, unit))
}

fn body(section: Section<'_>) -> BodyRule {
    // `json: true` may be said, and says what is so without it.
    section.node("json");
    let form = match section.node("form") {
        None => FormRule::AsItIs,
        Some(Node {
            content: Content::Map(_),
            ..
        }) => {
            let field = section.section("form").and_then(|form| {
                let field = form.required_text("field");
                form.rest();
                field
            });
            field.map(FormRule::Field).unwrap_or_default()
        }
        Some(node) => match section.text_of(node, "form").as_deref() {
            Some("object") => FormRule::Object,
            Some(field) => FormRule::Field(field.to_owned()),
            None => FormRule::AsItIs,
        },
    };
    let each = section
        .node("each")
        .and_then(|node| pointer(&section, node, "each"));
    section.rest();
    BodyRule { form, each }
}
