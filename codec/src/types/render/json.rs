//! JSON of bounded length.

use core::fmt::{self, Write};

/// Writes to the end of a string, up to a limit.
pub(super) struct Json<'a> {
    pub(super) out: &'a mut String,
    /// Most bytes in `out`.
    pub(super) limit: usize,
}

impl Write for Json<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > self.limit.saturating_sub(self.out.len()) {
            return Err(fmt::Error);
        }
        self.out.push_str(text);
        Ok(())
    }
}

impl Json<'_> {
    /// A string in quotes, escaped where JSON needs it.
    pub(super) fn text(&mut self, text: &str) -> fmt::Result {
        self.write_str("\"")?;
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, tail) = rest.split_at_checked(at).ok_or(fmt::Error)?;
            self.write_str(plain)?;
            let mut chars = tail.chars();
            match chars.next() {
                Some('\n') => self.write_str("\\n")?,
                Some('\r') => self.write_str("\\r")?,
                Some('\t') => self.write_str("\\t")?,
                Some(c @ ('"' | '\\')) => write!(self, "\\{c}")?,
                Some(c) => write!(self, "\\u{:04x}", u32::from(c))?,
                None => {}
            }
            rest = chars.as_str();
        }
        self.write_str(rest)?;
        self.write_str("\"")
    }

    /// Bytes as a string of hexadecimal digits.
    pub(super) fn hex(&mut self, bytes: &[u8]) -> fmt::Result {
        self.write_str("\"")?;
        for byte in bytes {
            write!(self, "{byte:02x}")?;
        }
        self.write_str("\"")
    }

    /// A float; JSON has no number for those that are not finite.
    pub(super) fn float(&mut self, value: impl fmt::Debug, finite: bool) -> fmt::Result {
        // Debug output is the shortest that reads back, with an exponent where one is shorter.
        if finite { write!(self, "{value:?}") } else { write!(self, "\"{value:?}\"") }
    }
}
