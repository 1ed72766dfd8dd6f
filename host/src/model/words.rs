//! States and kinds: the closed sets of words that stand in text columns and in the API.

use std::fmt;
use std::str::FromStr;

/// A word that is not in its set.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown {kind} `{found}`, expected one of {allowed}")]
pub struct UnknownWord {
    kind: &'static str,
    found: String,
    allowed: &'static str,
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident $kind:literal {
        $($(#[$variant_doc:meta])* $variant:ident $text:literal,)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every word of the set.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The word as it is stored and printed.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($text => Ok($name::$variant),)*
                    _ => Err(UnknownWord {
                        kind: $kind,
                        found: text.chars().take(40).collect(),
                        allowed: concat!($("`", $text, "` ",)*).trim_ascii_end(),
                    }),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

words! {
    /// What a token may do.
    Scope "scope" {
        /// Everything.
        Admin "admin",
        /// Look at things.
        Read "read",
        /// Create, change and delete subscriptions, runnables and triggers.
        Apply "apply",
        /// Start, replay and cancel jobs.
        Run "run",
        /// Send a signed sample request to a subscription.
        Send "send",
    }

    /// Who registered the address at the service.
    SubscriptionMode "subscription mode" {
        /// Someone else did.
        Manual "manual",
        /// This host did.
        Managed "managed",
    }

    /// How a subscription is.
    SubscriptionState "subscription state" {
        /// Not yet made at the service.
        Pending "pending",
        /// It works as far as we know.
        Active "active",
        /// It is there, but something is wrong; see the reason.
        Degraded "degraded",
        /// Switched off by an operator.
        Paused "paused",
    }

    /// What a check does about a registration that the service does not know any more.
    OnMissing "policy for what is missing" {
        /// It is made again.
        Recreate "recreate",
        /// It is said, and left to the operator.
        Report "report",
    }

    /// What a check does about a registration that differs from what is wanted.
    OnDrift "policy for drift" {
        /// The service is given what is wanted.
        Repair "repair",
        /// What the service holds is wanted from now on.
        Adopt "adopt",
        /// It is said, and left to the operator.
        Report "report",
    }

    /// How far a registration is.
    RegistrationState "registration state" {
        /// Committed before the service is called.
        Making "making",
        /// It is the one.
        Live "live",
        /// It has a successor and is to be ended.
        Old "old",
        /// Nobody knows whether it was made; it is to be ended.
        Lost "lost",
    }

    /// What is done next to keep a subscription alive.
    SyncAction "sync action" {
        /// Make it at the service.
        Make "make",
        /// Give the service what is wanted by now.
        Update "update",
        /// Renew its lease.
        Renew "renew",
        /// End what has a successor or was lost.
        Retire "retire",
        /// Compare what the service holds with what we hold.
        Check "check",
        /// Read changes.
        Pull "pull",
        /// End it at the service, and then here.
        Delete "delete",
        /// Wait for its credential to be renewed by an operator.
        Reconnect "reconnect",
    }

    /// How a credential came to be.
    CredentialKind "credential kind" {
        /// A person agreed at the service.
        Oauth "oauth",
        /// Someone filled in the fields that the provider declares.
        ApiKey "api-key",
    }

    /// Whether a credential can be used.
    CredentialState "credential state" {
        /// It can, as far as we know.
        Active "active",
        /// The service refuses it for good; see the reason.
        NeedsReconnect "needs_reconnect",
    }

    /// How far the connecting of an account is.
    ConnectPhase "connecting phase" {
        /// Nobody opened the address yet.
        Waiting "waiting",
        /// A browser is at the service.
        Started "started",
        /// The browser came back; the service is asked for tokens.
        Exchanging "exchanging",
        /// The account is connected.
        Done "done",
        /// It is not; see the reason.
        Failed "failed",
    }

    /// What becomes of the times of a schedule at which it could not be run.
    Missed "policy for missed runs" {
        /// Nothing.
        Skip "skip",
        /// One run makes up for all of them.
        Once "once",
        /// Each is made up for.
        All "all",
    }

    /// Whether a runnable's jobs are run.
    RunnableState "runnable state" {
        /// They are.
        Enabled "enabled",
        /// They wait; see the reason.
        Disabled "disabled",
    }

    /// How a version is run.
    RunnableKind "runnable kind" {
        /// A program.
        Command "command",
        /// An HTTP target.
        Http "http",
        /// A subject of a NATS server.
        Nats "nats",
        /// Steps, each of which runs a runnable.
        Flow "flow",
    }

    /// How a runnable is called.
    CallKind "kind of call" {
        /// As a runnable of one step.
        Runnable "runnable",
        /// As a flow.
        Flow "flow",
    }

    /// Whose jobs an error handler is told of; the first that there is is told.
    HandlerScope "scope of an error handler" {
        /// Those that a trigger made.
        Trigger "trigger",
        /// Those of a runnable.
        Runnable "runnable",
        /// All of a workspace.
        Workspace "workspace",
    }

    /// What became of a request.
    RequestOutcome "request outcome" {
        /// It was genuine and its events are in the log.
        Accepted "accepted",
        /// It carried a delivery id that was seen before.
        Duplicate "duplicate",
        /// It was not genuine or not readable; see the reason.
        Refused "refused",
        /// It was answered and carries no event: a ping, a challenge.
        Answered "answered",
    }

    /// How far an event is.
    EventState "event state" {
        /// Not yet matched.
        Pending "pending",
        /// Its jobs exist, or nothing matched.
        Handled "handled",
        /// Matching was given up; see the reason.
        Failed "failed",
    }

    /// Why a job exists.
    JobCause "job cause" {
        /// An event fired a trigger.
        Event "event",
        /// A generic webhook.
        Webhook "webhook",
        /// A schedule.
        Schedule "schedule",
        /// Someone ran an earlier job again.
        Replay "replay",
        /// Someone tried the runnable.
        Test "test",
        /// It is a step of a flow.
        Flow "flow",
        /// Another job was given up.
        Error "error",
    }

    /// How far a job is.
    JobState "job state" {
        /// It waits for its time and for a free place.
        Ready "ready",
        /// A host holds its lease.
        Running "running",
        /// A flow whose steps run.
        Waiting "waiting",
        /// It worked.
        Done "done",
        /// It was given up; see the error.
        Dead "dead",
        /// Someone cancelled it.
        Cancelled "cancelled",
    }

    /// How an attempt ended.
    AttemptOutcome "attempt outcome" {
        /// It worked.
        Ok "ok",
        /// It ran and said no.
        Failed "failed",
        /// It took too long and was stopped.
        Timeout "timeout",
        /// It was not started: an egress rule, a program outside the allowed folders.
        Refused "refused",
        /// The host that ran it went away.
        Lost "lost",
        /// Someone cancelled its job, and it was stopped.
        Cancelled "cancelled",
    }
}

impl JobState {
    /// Whether nothing more will happen to such a job.
    pub fn is_final(self) -> bool {
        matches!(self, JobState::Done | JobState::Dead | JobState::Cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
    }

    #[test]
    fn an_unknown_word_names_what_is_allowed() {
        let error = "idle".parse::<RunnableState>().expect_err("not a state");
        assert_eq!(
            error.to_string(),
            "unknown runnable state `idle`, expected one of `enabled` `disabled`"
        );
    }
}
