//! Providers: from files in two folders to libraries that serve.
//!
//! ```text
//!  plugins/*.so ──► library_file ──► probe ──► load ──► live ──► registry ──► ingress, events, api
//!                   runs nothing     child     copy,    calls,   who serves
//!  manifests/*.yaml ► manifest                 dlopen   counted
//!                        └────────── reconcile: one pass a second ──────────┘
//! ```
//!
//! Promises: a file that is refused leaves the older load serving and says why; a swap takes
//! nothing away from calls in flight; a library is loaded only after a child process survived it,
//! from a private copy of the very bytes that were checked; a folder that cannot be looked at takes
//! nothing away; what may pass is tried again, ever more rarely; a provider that panics five times
//! within a minute is left alone. Not promised: memory of replaced libraries is not given back,
//! and a library in this process that crashes or loops after its probe takes the host with it:
//! in-process libraries are trusted as much as the host.

pub mod manifest;

pub mod auth;

mod regular;

pub mod library_file;

mod named_files;

pub mod probe;

pub mod scope;

pub mod services;

pub mod facts;

pub mod sync_facts;

mod health;

pub mod live;

pub mod load;

mod seen;

mod sound;

mod watch;

mod reconcile;

pub mod registry;

pub use auth::AuthFacts;
pub use library_file::{LibraryFile, Refusal};
pub use live::LiveProvider;
pub use named_files::check_files_of;
pub use registry::{Folders, Found, ProviderRow, ProviderState, Registry};
pub use scope::CallScope;
