//! Is the past as it was: as of any event and any time, of one instance and of all?
//!
//! The oracle folds from zero, by code of its own.

mod changes;
mod cut;
mod damage;
mod long;
mod points;
mod steps;
mod why;
mod world;
