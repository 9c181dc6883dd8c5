//! Do the fuzzed bodies hold for the corpus, and for what is near to it?
//!
//! Fuzzing at volume is done with the targets in `fuzz/`; this replays what stands in
//! `fuzz/corpus/`, changes it a little, and checks that what counts was reached.

use factlog_tests::Random;
use factlog_tests::fuzz::{self, BODIES, Body, CANARY, Reached};

/// Replays the corpus of a body, then so many changed inputs.
fn replay(name: &str, changed: u64) {
    let body = Body::named(name).expect("a body");
    let mut random = Random::from_environment(name);
    let corpus = fuzz::corpus(body).expect("a corpus");
    let bytes: usize = corpus.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(corpus.len() >= 4 && bytes < 256 << 10, "{} files, {bytes} bytes", corpus.len());
    let mut reached = Reached::new();
    for (file, bytes) in &corpus {
        if let Err(said) = body.guarded(bytes, &mut reached) {
            panic!("fuzz/corpus/{name}/{file}: {said}");
        }
    }
    println!("{name}: {} files, {reached}", corpus.len());
    let missing = body.missing(&reached);
    assert!(missing.is_empty(), "{name}: the corpus never reached {missing:?}: {reached}");
    for _ in 0..changed {
        let (file, bytes) = &corpus[random.below(corpus.len() as u64) as usize];
        let bytes = fuzz::changed(&mut random, bytes);
        if let Err(said) = body.guarded(&bytes, &mut reached) {
            panic!("changed from fuzz/corpus/{name}/{file}: {said}: {bytes:?}");
        }
    }
    println!("{name}: and {changed} changed ones: {reached}");
}

#[test]
fn has_each_segment_an_answer() {
    replay("segments", 100);
}

#[test]
fn has_each_changed_log_an_answer() {
    replay("changes", 150);
}

#[test]
fn is_the_log_what_the_model_says_after_any_operations() {
    replay("operations", 15);
}

#[test]
fn has_an_engine_over_each_changed_log_an_answer() {
    replay("engine", 60);
}

#[test]
fn has_each_archive_an_answer() {
    replay("archives", 3_000);
}

#[test]
fn has_each_file_beside_the_segments_an_answer() {
    replay("files", 100);
}

#[test]
fn do_the_decoders_have_an_answer() {
    replay("decoders", 1_000);
}

#[test]
fn has_each_word_of_leader_and_follower_an_answer() {
    replay("following", 60);
}

#[test]
fn has_each_body_a_target_and_a_corpus_that_can_be_made() {
    let root = factlog_tests::plants::root().expect("the repository");
    for body in BODIES.iter().chain([&CANARY]) {
        let target = root.join("fuzz/fuzz_targets").join(body.name).with_extension("rs");
        let text = std::fs::read_to_string(target).expect("a target");
        assert!(text.contains(&format!("fuzz::target(\"{}\", bytes)", body.name)), "{text}");
        assert!(body.seeds().iter().all(|(_, seed)| seed.len() <= body.longest), "{}", body.name);
    }
    for body in &BODIES {
        let corpus = fuzz::corpus(body).expect("a corpus");
        for (name, _) in body.seeds() {
            assert!(corpus.iter().any(|(file, _)| file == name), "{}/{name}", body.name);
        }
    }
}

#[test]
fn are_counts_read_as_they_are_written() {
    let mut reached = Reached::new();
    reached.count("frames", 3);
    reached.note("torn");
    reached.count("nothing", 0);
    assert_eq!(reached.to_string(), "frames=3 torn=1");
    assert_eq!(Reached::parse(&reached.to_string()), reached);
    assert_eq!(Reached::parse("frames=3 torn=x"), Reached::parse("frames=3"));
}
