//! What factlog is compared with, one file each.

pub mod commitlog;
pub mod fjall;
pub mod khata;
pub mod lmdb;
pub mod okaywal;
pub mod raft_engine;
pub mod redb;
pub mod seglog;
pub mod sqlite;
pub mod umadb;

use crate::subject::Subject;

/// Those of `--quick`, in the order in which they are measured.
pub const QUICK: [&str; 4] = ["khata-rs", "seglog", "okaywal", "sqlite"];

/// All of them, in the order in which they are measured.
pub fn all() -> Vec<Box<dyn Subject>> {
    vec![
        Box::new(khata::Khata { checked: true }),
        Box::new(khata::Khata { checked: false }),
        Box::new(seglog::Seglog),
        Box::new(commitlog::Commitlog),
        Box::new(okaywal::OkayWal),
        Box::new(raft_engine::RaftEngine),
        Box::new(redb::Redb),
        Box::new(fjall::Fjall),
        Box::new(lmdb::Lmdb),
        Box::new(sqlite::Sqlite),
        Box::new(umadb::Umadb),
    ]
}
