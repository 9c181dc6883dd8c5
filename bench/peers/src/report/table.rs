//! The figures for people.

use std::collections::BTreeMap;

use super::{Figure, Line};
use crate::child::subject;
use crate::row::{Operation, Row};

/// One row, a line for each subject.
pub fn line(line: &Line) -> String {
    let mut out = format!("{} ({})\n", line.row, line.row.unit());
    let opening = line.row.operation == Operation::Open;
    push(&mut out, line, &line.ours, if opening { guard(line, &line.ours) } else { "" });
    for peer in &line.peers {
        push(&mut out, line, peer, guard(line, peer));
    }
    if let Some(limit) = &line.limit {
        push(&mut out, line, limit, "limit");
    }
    let mut sums = Vec::new();
    if let Some((best, ratio)) = line.best().and_then(|best| Some((best, line.ratio(best)?))) {
        let ratio = times(ratio);
        sums.push(format!("{ratio} x {}, the best peer with checksums", best.name));
    }
    if let Some((limit, ratio)) =
        line.limit.as_ref().and_then(|limit| Some((limit, line.ratio(limit)?)))
    {
        sums.push(format!("{:.0} % of the limit ({})", ratio * 100.0, limit.name));
    }
    if !sums.is_empty() {
        out.push_str(&format!("  factlog is {}\n", sums.join("; ")));
    }
    out.push('\n');
    out
}

fn push(out: &mut String, line: &Line, figure: &Figure, remark: &str) {
    let text = match &figure.summary {
        Ok(Some(summary)) => {
            let [median, least, greatest] =
                [summary.median, summary.least, summary.greatest].map(short);
            let ratio = line.ratio(figure).filter(|_| figure.name != line.ours.name);
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{:>9} x", times(ratio)));
            format!("{median:>9}  {:<19}{ratio:<12}  {remark}", format!("{least} - {greatest}"))
        }
        Ok(None) => "     none  has no such operation".into(),
        Err(error) => format!("   failed  {error}"),
    };
    out.push_str(&format!("  {:<20}{}\n", figure.name, text.trim_end()));
}

/// How a subject is configured for a row.
fn settings(name: &str, row: Row) -> String {
    subject(name).map_or_else(String::new, |subject| subject.settings(row.operation, row.batch))
}

/// What stands beside a peer's figure.
fn guard(line: &Line, peer: &Figure) -> &'static str {
    if line.row.operation == Operation::Open {
        return subject(&peer.name).map_or("", |subject| subject.guarantees().opening);
    }
    match (peer.is_guarded(line.row), line.row.operation) {
        (true, Operation::Replay) => "verified",
        (false, Operation::Replay) => "not verified",
        (true, _) => "checksum",
        (false, _) => "no checksum",
    }
}

/// What each subject promises, and how it was configured.
pub fn notes(lines: &[Line]) -> String {
    let mut out = String::from(
        "The ratio is factlog's median to that subject's: more is better for factlog.\n\nGuarantees\n",
    );
    let mut seen: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let mut order = Vec::new();
    for line in lines {
        let figures = std::iter::once(&line.ours).chain(&line.peers).chain(&line.limit);
        for figure in figures {
            if !order.contains(&figure.name) {
                order.push(figure.name.clone());
            }
            let text = settings(&figure.name, line.row);
            let known = seen.entry(figure.name.clone()).or_default();
            if !text.is_empty() && !known.iter().any(|(_, other)| *other == text) {
                known.push((line.row.to_string(), text));
            }
        }
    }
    for name in &order {
        let Some(promised) = subject(name).map(|subject| subject.guarantees()) else { continue };
        let checksum = promised.checksum.unwrap_or("no checksum");
        let verified = if promised.verified { "verified at read" } else { "not verified at read" };
        let (atomic, order) = (promised.atomic, promised.order);
        out.push_str(&format!(
            "  {name:<20}{checksum}, {verified}; atomic: {atomic}; order: {order}\n"
        ));
    }
    out.push_str("\nSettings (from that row on, until the next line)\n");
    for name in &order {
        for (row, text) in seen.get(name).into_iter().flatten() {
            out.push_str(&format!("  {name:<20}{row}: {text}\n"));
        }
    }
    out
}

/// A ratio, with two digits that count where it is small.
fn times(ratio: f64) -> String {
    let places = if ratio >= 0.095 {
        2
    } else if ratio >= 0.0095 {
        3
    } else {
        5
    };
    format!("{ratio:.places$}")
}

/// Three digits that count, and a unit.
fn short(rate: f64) -> String {
    let (value, unit) = match rate {
        rate if rate >= 1e9 => (rate / 1e9, " G"),
        rate if rate >= 1e6 => (rate / 1e6, " M"),
        rate if rate >= 1e4 => (rate / 1e3, " k"),
        rate => (rate, ""),
    };
    let places = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.places$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::*;

    #[test]
    fn do_small_ratios_keep_digits() {
        assert_eq!(
            [12.345, 0.5, 0.0426, 0.000_61].map(times),
            ["12.35", "0.50", "0.043", "0.00061"]
        );
    }

    #[test]
    fn are_rates_short() {
        let rates = [1.234, 45.67, 9_876.0, 12_345.0, 234_567.0, 37_700_000.0, 2.1e9];
        let expected = ["1.23", "45.7", "9876", "12.3 k", "235 k", "37.7 M", "2.10 G"];
        assert_eq!(rates.map(short), expected);
    }

    #[test]
    fn does_a_row_say_who_failed_and_who_cannot() {
        let text = line(&tests::line());
        for expected in [
            "append-64-of-64 (events/s)",
            "failed  disk on fire",
            "none  has no such operation",
            "2.00 x seglog, the best peer with checksums; 50 % of the limit (copy)",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in\n{text}");
        }
    }
}
