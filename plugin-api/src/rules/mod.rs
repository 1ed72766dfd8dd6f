//! The declared rules, compiled.

/// What the rules prepare of a subscription.
pub struct PreparedSubscription;

/// What the rules compile of a trigger.
pub struct PreparedTrigger;
