//! What differs, told as RFC 6902 has it.

use std::fmt;

use super::json::quote;

/// One operation of a [`Patch`]. Paths are JSON Pointers (RFC 6901); values are JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something is there that was not.
    Add {
        /// Where; in an array, before what stands there.
        path: String,
        /// What.
        value: String,
    },
    /// Something is no longer there.
    Remove {
        /// Where.
        path: String,
    },
    /// Something is another one.
    Replace {
        /// Where.
        path: String,
        /// What it is now.
        value: String,
    },
}

impl Change {
    /// Where something has changed.
    pub fn path(&self) -> &str {
        match self {
            Self::Add { path, .. } | Self::Remove { path } | Self::Replace { path, .. } => path,
        }
    }

    /// What is there now, as JSON.
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Add { value, .. } | Self::Replace { value, .. } => Some(value),
            Self::Remove { .. } => None,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self {
            Self::Add { .. } => "add",
            Self::Remove { .. } => "remove",
            Self::Replace { .. } => "replace",
        };
        let mut path = String::new();
        quote(self.path(), &mut path);
        write!(f, "{{\"op\":\"{op}\",\"path\":{path}")?;
        if let Some(value) = self.value() {
            write!(f, ",\"value\":{value}")?;
        }
        write!(f, "}}")
    }
}

/// What differs between two states: applied to the JSON of the first, one change after the other, it
/// gives that of the second. It is shown as RFC 6902 has it, in one line.
///
/// It is a patch that does, not always the shortest: lists are compared from both ends, and what
/// is left between element by element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub(super) changes: Vec<Change>,
}

impl Patch {
    /// The changes, in the order in which they are to be applied.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl IntoIterator for Patch {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.changes.into_iter()
    }
}

impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[")?;
        for (number, change) in self.changes.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{change}")?;
        }
        write!(f, "]")
    }
}
