//! The operations by name: JSON in, JSON out. A new one changes nothing of the boundary.

use serde::{Deserialize, Serialize};

use super::{Export, ExportedPlugin, PullMode};
use crate::messages::{OwnedRequest, SubscriptionSpec};
use crate::provider::{Provider, SubscriptionConstructor};
use crate::samples::SampleOptions;
use crate::{Error, Result};

#[derive(Deserialize)]
struct SampleOf {
    event: String,
    #[serde(flatten)]
    options: SampleOptions,
}

#[derive(Deserialize)]
struct Unsigned {
    subscription: SubscriptionSpec,
    request: OwnedRequest,
}

/// How the host names the call, so that it knows its services' callers.
#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    context: Option<String>,
}

/// Answers one operation.
pub(super) async fn answer<E: Export>(
    plugin: &ExportedPlugin<E>,
    op: &str,
    json: &[u8],
) -> Result<Vec<u8>> {
    let provider = &plugin.provider;
    // A host that names no context is one from before it existed.
    let scoped = serde_json::from_slice::<Context>(json)
        .ok()
        .and_then(|named| named.context)
        .map(|context| plugin.host.within(&context));
    let host = scoped.as_ref().unwrap_or(&plugin.host);
    match op {
        "describe" => write(op, &provider.declared().describe()),
        "sample" => {
            let SampleOf { event, options } = read(op, json)?;
            write(op, &provider.declared().sample_with(&event, &options)?)
        }
        "sign" => {
            let Unsigned {
                subscription,
                request,
            } = read(op, json)?;
            let subscription = provider.declared().open_subscription(subscription)?;
            write(
                op,
                &provider
                    .declared()
                    .sign(&subscription, &request.as_request())?,
            )
        }
        "validate_subscription" => write(
            op,
            &provider.declared().validate_subscription(&read(op, json)?),
        ),
        "validate_credentials" => write(
            op,
            &provider
                .validate_credentials(host, &read(op, json)?)
                .await?,
        ),
        "create" => write(op, &provider.create(host, &read(op, json)?).await?),
        "update" => write(op, &provider.update(host, &read(op, json)?).await?),
        "delete" => write(op, &provider.delete(host, &read(op, json)?).await?),
        "refresh" => write(op, &provider.refresh(host, &read(op, json)?).await?),
        "test" => write(op, &provider.test(host, &read(op, json)?).await?),
        "check" => write(op, &provider.check(host, &read(op, json)?).await?),
        "list" => write(op, &provider.list(host, &read(op, json)?).await?),
        "parameter_options" => write(
            op,
            &provider.parameter_options(host, &read(op, json)?).await?,
        ),
        "pull" => write(op, &E::Pull::pull(provider, host, &read(op, json)?).await?),
        _ => Err(Error::unsupported(format!(
            "this provider does not know the operation `{op}`"
        ))),
    }
}

/// The JSON is not quoted in the error: it holds secrets.
fn read<T: for<'de> Deserialize<'de>>(op: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Error::invalid_input(format!("the input of `{op}` is not the JSON it should be"))
            .with_detail(place)
    })
}

fn write<T: Serialize>(op: &str, answer: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(answer).map_err(|error| {
        Error::internal(format!("the answer of `{op}` cannot be written"))
            .with_detail(error.to_string())
    })
}
