//! What the program `proof` says: a table for people, and one for programs.

use std::fmt::Write;

use super::Row;
use super::promises::Promise;

/// A promise, and what came of it.
#[derive(Debug, Clone)]
pub struct Line {
    /// Which.
    pub promise: &'static Promise,
    /// What was tried.
    pub row: Row,
    /// Bugs that were planted.
    pub planted: u64,
    /// Bugs that were found.
    pub found: u64,
    /// How long trying took, without planted bugs.
    pub seconds: u64,
}

/// All that was asked for.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where the random numbers of all began.
    pub seed: u64,
    /// In order.
    pub lines: Vec<Line>,
    /// What was noted of planted bugs, one a line.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether all promises hold and all planted bugs were found.
    pub fn holds(&self) -> bool {
        self.lines.iter().all(|line| line.row.holds && line.found == line.planted)
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{:4}{:53}{:>6}{:>14}{:>9}{:>11}\n",
            "", "", "holds", "tried", "seconds", "bugs found"
        );
        for line in &self.lines {
            let Line { promise, row, planted, found, seconds } = line;
            let holds = if row.holds { "yes" } else { "NO" };
            let bugs = if *planted == 0 { "-".into() } else { format!("{found} of {planted}") };
            let (id, title, tried) = (promise.id, promise.title, grouped(row.tried));
            let _ = writeln!(out, "{id:4}{title:53}{holds:>6}{tried:>14}{seconds:>9}{bugs:>11}");
        }
        let _ = writeln!(out, "seed {}\n", self.seed);
        for line in &self.lines {
            let (id, row) = (line.promise.id, &line.row);
            for count in &row.counts {
                let _ = writeln!(out, "{id}  {count}");
            }
            if let Some(skipped) = &row.skipped {
                let _ = writeln!(out, "{id}  skipped: {skipped}");
            }
        }
        for note in &self.notes {
            let _ = writeln!(out, "{note}");
        }
        for line in self.lines.iter().filter(|line| !line.row.holds) {
            let failure = line.row.failure.as_deref().unwrap_or("it does not say why");
            let _ = writeln!(out, "{} does not hold: {failure}", line.promise.id);
        }
        for line in self.lines.iter().filter(|line| line.found < line.planted) {
            let missed = line.planted - line.found;
            let _ = writeln!(out, "{}: {missed} planted bugs were not found", line.promise.id);
        }
        out
    }

    /// The same for programs.
    pub fn json(&self) -> String {
        let lines = self.lines.iter().map(|line| {
            let Line { promise, row, planted, found, .. } = line;
            let skipped = row.skipped.as_deref().map_or_else(|| "null".to_owned(), quoted);
            format!(
                "{{\"id\": {}, \"holds\": {}, \"tried\": {}, \"seed\": {}, \"planted\": {planted}, \
                 \"found\": {found}, \"skipped\": {skipped}}}",
                quoted(promise.id),
                row.holds,
                row.tried,
                self.seed,
            )
        });
        format!("{{\"promises\": [{}]}}\n", lines.collect::<Vec<_>>().join(", "))
    }
}

/// With commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
