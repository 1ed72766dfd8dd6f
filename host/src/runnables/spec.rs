//! What a version of a runnable says, parsed from the JSON that is stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::Url;

use crate::backoff::RetryPolicy;
use crate::flows::FlowSpec;
use crate::model::RunnableKind;
use crate::outbound::{Cidr, OutboundRequest, Policy};
use crate::runnables::environment;
use crate::runnables::fields::Fields;
use crate::runnables::nats_spec::NatsSpec;

/// One version of a runnable.
#[derive(Clone, Debug)]
pub struct RunnableSpec {
    /// What is run.
    pub target: Target,
    policy: RunPolicy,
}

/// How the jobs of a runnable are run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunPolicy {
    /// When a job that failed is tried again.
    pub retry: RetryPolicy,
    /// How many of its jobs may run at the same time.
    pub concurrency: u32,
    /// Whether a job that was called synchronously leaves no arguments, logs and result behind.
    pub delete_after_use: bool,
}

/// What is run.
#[derive(Clone, Debug)]
pub enum Target {
    /// A program on this machine.
    Command(CommandSpec),
    /// An HTTP target.
    Http(HttpSpec),
    /// A subject of a NATS server.
    Nats(NatsSpec),
    /// Steps, each of which runs a runnable. Stored as `{"flow"}`.
    Flow(Arc<FlowSpec>),
}

/// A program. Stored as `{"argv", "timeout_ms", "env", "cwd", "stdout_max", "stderr_max", "stdin"}`.
#[derive(Clone, Debug)]
pub struct CommandSpec {
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// The time it is given; then its process group is killed. 30 s.
    pub timeout: Duration,
    /// Variables beside those that every program gets.
    pub env: BTreeMap<String, String>,
    /// The folder it starts in, under an allowed folder; the program's own if absent.
    pub cwd: Option<String>,
    /// How many bytes of its output are kept. 256 KiB.
    pub stdout_max: usize,
    /// The same of its standard error. 256 KiB.
    pub stderr_max: usize,
    /// What it reads.
    pub stdin: Stdin,
}

/// What a program reads on standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stdin {
    /// The job's arguments.
    Arguments,
    /// Nothing.
    None,
}

/// An HTTP target. Stored as `{"url", "method", "headers", "timeout_ms", "allow", "cloudevents",
/// "response_max"}`.
#[derive(Clone, Debug)]
pub struct HttpSpec {
    /// Where to.
    pub url: Url,
    /// POST, PUT or PATCH, which carry the arguments, or GET or DELETE, which carry nothing.
    pub method: Method,
    /// Headers beside those that every request gets.
    pub headers: HeaderMap,
    /// The time for the whole exchange. 30 s.
    pub timeout: Duration,
    /// Ranges of addresses opened beyond public ones.
    pub allow: Vec<Cidr>,
    /// Whether the arguments travel as a CloudEvent.
    pub cloudevents: CloudEvents,
    /// How many bytes of the answer are kept. 256 KiB.
    pub response_max: usize,
}

/// The forms of CloudEvents 1.0 over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloudEvents {
    /// The arguments as they are.
    None,
    /// One JSON document with attributes and data.
    Structured,
    /// The attributes as `ce-` headers, the arguments as the body.
    Binary,
}

/// A mistake in a spec, or in the secrets beside it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: found {found}, expected {expected}")]
pub struct SpecError {
    /// The field, as it is written in the stored JSON.
    pub field: String,
    /// What stood there; never a secret.
    pub found: String,
    /// What may stand there.
    pub expected: String,
}

const TIMEOUT_DEFAULT_MS: u64 = 30_000;
const TIMEOUT_RANGE_MS: (u64, u64) = (1, 24 * 3_600_000);
pub(super) const OUTPUT_DEFAULT: u64 = 256 << 10;
pub(super) const OUTPUT_RANGE: (u64, u64) = (0, 16 << 20);
const CONCURRENCY_DEFAULT: u64 = 8;
const CONCURRENCY_RANGE: (u64, u64) = (1, 10_000);

impl RunnableSpec {
    /// Reads the stored JSON of a version.
    pub fn parse(kind: RunnableKind, spec: &Value) -> Result<RunnableSpec, SpecError> {
        let mut fields = Fields::of(spec)?;
        let retry: RetryPolicy = fields.take("retry", "a retry policy")?.unwrap_or_default();
        retry.validate().map_err(|error| {
            SpecError::new(
                format!("retry.{}", error.field),
                error.found,
                error.expected,
            )
        })?;
        let concurrency = fields.number("concurrency", CONCURRENCY_DEFAULT, CONCURRENCY_RANGE)?;
        let delete_after_use: Option<bool> = fields.take("delete_after_use", "true or false")?;
        let target = match kind {
            RunnableKind::Command => Target::Command(CommandSpec::read(&mut fields)?),
            RunnableKind::Http => Target::Http(HttpSpec::read(&mut fields)?),
            RunnableKind::Nats => Target::Nats(NatsSpec::read(&mut fields)?),
            RunnableKind::Flow => Target::Flow(read_flow(&mut fields)?),
        };
        fields.finish()?;
        let policy = RunPolicy {
            retry,
            concurrency: concurrency as u32,
            delete_after_use: delete_after_use.unwrap_or(false),
        };
        Ok(RunnableSpec { target, policy })
    }

    /// How its jobs are run, whatever their kind.
    pub fn policy(&self) -> &RunPolicy {
        &self.policy
    }
}

fn read_flow(fields: &mut Fields<'_>) -> Result<Arc<FlowSpec>, SpecError> {
    let flow: Value = fields.require("flow", "a flow")?;
    let read = FlowSpec::parse(&flow).map_err(|mistakes| {
        let (pointer, found) = match mistakes.into_iter().next() {
            Some(mistake) => (mistake.pointer, mistake.message),
            None => (String::new(), "nothing".to_owned()),
        };
        SpecError::new(
            format!("flow{}", pointer.replace('/', ".")),
            found,
            "a flow",
        )
    })?;
    Ok(Arc::new(read))
}

impl CommandSpec {
    fn read(fields: &mut Fields<'_>) -> Result<CommandSpec, SpecError> {
        let argv: Vec<String> = fields.require("argv", "a list of texts, the program first")?;
        if argv.first().is_none_or(|program| program.is_empty()) {
            return Err(SpecError::new(
                "argv",
                "no program",
                "a list of texts, the program first",
            ));
        }
        if let Some(at) = argv
            .iter()
            .position(|text| text.contains(['\0', '\r', '\n']))
        {
            return Err(SpecError::new(
                format!("argv[{at}]"),
                "a line break or NUL",
                "one line of text; hand over longer text as arguments",
            ));
        }
        let env: BTreeMap<String, String> = fields
            .take("env", "an object of texts")?
            .unwrap_or_default();
        for (name, value) in &env {
            environment::check("env", name, value)?;
        }
        let cwd: Option<String> = fields.take("cwd", "a folder under an allowed folder")?;
        if cwd
            .as_deref()
            .is_some_and(|cwd| cwd.is_empty() || cwd.contains('\0'))
        {
            return Err(SpecError::new(
                "cwd",
                "no path",
                "a folder under an allowed folder",
            ));
        }
        Ok(CommandSpec {
            argv,
            timeout: read_timeout(fields)?,
            env,
            cwd,
            stdout_max: fields.number("stdout_max", OUTPUT_DEFAULT, OUTPUT_RANGE)? as usize,
            stderr_max: fields.number("stderr_max", OUTPUT_DEFAULT, OUTPUT_RANGE)? as usize,
            stdin: fields
                .take("stdin", "`arguments` or `none`")?
                .unwrap_or(Stdin::Arguments),
        })
    }
}

impl HttpSpec {
    fn read(fields: &mut Fields<'_>) -> Result<HttpSpec, SpecError> {
        let allow: Vec<Cidr> = fields
            .take("allow", "a list of ranges like `10.0.0.0/8`")?
            .unwrap_or_default();
        let text: String = fields.require("url", "an http or https URL")?;
        // What was found is not shown: a mistaken URL may hold a password.
        let url = Url::parse(&text)
            .map_err(|error| SpecError::new("url", error.to_string(), "an http or https URL"))?;
        let spec = HttpSpec {
            url,
            method: read_method(fields)?,
            headers: read_headers(fields)?,
            timeout: read_timeout(fields)?,
            allow,
            cloudevents: fields
                .take("cloudevents", "`none`, `structured` or `binary`")?
                .unwrap_or(CloudEvents::None),
            response_max: fields.number("response_max", OUTPUT_DEFAULT, OUTPUT_RANGE)? as usize,
        };
        spec.egress().check_url(&spec.url).map_err(|refusal| {
            SpecError::new("url", refusal.to_string(), "a target that may be reached")
        })?;
        Ok(spec)
    }

    /// What the target may resolve to.
    pub fn egress(&self) -> Policy {
        Policy {
            allow: self.allow.clone(),
            hosts: None,
        }
    }
}

impl SpecError {
    pub(super) fn new(
        field: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> SpecError {
        SpecError {
            field: field.into(),
            found: found.into(),
            expected: expected.into(),
        }
    }
}

pub(super) fn read_timeout(fields: &mut Fields<'_>) -> Result<Duration, SpecError> {
    let ms = fields.number("timeout_ms", TIMEOUT_DEFAULT_MS, TIMEOUT_RANGE_MS)?;
    Ok(Duration::from_millis(ms))
}

fn read_method(fields: &mut Fields<'_>) -> Result<Method, SpecError> {
    const EXPECTED: &str = "POST, PUT, PATCH, GET or DELETE";
    let text: Option<String> = fields.take("method", EXPECTED)?;
    match text.as_deref() {
        None | Some("POST") => Ok(Method::POST),
        Some("PUT") => Ok(Method::PUT),
        Some("PATCH") => Ok(Method::PATCH),
        Some("GET") => Ok(Method::GET),
        Some("DELETE") => Ok(Method::DELETE),
        Some(other) => Err(SpecError::new("method", other, EXPECTED)),
    }
}

fn read_headers(fields: &mut Fields<'_>) -> Result<HeaderMap, SpecError> {
    let texts: BTreeMap<String, String> = fields
        .take("headers", "an object of texts")?
        .unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in &texts {
        let (name, value) = read_header("headers", name, value)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// One header; CR, LF and NUL are refused, and so are headers that the host itself sets.
pub(super) fn read_header(
    field: &str,
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), SpecError> {
    let field = format!("{field}.{}", name.escape_debug());
    let parsed = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| SpecError::new(&field, "no header name", "a header name"))?;
    let is_ours = parsed.as_str().starts_with("webhook-") || parsed.as_str().starts_with("ce-");
    let is_connections = OutboundRequest::is_of_the_connection(&parsed);
    if is_ours || is_connections {
        return Err(SpecError::new(
            field,
            "a header that the host sets",
            "another header",
        ));
    }
    let value = HeaderValue::from_str(value)
        .map_err(|_| SpecError::new(field, "a line break or NUL", "one line of text"))?;
    Ok((parsed, value))
}

#[cfg(test)]
mod tests;
