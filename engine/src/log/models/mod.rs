//! Models of the concurrency, for loom: the production code, with every interleaving tried (as far
//! as the bound on preemptions goes).
//!
//! Bytes of the log are tracked cells, so that a look at what is not published yet is found out.
//! Each model has planted bugs that it must find, in `tests/models/`;
//! `cargo run -p factlog-tests --bin models` runs it all.

mod durability;
mod publication;
mod retention;
mod submission;
mod waiting;

use crate::sync::Arc;
use crate::sync::atomic::Ordering;
use crate::sync::model::{Builder, Count};

/// Tries all interleavings of `model` with at most `preemptions` of them forced, and says how
/// many there were.
fn check(name: &str, preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let executions = Arc::new(Count::new(0));
    let count = Arc::clone(&executions);
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let executions = executions.load(Ordering::Relaxed);
    assert!(executions > 10, "the model {name} has nothing to interleave");
    println!("model {name}: {executions} executions");
}
