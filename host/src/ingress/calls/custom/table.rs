//! The routes of the instance as this host knows them, with what each asks for prepared.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::proof::Proof;
use crate::model::Route;
use crate::store::{ServedRoute, Store, StoreError};

/// For so long the routes are used without a look at whether they were changed on another host.
const FRESH: Duration = Duration::from_secs(2);

/// A route that is served.
pub(super) struct Served {
    pub(super) route: Route,
    pub(super) proof: Proof,
}

/// All that are served, by the number of segments of their paths.
struct Known {
    /// Of the change that they are as of.
    number: i64,
    fixed: HashMap<usize, Vec<Arc<Served>>>,
    /// Those that end in `{*…}`.
    open: Vec<Arc<Served>>,
}

/// What a path was found to be.
pub(super) struct Fit {
    pub(super) served: Arc<Served>,
    pub(super) parameters: Vec<(String, String)>,
}

/// Memory only: read again when routes were changed.
pub(in crate::ingress::calls) struct Table {
    public_url: String,
    known: RwLock<Option<(Instant, Arc<Known>)>>,
}

impl Table {
    /// `public_url` is how callers reach this host, without a slash at its end.
    pub(in crate::ingress::calls) fn new(public_url: String) -> Table {
        Table {
            public_url,
            known: RwLock::default(),
        }
    }

    /// Something changed: the next request looks.
    pub(in crate::ingress::calls) fn forget(&self) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, held)) = known.take() {
            // Still good if the change was about something else, which the number tells.
            let long_ago = Instant::now().checked_sub(FRESH);
            *known = long_ago.map(|at| (at, held));
        }
    }

    /// The routes whose path fits, whatever their methods.
    pub(super) async fn fitting(
        &self,
        store: &Store,
        path: &[String],
    ) -> Result<Vec<Fit>, StoreError> {
        let known = self.current(store).await?;
        let fixed = known.fixed.get(&path.len()).into_iter().flatten();
        let fitting = fixed.chain(&known.open).filter_map(|served| {
            let parameters = served.route.content.path.fit(path)?;
            Some(Fit {
                served: Arc::clone(served),
                parameters,
            })
        });
        Ok(fitting.collect())
    }

    async fn current(&self, store: &Store) -> Result<Arc<Known>, StoreError> {
        let held = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((looked_at, known)) = &held
            && looked_at.elapsed() < FRESH
        {
            return Ok(Arc::clone(known));
        }
        let looked_at = Instant::now();
        let number = store.route_changes().await?;
        let known = match held {
            Some((_, known)) if known.number == number => known,
            _ => Arc::new(self.read(store.served_routes().await?, number)),
        };
        let mut place = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *place = Some((looked_at, Arc::clone(&known)));
        Ok(known)
    }

    fn read(&self, routes: Vec<ServedRoute>, number: i64) -> Known {
        let mut known = Known {
            number,
            fixed: HashMap::new(),
            open: Vec::new(),
        };
        for ServedRoute { route, secrets } in routes {
            let proof = Proof::prepare(&route, secrets.as_ref(), &self.public_url);
            let path = &route.content.path;
            let (is_open, length) = (path.is_open(), path.length());
            let served = Arc::new(Served { route, proof });
            match is_open {
                true => known.open.push(served),
                false => known.fixed.entry(length).or_default().push(served),
            }
        }
        known
    }
}
