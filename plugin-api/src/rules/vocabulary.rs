//! What `extra.native` can say, read and checked: the rules before they are compiled.
//!
//! The keys and their meaning are documented in [`crate::rules`].

use crate::rules::condition::Condition;
use crate::rules::matcher::{Op, Preparation};
use crate::rules::pointer::Pointer;
use crate::rules::scalar::Scalar;
use crate::rules::source::Source;
use crate::rules::template::SignedTemplate;
use crate::rules::time::Unit;
use crate::signature::{Algorithm, Encoding};

/// How long a delivery id is remembered when nothing else is said.
pub const DELIVERY_WINDOW_MS: u64 = 72 * 3_600_000;

/// The rules of a provider.
#[derive(Debug, Clone, Default)]
pub struct ProviderRules {
    /// Absent: no request is accepted by rules alone.
    pub verify: Option<VerifyRule>,
    pub event: Option<EventName>,
    pub unknown: UnknownEvents,
    /// Values of `event` that are answered and fire nothing.
    pub ignore: Vec<String>,
    pub delivery_id: Option<DeliveryIdRule>,
    pub occurred_at: Option<(Source, Unit)>,
    pub body: BodyRule,
    pub reply: Option<ReplyRule>,
    pub wake: bool,
    pub route: Option<Source>,
    pub challenges: Vec<ChallengeRule>,
}

/// How a request proves who sent it.
#[derive(Debug, Clone)]
pub struct VerifyRule {
    pub scheme: Scheme,
    pub header: String,
    pub prefix: String,
    pub encoding: Encoding,
    pub signed: SignedTemplate,
    pub parts: Option<PartsRule>,
    /// The secret's name in `subscription_schema`.
    pub secret: String,
    pub secret_prefix: String,
    pub secret_encoding: SecretEncoding,
    pub timestamp: Option<(TimestampSource, Unit)>,
    pub tolerance_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Hmac(Algorithm),
    /// The header is the secret.
    Token,
    /// Everything is accepted.
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretEncoding {
    Text,
    Encoded(Encoding),
}

/// A signature header that is a list: `t=1700000000,v1=5f…,v1=6a…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartsRule {
    pub separator: String,
    pub assign: String,
    /// The name of the parts that are signatures.
    pub signature: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimestampSource {
    Header(String),
    Part(String),
    /// Read after the signature held.
    Json(Pointer),
}

/// Where the name of what happened is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventName {
    At(Source),
    Fixed(String),
}

/// What becomes of an event that no declared one fits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownEvents {
    #[default]
    Pass,
    Ignore,
}

/// How a repetition is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryIdRule {
    pub source: Source,
    pub window_ms: u64,
}

/// Where the JSON of a request is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BodyRule {
    pub form: FormRule,
    /// Each item of this array is an event of its own.
    pub each: Option<Pointer>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FormRule {
    /// A form is not expected: the body is what it is.
    #[default]
    AsItIs,
    /// The JSON is in this field.
    Field(String),
    /// The fields become one JSON object.
    Object,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyRule {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

/// A request that only wants an answer.
#[derive(Debug, Clone)]
pub struct ChallengeRule {
    pub method: Option<String>,
    pub when: Condition,
    pub proof: ChallengeProof,
    pub answer: Source,
    pub hmac: Option<AnswerHmac>,
    pub reply: ReplyRule,
}

/// What a challenge must prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChallengeProof {
    /// As every request.
    Signature,
    /// Nothing: a bare echo.
    Nothing,
    /// It carries this secret.
    Token { source: Source, secret: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerHmac {
    pub secret: String,
    pub encoding: Encoding,
    pub prefix: String,
}

/// The rules of one event.
#[derive(Debug, Clone, Default)]
pub struct EventRules {
    pub when: WhenRule,
    pub ignore: IgnoreRule,
    pub filters: Vec<FilterRule>,
    /// Name and place; absent: the whole payload.
    pub variables: Option<Vec<(String, Pointer)>>,
}

/// When a request is this event.
#[derive(Debug, Clone, Default)]
pub struct WhenRule {
    /// Values of `event`; empty: any, the condition alone decides.
    pub names: Vec<String>,
    pub condition: Option<Condition>,
}

#[derive(Debug, Clone, Default)]
pub enum IgnoreRule {
    #[default]
    Never,
    Always,
    When(Condition),
}

/// One filter of an event.
#[derive(Debug, Clone)]
pub struct FilterRule {
    pub wanted: FilterValue,
    pub at: Vec<Pointer>,
    pub op: Op,
    pub preparation: Preparation,
    pub split: Option<String>,
}

#[derive(Debug, Clone)]
pub enum FilterValue {
    /// What the operator chose for this parameter.
    Parameter(String),
    Fixed(Vec<Scalar<'static>>),
}

impl VerifyRule {
    /// Whether a secret is needed to verify.
    pub fn needs_secret(&self) -> bool {
        self.scheme != Scheme::None
    }
}

impl ChallengeRule {
    /// The names of the secrets that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let token = match &self.proof {
            ChallengeProof::Token { secret, .. } => Some(secret.as_str()),
            ChallengeProof::Signature | ChallengeProof::Nothing => None,
        };
        token
            .into_iter()
            .chain(self.hmac.iter().map(|hmac| hmac.secret.as_str()))
    }
}
