//! What somebody began with, for people.

use std::fmt;

use super::snapshot::Restart;
use crate::log::counted;

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.snapshot {
            Some(sequence) => write!(f, "began with the snapshot as of event {sequence}")?,
            None => write!(f, "began without a snapshot")?,
        }
        write!(f, ", {} folded", counted(self.folded, "event"))?;
        for one in &self.passed_over {
            write!(f, "; {one}")?;
        }
        Ok(())
    }
}
