//! Is the log, after any sequence of operations, what a simple model says?
//!
//! Method: random operations are done to both, see `factlog_tests::model`. A failing sequence is
//! made small by proptest, and printed with its seed.

use factlog_tests::Random;
use factlog_tests::model::{Draft, Operation, live};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestRng, TestRunner};

fn draft() -> impl Strategy<Value = Draft> {
    let size = prop_oneof![4 => 0..200_usize, 2 => 0..5_000_usize, 1 => 200_000..600_000_usize];
    let off_by = prop_oneof![2 => Just(None), 3 => Just(Some(0)), 1 => (1..3_u64).prop_map(Some)];
    (0..3_usize, size, prop::option::of(0..4_u64), off_by, any::<bool>(), 0..100_usize).prop_map(
        |(of_type, size, stream, off_by, caused, metadata)| Draft {
            of_type,
            size,
            stream,
            off_by,
            caused,
            metadata,
        },
    )
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => draft().prop_map(Operation::Append),
        6 => (prop::collection::vec(draft(), 0..12), prop::bool::weighted(0.8))
            .prop_map(|(drafts, commit)| Operation::Transaction { drafts, commit }),
        1 => Just(Operation::Sync),
        1 => Just(Operation::Close),
        1 => Just(Operation::Drop),
        1 => Just(Operation::Crash),
        1 => (any::<u32>(), prop_oneof![Just(0), any::<u8>()])
            .prop_map(|(at, filler)| Operation::Cut { at, filler }),
    ]
}

#[test]
fn is_the_log_what_the_model_says() {
    let seed = Random::from_environment("model").next();
    let config = Config {
        cases: if cfg!(debug_assertions) { 24 } else { 200 },
        failure_persistence: None,
        max_shrink_iters: 400,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let operations = prop::collection::vec(operation(), 1..60);
    let result = runner.run(&operations, |operations| {
        live(&operations);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
