//! Fuzzing without a fuzzer: the corpus, changed at random, in ordinary code.

use std::time::{Duration, Instant};

use super::{Failure, Kind, Row, Run};
use crate::Random;
use crate::fuzz::{Body, CANARY, Canary, changed, corpus};

/// Changes inputs of the corpus for so many seconds.
pub(super) fn fuzz(body: &'static Body, seconds: u64, seed: u64) -> Run {
    let mut run = Run::default();
    let corpus = match corpus(body) {
        Ok(corpus) if !corpus.is_empty() => corpus,
        Ok(_) => vec![(String::new(), Vec::new())],
        Err(said) => {
            run.failure = Some(Failure { kind: Kind::Other, said });
            return run;
        }
    };
    let inputs = corpus.into_iter().map(|(_, bytes)| bytes).collect();
    drive(body, inputs, Duration::from_secs(seconds), seed, &mut run);
    run
}

fn drive(body: &'static Body, mut inputs: Vec<Vec<u8>>, time: Duration, seed: u64, run: &mut Run) {
    let mut random = Random::new(seed);
    let begun = Instant::now();
    let first = inputs.len();
    loop {
        let nth = run.tried as usize;
        let bytes = if nth < first {
            inputs[nth].clone()
        } else {
            let from = &inputs[random.below(inputs.len() as u64) as usize];
            changed(&mut random, from)
        };
        run.tried += 1;
        let before = run.reached.to_string();
        if let Err(said) = body.guarded(&bytes, &mut run.reached) {
            let said = format!("{said}; input {nth} of seed {seed}: {bytes:?}");
            run.failure = Some(Failure { kind: Kind::Crash, said });
            return;
        }
        // What has reached something is changed further.
        if inputs.len() < 4 * first && before != run.reached.to_string() {
            inputs.push(bytes);
        }
        if nth >= first && begun.elapsed() >= time {
            return;
        }
    }
}

/// A canary that can be found by chance.
pub(super) fn canaries(seed: u64, row: &mut Row) {
    let mut run = Run::default();
    let inputs = CANARY.seeds().into_iter().map(|(_, bytes)| bytes).collect();
    Canary::ask(Some(Canary::Shallow));
    drive(&CANARY, inputs, Duration::from_secs(20), seed, &mut run);
    Canary::ask(None);
    match run.failure {
        Some(_) => {
            row.canaries = 1;
            row.counts.push(format!("1 of 1 canaries found, after {} inputs", run.tried));
        }
        None => row.failure = Some(format!("no canary was found in {} inputs", run.tried)),
    }
}
