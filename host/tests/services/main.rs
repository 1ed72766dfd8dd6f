//! Whole hosts with real provider libraries, beside services that are held to their descriptions:
//! accounts are connected as a person does it, subscriptions made, kept and ended.

#[path = "../harness/mod.rs"]
mod harness;
mod world;

mod callbacks;
mod connecting;
mod kills;
mod life;
mod operator;
