//! Is a full disk an error before the event is accepted, on every file system?
//!
//! A small share of what `proof --only G6` tries; see `factlog_tests::proof::full_disk`. Needs root;
//! says so and passes where it is not.

use factlog_tests::proof::{Request, child as start, full_disk};

/// What the suite starts again.
#[test]
fn child() {
    start();
}

#[test]
fn is_a_full_disk_an_error_before_the_event_is_accepted() {
    let row = full_disk::run(&Request { seed: 1, count: Some(4), quick: true });
    row.counts.iter().for_each(|count| println!("{count}"));
    row.skipped.iter().for_each(|why| println!("skipped: {why}"));
    assert!(row.holds, "{:?}", row.failure);
    assert!(row.tried >= 20 || row.skipped.is_some(), "{}", row.tried);
}
