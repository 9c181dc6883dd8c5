//! Is damage below a durable witness detected, never served, never repaired by dropping?
//!
//! A small share of what `proof --only G4` tries; see `factlog_tests::proof::damage`.

use factlog_tests::proof::{Request, damage};

#[test]
fn is_damage_below_a_witness_detected() {
    let row = damage::run(&Request { seed: 1, count: Some(600), quick: true });
    row.counts.iter().for_each(|count| println!("{count}"));
    assert!(row.holds, "{:?}", row.failure);
    assert!(row.tried > 1_000, "{}", row.tried);
    assert_eq!(row.skipped, None);
}
