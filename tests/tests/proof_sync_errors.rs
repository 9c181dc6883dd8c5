//! Is nothing acknowledged after a failed sync, and nothing that was lost brought back?
//!
//! A small share of what `proof --only G5` tries; see `factlog_tests::proof::sync_errors`.

use factlog_tests::proof::{Request, child as start, sync_errors};

/// What the suite starts again.
#[test]
fn child() {
    start();
}

#[test]
fn is_nothing_acknowledged_after_a_failed_sync() {
    let row = sync_errors::run(&Request { seed: 1, count: Some(48), quick: true });
    row.counts.iter().for_each(|count| println!("{count}"));
    row.skipped.iter().for_each(|why| println!("skipped: {why}"));
    assert!(row.holds, "{:?}", row.failure);
    assert!(row.tried >= 48, "{}", row.tried);
}
