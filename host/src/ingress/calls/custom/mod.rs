//! Routes: addresses of a workspace's own under `/hooks/`.
//!
//! ```text
//!  ANY /hooks/…  body within limit and time? ─no─► 413, 408
//!    a route with this path and method? ─no─► 401 ┐ at the same beat, in the same words
//!    its proof holds? ─no─► 401 and a row         ┘
//!    a challenge? ─yes─► its answer
//!    a preprocessor? ─► its job's result is the arguments; or it answers by itself
//!    commit as for every call ─► the job's id, the route's own answer, or the job's result
//! ```
//!
//! - `table`: the routes as this host knows them; `proof`: what each asks for.
//! - `serve`: one request; `shaping`: by a preprocessor; `cors`: what pages of other origins may do.
//!
//! Promises: a stranger does not learn by the answer or its time whether there is a route, but for
//! one that lets everyone in or names origins; 2xx only after the commit; what proves the caller is
//! handed to nobody and stands in no log. Not promised: that a route changed on another host is
//! known here within less than two seconds.

mod cors;
mod proof;
pub(super) mod serve;
mod shaping;
mod table;

pub(super) use table::Table;
