//! Is everything that a reader could have seen there after `kill -9`?
//!
//! A small share of what `proof --only G1` tries; see `factlog_tests::proof::kills`.
#![cfg(target_os = "linux")]

use factlog_tests::Random;
use factlog_tests::proof::{Request, child as start, kills};

/// What the suite starts again.
#[test]
fn child() {
    start();
}

#[test]
fn is_all_that_was_seen_there_after_kills_at_random() {
    let seed = Random::from_environment("kills").next();
    let row = kills::at_random(&Request { seed, count: Some(120), quick: true });
    row.counts.iter().for_each(|count| println!("{count}"));
    assert!(row.holds, "{:?}", row.failure);
    assert_eq!(row.tried, 120);
}

#[test]
fn is_it_there_after_kills_at_calls_and_in_writes() {
    let row = kills::at_every_call(&Request { seed: 1, count: Some(100), quick: true });
    row.counts.iter().for_each(|count| println!("{count}"));
    row.skipped.iter().for_each(|why| println!("skipped: {why}"));
    assert!(row.holds, "{:?}", row.failure);
    assert!(row.tried >= 15, "{}", row.tried);
}
