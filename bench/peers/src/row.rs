//! What is measured: an operation, so many events a call, of so many bytes.

use std::fmt;

/// Sizes of events that are measured, in bytes.
pub const SIZES: [usize; 3] = [64, 256, 1024];

/// Bytes of payload in a log that is replayed or opened.
pub const FILLED: u64 = 256 << 20;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Events are appended; nobody waits for the disk.
    Append,
    /// Events are appended, and each commit is on the disk before the next begins.
    Durable,
    /// A log that stands in the page cache is read from its beginning, by a new process.
    Replay,
    /// A log that was closed is opened for writing.
    Open,
    /// A log is written for `Replay` and `Open`: no figure.
    Fill,
}

impl Operation {
    const ALL: [(Self, &str); 5] = [
        (Self::Append, "append"),
        (Self::Durable, "durable"),
        (Self::Replay, "replay"),
        (Self::Open, "open"),
        (Self::Fill, "fill"),
    ];

    /// Its name on the command line and in the names of rows.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(operation, _)| *operation == self).map_or("", |(_, name)| name)
    }

    /// The operation of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(operation, _)| *operation)
    }
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What is done.
    pub operation: Operation,
    /// Events in one call or one commit.
    pub batch: usize,
    /// Bytes of an event's payload.
    pub size: usize,
}

impl Row {
    /// The rows for events of `size` bytes.
    pub fn of_size(size: usize) -> [Self; 6] {
        use Operation::{Append, Durable, Open, Replay};
        let kinds = [(Append, 1), (Append, 64), (Durable, 64), (Durable, 1024)];
        let [one, many, small, large] =
            kinds.map(|(operation, batch)| Self { operation, batch, size });
        let [replay, open] = [Replay, Open].map(|operation| Self { operation, batch: 64, size });
        [one, many, small, large, replay, open]
    }

    /// What its figures count in a second.
    pub fn unit(self) -> &'static str {
        if self.operation == Operation::Open { "opens/s" } else { "events/s" }
    }

    /// Whether each commit is on the disk before the next begins.
    pub fn synced(self) -> bool {
        self.operation == Operation::Durable
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, batch, size } = self;
        match operation {
            Operation::Append | Operation::Durable => {
                write!(f, "{}-{batch}-of-{size}", operation.name())
            }
            Operation::Open if *size == SIZES[0] => f.write_str("open"),
            _ => write!(f, "{}-of-{size}", operation.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_rows_named_as_the_files_of_results_name_them() {
        let names = Row::of_size(64).map(|row| row.to_string());
        let expected = [
            "append-1-of-64",
            "append-64-of-64",
            "durable-64-of-64",
            "durable-1024-of-64",
            "replay-of-64",
            "open",
        ];
        assert_eq!(names, expected);
        assert_eq!(Row::of_size(256)[5].to_string(), "open-of-256");
    }

    #[test]
    fn does_each_operation_have_one_name() {
        for (operation, name) in Operation::ALL {
            assert_eq!(operation.name(), name);
            assert_eq!(Operation::parse(name), Some(operation));
        }
        assert_eq!(Operation::parse("delete"), None);
    }
}
