//! From the text of a table to its lines, and from a line to its fields.
//!
//! A row is one line: a quote left open spoils its own line and nothing after it, and no line
//! makes the reader hold more than [`MAX_LINE_BYTES`].

use std::io::{self, BufRead, Read};

/// The longest line that is read. Rows of the table have about a hundred bytes.
pub(crate) const MAX_LINE_BYTES: usize = 64 * 1024;

/// Why there is no next line.
#[derive(Debug)]
pub(crate) enum LineError {
    /// The line is longer than [`MAX_LINE_BYTES`].
    TooLong,
    /// Reading failed.
    Io(io::Error),
}

/// Reads lines and numbers them from 1, blank ones included.
pub(crate) struct Lines<R> {
    text: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Starts at the beginning of a text.
    pub(crate) fn new(text: R) -> Self {
        Self { text, line: Vec::new(), number: 0 }
    }

    /// The number of the line last read; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The bytes of the line last read, as far as they were read.
    pub(crate) fn current(&self) -> &[u8] {
        &self.line
    }

    /// Goes to the next line that is not blank; false at the end of the text.
    pub(crate) fn advance(&mut self) -> Result<bool, LineError> {
        loop {
            self.line.clear();
            // Room for a full line and its end (CR LF): what fills it has no end in reach.
            let room = MAX_LINE_BYTES + 2;
            let mut near = self.text.by_ref().take(room as u64);
            if near.read_until(b'\n', &mut self.line).map_err(LineError::Io)? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            }
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            if self.line.len() > MAX_LINE_BYTES {
                return Err(LineError::TooLong);
            }
            if !self.line.is_empty() {
                return Ok(true);
            }
        }
    }
}

/// A quoted field that does not end where a field ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadQuotes;

/// The fields of one line, unquoted, in memory that is used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    text: String,
    /// Where each field ends in `text`; it begins where the one before ends.
    ends: Vec<usize>,
}

impl Fields {
    /// Splits a line at its commas.
    pub(crate) fn split(&mut self, line: &str) -> Result<(), BadQuotes> {
        self.text.clear();
        self.ends.clear();
        let mut rest = Some(line);
        while let Some(line) = rest {
            rest = match line.strip_prefix('"') {
                Some(quoted) => self.push_quoted(quoted)?,
                None => self.push_plain(line),
            };
            self.ends.push(self.text.len());
        }
        Ok(())
    }

    /// The number of fields.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// One field.
    pub(crate) fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..end)
    }

    /// All fields.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn push_plain<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let (field, rest) = match line.split_once(',') {
            Some((field, rest)) => (field, Some(rest)),
            None => (line, None),
        };
        self.text.push_str(field);
        rest
    }

    /// Takes a field from after its opening quote; two quotes in it stand for one.
    fn push_quoted<'a>(&mut self, line: &'a str) -> Result<Option<&'a str>, BadQuotes> {
        let mut line = line;
        loop {
            let (part, after) = line.split_once('"').ok_or(BadQuotes)?;
            self.text.push_str(part);
            match after.strip_prefix('"') {
                Some(more) => {
                    self.text.push('"');
                    line = more;
                }
                None if after.is_empty() => return Ok(None),
                None => return after.strip_prefix(',').map(Some).ok_or(BadQuotes),
            }
        }
    }
}
