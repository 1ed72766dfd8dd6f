//! The declared rules: one engine that verifies requests, names events, filters and picks variables.
//!
//! ```text
//!  provider.yaml ┐                    open_subscription(spec) ──► keys
//!  events/*.yaml ┴► Declaration ──► Declared ┤
//!                    (checked)     (compiled)└ open_trigger(event, parameters) ──► filters
//!
//!  request ─► early challenges ─► verify ─► payload ─► challenges ─► names ─► EventDispatch
//!             (no proof asked)    (bytes)   (form?)    (signed)     (when)
//!  event ───► one walk over the payload ─► filters ─► variables ─► Outcome
//! ```
//!
//! # What it promises
//! - Nothing of a request is parsed before it is verified, but what a challenge that is declared
//!   `verified: false`, a challenge with a `token` of its own, or `route` asks for.
//! - Verification fails closed: no rule, no secret, an empty secret, a header that is missing, empty
//!   or there twice are all refused. Secrets are compared in constant time.
//! - Any other header that a rule reads may be there once: a second one makes the request unreadable.
//!   So does a delivery id that is not printable text.
//! - The body is never parsed into a tree. Pointers are read in one walk; a rule that needs headers
//!   only does not look at the body. Nesting of any depth, huge numbers, lone surrogates and NUL harm
//!   nobody; of a duplicate key the last one counts, as for `JSON.parse` and `serde_json`.
//! - All of it is pure: no clock (time is when the request was received), no network.
//!
//! What it does not do: ask whether an event is a duplicate (the host remembers delivery ids), know
//! signatures other than keyed hashes and tokens, and look things up. That is for Rust.
//!
//! # The vocabulary of `extra.native`
//!
//! A key that is not listed is kept and warned of; a known key with a wrong value is a mistake.
//!
//! - **Pointer**: RFC 6901 (`/issue/labels/0/name`, `~0` is `~`, `~1` is `/`, `""` is the whole
//!   payload); the segment `*` is each item of an array (`/commits/*/message`). At most 32 segments.
//! - **Duration**: `500ms`, `90s`, `5m`, `24h`, `7d`.
//! - **Source**: exactly one of `{header: NAME}`, `{query: NAME}`, `{json: POINTER}`.
//! - **Condition**: `{at: POINTER | header: NAME | query: NAME, op, value, ignore_case, strip}`, where
//!   `op` is `eq` by default and `exists` without a `value`; or `{all: […]}`, `{any: […]}`, `{not: …}`.
//!
//! ## `provider.yaml`
//! ```yaml
//! extra:
//!   native:
//!     # Up to `verify` for the host, not for this engine. An address is absolute, or relative to base_url.
//!     base_url: https://acme.example # where an integration that names none is; absent: it must name one
//!     oauth:
//!       authorize_url: /oauth/authorize
//!       token_url: /oauth/token
//!       revoke_url: /oauth/revoke
//!       scopes: [read]
//!       scope_separator: " "
//!       pkce: S256                   # or none
//!       client_auth: body            # or basic: how the client proves itself at token_url
//!       extra_authorize_params: {prompt: consent}
//!       refused: [invalid_grant]     # errors of a refresh after which only connecting again helps
//!     attach:                        # by kind of credential, to requests of the provider's
//!       oauth: {header: Authorization, value: "Bearer {access_token}"}    # what is done for oauth anyway
//!       api-key: {basic: "{username}:{app_password}"}   # without a rule the provider gets the values itself
//!     lend: [private_key]            # secrets that the provider gets although a rule signs its requests
//!     permissions: {network: ["api.acme.example:443", "{base_url}"]}
//!     lease: {lifetime: 24h, renew_before: 6h, renew: recreate}   # or refresh: the operation `refresh`
//!     learn: {resource_id: {header: X-Acme-Resource}}   # properties read from genuine requests
//!     pull: {every: 10m, at_start: true}                # without being woken
//!     check: {every: 6h}
//!     verify:
//!       scheme: hmac-sha256          # hmac-sha256, hmac-sha1, hmac-sha512, token (the header is the secret), none
//!       header: X-Acme-Signature     # must be there exactly once
//!       prefix: "sha256="            # stands before the signature
//!       encoding: hex                # hex (either case), base64 (padded or not)
//!       signed: "{body}"             # {body} {url} {timestamp} {header:NAME} {part:NAME}
//!       parts: {separator: ",", assign: "=", signature: v1}    # a header that is a list: t=…,v1=…
//!       secret: webhook_secret       # its name in subscription_schema
//!       secret_prefix: whsec_        # removed if there
//!       secret_encoding: text        # text, base64, hex
//!       timestamp: {header: X-Acme-Time, unit: s}              # header, part or json; s, ms
//!       tolerance: 5m                # none, or a duration; the timestamp must be signed
//!     event: {header: X-Acme-Event}  # a source, or {name: fixed}; absent: `when` alone tells events apart
//!     unknown: pass                  # pass: under its own name; ignore: answered, fires nothing
//!     ignore: [ping]                 # names that are answered and fire nothing
//!     delivery_id: {header: X-Acme-Delivery, window: 72h}      # a source
//!     occurred_at: {json: /created_at, unit: rfc3339}          # a source; s, ms, rfc3339
//!     body:
//!       form: payload                # in a form, the field with the JSON; `object`: the fields are the JSON
//!       each: /events                # each item of this array is an event of its own
//!     reply: {status: 200, content_type: text/plain, body: ""}
//!     wake: false                    # true: a push carries no data, pull now
//!     route: {json: /team_id}        # finds the subscription where a service has one address; unverified
//!     challenge:                     # one, or a list
//!       method: POST
//!       when: {at: /type, value: url_verification}
//!       verified: true               # false: answered to everybody
//!       token: {query: hub.verify_token, secret: verify_token} # instead of a signature
//!       answer: {json: /challenge}
//!       hmac: {secret: webhook_secret, encoding: hex, prefix: ""}   # {hmac}: HMAC-SHA256 of the answer
//!       reply: {status: 200, content_type: text/plain, body: "{answer}"}
//! ```
//! In a reply of a JSON type, `{answer}` and `{hmac}` are put in as JSON strings, quotes included.
//!
//! A secret is rotated by `NAME.previous` (or any `NAME.…`) beside `NAME` among a subscription's
//! secrets: all are accepted, `NAME` signs. An operator goes without verification only by the
//! parameter `verification: none` of the subscription.
//!
//! ## `events/*.yaml`
//! ```yaml
//! extra:
//!   native:
//!     when: issues                   # value or values of `event`; absent: the event's own name
//!                                    # or {event: issues, at: /action, value: opened}: both must hold
//!     ignore: true                   # or a condition: answered, fires nothing
//!     filters:
//!     - {parameter: branches, at: /ref, op: glob, strip: refs/heads/}
//!     - {value: opened, at: /action} # always, whatever the parameters
//!     variables: {action: /action, titles: /commits/*/message}   # absent: the whole payload
//! ```
//! A request is every declared event whose `when` holds; if none holds, the event that it names.
//! A variable that is missing is `null`; one with `*` is an array.
//!
//! | filter | |
//! |---|---|
//! | `at` | a pointer or several: a value at any of them may match; an array stands for its items |
//! | `op` | `in` (default), `in_list`: equals any of the parameter's; `eq`; `ne`, `not_in`: equals none, also when absent |
//! | | `all_in`: every item of the parameter is there; `contains`, `prefix`, `suffix`: texts |
//! | | `glob`, `glob_any`: `*` stays within a path segment, `**` crosses, `!` takes out, the last that matches decides |
//! | | `bool`: equals, absent is false; `exists`: something other than null is there; `gt`, `lt`, `ge`, `le`: numbers |
//! | `strip` | removes the first of these prefixes that fits; a value with none of them does not match |
//! | `split` | the parameter is a text that holds a list, so separated |
//! | `ignore_case` | for texts and globs |
//!
//! A parameter that is unset, `null`, `""` or `[]` does not filter; `false` and `0` do. Numbers and
//! booleans also equal their own text. All filters of an event must match.

mod challenge;
pub mod condition;
mod declared;
mod dispatch;
pub mod fields;
pub mod form;
pub mod glob;
mod keys;
pub mod matcher;
pub mod parameters;
pub mod pointer;
pub mod scalar;
mod sign;
mod single;
pub mod source;
mod subscription;
pub mod template;
pub mod time;
mod trigger;
mod verify;
pub mod vocabulary;

pub use declared::Declared;
pub use keys::PreparedSubscription;
pub use single::{RuleMistake, SingleRules};
pub use trigger::PreparedTrigger;
