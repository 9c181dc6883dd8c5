//! What factlog is compared with, one file each.

pub mod khata;
pub mod okaywal;
pub mod seglog;
pub mod sqlite;

use crate::subject::Subject;

/// Those of `--quick`, in the order in which they are measured.
pub const QUICK: [&str; 4] = ["khata-rs", "seglog", "okaywal", "sqlite"];

/// All of them, in the order in which they are measured.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![
        Box::new(khata::Khata { checked: true }),
        Box::new(khata::Khata { checked: false }),
        Box::new(seglog::Seglog),
        Box::new(okaywal::OkayWal),
        Box::new(sqlite::Sqlite),
    ]
}
