//! A host that dies between any two steps: whatever was cut off, the next one leaves exactly one
//! thing at the service, and it is ours.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde_json::json;
use triggerd::id::SubscriptionId;
use triggerd::model::*;

use crate::fixture::{Fixture, on_both};
use crate::world::*;

/// A future that is dropped when it has waited so often: at a call's beginning or end, before or
/// after a commit, anywhere.
struct CutOff<F>(Option<Pin<Box<F>>>, usize);

impl<F: Future> Future for CutOff<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.0.as_mut() else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if self.1 == 0 {
            self.0 = None;
            return Poll::Ready(None);
        }
        self.1 -= 1;
        Poll::Pending
    }
}

/// Runs once, cut off after so many waits. Whether it came to its end.
async fn run_cut_off(world: &World, id: &SubscriptionId, waits: usize) -> bool {
    let engine = engine(world);
    let run = async move { engine.run_now(id).await };
    CutOff(Some(Box::pin(run)), waits).await.is_some()
}

/// After how many waits the next run is cut off. How often a run waits differs, since what it waits
/// for may be there already: one that comes to its end early proves nothing, and all begins anew.
#[derive(Default)]
struct Cuts {
    waits: usize,
    made: usize,
    runs: usize,
}

impl Cuts {
    /// Whether every wait was cut off, at least so many in all.
    fn are_all_made(&mut self, has_ended: bool, least: usize) -> bool {
        self.runs += 1;
        assert!(self.runs < 100, "there is something to be cut off");
        match has_ended {
            true if self.made >= least => return true,
            true => self.waits = 0,
            false => {
                self.waits += 1;
                self.made += 1;
            }
        }
        false
    }
}

/// Another host, when the lease is over.
async fn recover(fixture: &Fixture, world: &World) {
    // A write that was under way may still come to its end.
    fixture.store.ping().await.expect("it answers");
    fixture.advance(700);
    let engine = engine(world);
    work(&engine).await;
    fixture.advance(700);
    work(&engine).await;
}

async fn check(
    fixture: Fixture,
    prepare: impl AsyncFn(&Fixture, &World, &SubscriptionId),
    (is_there, is_deleted): (bool, bool),
) {
    let mut cuts = Cuts::default();
    loop {
        let waits = cuts.waits;
        let world = World::new(&fixture, channels());
        let name = format!("s{}", cuts.runs);
        let id = subscribe(&fixture, &name, json!({})).await;
        prepare(&fixture, &world, &id).await;
        let ended = run_cut_off(&world, &id, waits).await;
        let hooks = world.hooks().len();
        recover(&fixture, &world).await;
        if is_deleted {
            assert!(
                world.hooks().is_empty(),
                "cut off after {waits} waits: {:?}",
                world.lock().journal
            );
            let row = fixture.store.subscription_upkeep(&id).await.expect("read");
            assert!(row.is_none(), "cut off after {waits} waits");
        } else {
            let least = usize::from(is_there);
            assert!(
                (least..=2).contains(&hooks),
                "cut off after {waits} waits there are {hooks}: {:?}",
                world.lock().journal
            );
            assert_one_and_the_same(&fixture, &world, &id).await;
            assert_eq!(state(&fixture, &id).await.0, SubscriptionState::Active);
            fixture
                .apply(vec![Change::ForceDeleteSubscription(id)])
                .await;
        }
        if cuts.are_all_made(ended, 4) {
            break;
        }
    }
}

async fn active(_: &Fixture, world: &World, id: &SubscriptionId) {
    engine(world).run_now(id).await.expect("made");
}

macro_rules! on_each {
    ($($name:ident: $prepare:expr, $expected:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn on_sqlite() {
                check(Fixture::sqlite().await, $prepare, $expected).await;
            }

            #[tokio::test]
            async fn on_postgres() {
                check(Fixture::postgres().await, $prepare, $expected).await;
            }
        }
    )*};
}

/// Events and cursor are kept together: none is told twice, none is left out.
async fn a_pull_that_is_cut_off_anywhere_tells_each_change_once(fixture: Fixture) {
    let mut cuts = Cuts::default();
    loop {
        let waits = cuts.waits;
        let world = World::new(&fixture, channels());
        let name = format!("s{}", cuts.runs);
        let id = subscribe(&fixture, &name, json!({})).await;
        work(&engine(&world)).await;
        {
            let mut state = world.lock();
            state.page = 2;
            state.nameless = true;
            state.changes = (0..5).map(|number| format!("change {number}")).collect();
        }
        let poked = fixture
            .store
            .poke_subscription(&id, Poke::Everything, fixture.now());
        poked.await.expect("poked");
        let ended = run_cut_off(&world, &id, waits).await;
        recover(&fixture, &world).await;
        let filter = EventFilter {
            subscription_id: Some(id.clone()),
            name: Some("change".to_owned()),
            ..EventFilter::default()
        };
        let page = PageQuery::first(100);
        let told = fixture
            .store
            .list_events(&fixture.workspace, &filter, &page)
            .await;
        assert_eq!(
            told.expect("read").items.len(),
            5,
            "cut off after {waits} waits: {:?}",
            world.lock().journal
        );
        fixture
            .apply(vec![Change::ForceDeleteSubscription(id)])
            .await;
        if cuts.are_all_made(ended, 6) {
            break;
        }
    }
}

on_both! {
    a_pull_that_is_cut_off_anywhere_tells_each_change_once
}

/// Whether a hook is there throughout, and whether it is gone at the end.
const MADE: (bool, bool) = (false, false);
const KEPT: (bool, bool) = (true, false);
const ENDED: (bool, bool) = (false, true);

on_each! {
    a_making_that_is_cut_off_anywhere_leaves_one: async |_: &Fixture, _: &World, _: &SubscriptionId| {}, MADE;
    a_renewal_that_is_cut_off_anywhere_leaves_one: async |fixture: &Fixture, world: &World, id: &SubscriptionId| {
        active(fixture, world, id).await;
        fixture.advance(18 * 3600);
    }, KEPT;
    an_update_that_is_cut_off_anywhere_leaves_one: async |fixture: &Fixture, world: &World, id: &SubscriptionId| {
        active(fixture, world, id).await;
        change_parameters(fixture, id, json!({ "deep": true })).await;
    }, KEPT;
    a_change_of_credential_that_is_cut_off_anywhere_leaves_one: async |fixture: &Fixture, world: &World, id: &SubscriptionId| {
        let name = |which: &str| format!("{which}-{id}");
        let first = credential(fixture, &name("first"), None).await;
        let second = credential(fixture, &name("second"), None).await;
        give(fixture, id, &first).await;
        active(fixture, world, id).await;
        world.lock().hides_from_others = true;
        give(fixture, id, &second).await;
    }, KEPT;
    an_end_that_is_cut_off_anywhere_leaves_nothing: async |fixture: &Fixture, world: &World, id: &SubscriptionId| {
        active(fixture, world, id).await;
        fixture.apply(vec![Change::DeleteSubscription(id.clone())]).await;
    }, ENDED;
}
