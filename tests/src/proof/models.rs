//! G8: readers never see part of a transaction, or a watermark go back.
//!
//! The models try every interleaving of production code, up to a bound; the stress program tries
//! what models do not see: the real queue, the real fences, the real processor.

use std::time::Duration;

use super::{Request, Row};
use crate::models::Models;
use crate::stress::{come_and_go, ping_pong};

/// All interleavings of the models; those that were tried are counted.
pub fn interleavings(_: &Request) -> Row {
    eprintln!("models: they are built for loom first");
    let ran = Models::make("models").and_then(|models| models.run(""));
    let (ran, failure) = match ran {
        Ok(ran) if ran.models == 0 => (ran, Some("no model ran".to_owned())),
        Ok(ran) => {
            let failure = ran.failure.clone();
            (ran, failure)
        }
        Err(error) => (Default::default(), Some(error)),
    };
    Row {
        holds: failure.is_none(),
        tried: ran.executions,
        counts: vec![format!("{} models, {} interleavings", ran.models, ran.executions)],
        failure,
        ..Row::default()
    }
}

/// Builds the models. What does not build is told by whoever needs it.
pub fn build_ahead() {
    drop(Models::make("models"));
}

/// A log under load; `count` is how many seconds.
pub fn stress(request: &Request) -> Row {
    let each = Duration::from_secs(request.times(16, 600)) / 2;
    eprintln!("stress: twice {} s", each.as_secs_f64());
    let mut counts = come_and_go(request.seed, each);
    counts.extend(ping_pong(each, None));
    Row { holds: true, counts, ..Row::default() }
}
