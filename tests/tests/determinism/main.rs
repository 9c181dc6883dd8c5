//! Do recorded commands come out as they had, and is it found when they do not?
//!
//! Goal: a report that says what was decided again, what came out otherwise, and where first; and that
//! never takes for good what was not looked at.
//!
//! Method: a shop of accounts with transfers over two instances. Its bugs are switched on by hand, one
//! thread at a time: a decision that reads a clock, one that goes by the order of a hash table, a rule
//! that has changed. Without one everything must come out as it had, over random histories with
//! refusals, panics, duplicates, reopenings; with one the first difference must be the command that a
//! model names.

mod differences;
mod drift;
mod support;
mod unchecked;
