//! Many at once, shared by hosts.

use crate::fixture::{Fixture, on_both};
use crate::world::*;

on_both! {
    two_hosts_share_what_is_due_and_do_nothing_twice
}

async fn two_hosts_share_what_is_due_and_do_nothing_twice(fixture: Fixture) {
    let world = World::new(&fixture, channels());
    crowd(&fixture, 300).await;
    let (one, other) = (engine(&world), engine(&world));
    tokio::join!(work(&one), work(&other));
    tokio::join!(work(&one), work(&other));
    assert_eq!(world.count("create"), 300);
    assert_eq!(world.hooks().len(), 300);
    fixture.advance(18 * 3600);
    tokio::join!(work(&one), work(&other));
    tokio::join!(work(&one), work(&other));
    assert_eq!(world.count("create"), 600);
    assert_eq!(world.count("delete"), 300);
    assert_eq!(world.hooks().len(), 300);
}
