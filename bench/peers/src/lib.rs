//! factlog beside other logs and stores, and beside the limits of the machine.
//!
//! Each figure comes from a process of its own: the program starts itself once for each, all
//! subjects in turn, several times over, and gives the median with the least and the greatest.
//!
//! - `args`: the command line; `row`: what is measured
//! - `subject`: what each log must do; `ours`, `peers`, `limits`: those that do it
//! - `payload`, `measure`: the same bytes for all, and the clock
//! - `child`: one measurement; `run`: all of them, in turn
//! - `machine`, `statistics`, `report`: what is printed and written

pub mod args;
pub mod child;
pub mod limits;
pub mod machine;
pub mod measure;
pub mod ours;
pub mod payload;
pub mod peers;
pub mod report;
pub mod row;
pub mod run;
pub mod statistics;
pub mod subject;
