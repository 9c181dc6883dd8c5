//! Percentiles: a line for each situation and rate, and below it the figures.

use std::path::Path;

use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::latency::{Latencies, PERCENTILES, Row};
use crate::paint::{
    self, AMBER, BLUE, Canvas, Caption, Drawn, FAINT, GREEN, GREY, GRID, INK, MARGIN, PaintError,
    RED, Scale, TOP, WIDTH,
};

/// Lines of one row, one for each rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Series {
    pub(crate) row: &'static str,
    label: &'static str,
    /// What the machine does by itself: dashed.
    limit: bool,
}

/// Lines that are to be seen beside each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel {
    title: &'static str,
    pub(crate) series: &'static [Series],
}

const fn ours(row: &'static str, label: &'static str) -> Series {
    Series { row, label, limit: false }
}

const fn limit(row: &'static str, label: &'static str) -> Series {
    Series { row, label, limit: true }
}

pub(crate) const PANELS: [Panel; 4] = [
    Panel {
        title: "One append: the call itself",
        series: &[
            ours("append, quiet: the call itself", "append"),
            ours("append, during background syncs: the call itself", "during background syncs"),
        ],
    },
    Panel {
        title: "Before the append to the hand of a reader",
        series: &[
            ours("append to cursor", "append to cursor"),
            limit("append to cursor: limit, an atomic store", "limit, an atomic store"),
        ],
    },
    Panel {
        title: "One append across rollovers: the call itself",
        series: &[
            ours("append, across rollovers: the call itself", "all calls"),
            ours("append, across rollovers: calls that rolled over", "calls that rolled over"),
        ],
    },
    Panel {
        title: "A durable commit of 64 events",
        series: &[
            ours("durable commit, group", "group"),
            ours("durable commit, always", "always"),
            limit("durable commit: limit, pwrite and fdatasync", "limit, pwrite and fdatasync"),
        ],
    },
];

const SAYS: [&str; 2] = [
    "Logarithmic. An open loop: each operation has a time at which it is to start, and where \
     nothing else is said,",
    "its latency counts from there; \"the call itself\" counts from the call. All panels have one \
     scale.",
];

const COLORS: [RGBColor; 4] = [BLUE, GREEN, RED, GREY];
const LIMITS: [RGBColor; 2] = [AMBER, GREY];

const HEADING: i32 = 30;
const PLOT: i32 = 190;
const NAMES: i32 = 22;
/// A line's label and its figures below it.
const ENTRY: i32 = 34;
const GAP: i32 = 14;
/// Left of the plot, for the ticks.
const TICKS: i32 = 52;

/// A line, its label and its look.
struct Line<'a> {
    label: String,
    color: RGBColor,
    dashed: bool,
    row: &'a Row,
}

/// Two panels beside each other, and below them the next two.
pub(crate) fn draw(file: &Path, found: &Latencies, caption: &Caption) -> Result<Drawn, PaintError> {
    let panels = PANELS.iter().map(|panel| lines(file, found, panel));
    let panels = panels.collect::<Result<Vec<_>, _>>()?;
    let values = || panels.iter().flatten().flat_map(|line| line.row.values);
    let least = values().fold(f64::INFINITY, f64::min);
    let greatest = values().fold(0.0, f64::max);
    let height_of = |pair: &[Vec<Line<'_>>]| {
        let entries = pair.iter().map(Vec::len).max().unwrap_or(0) as i32;
        HEADING + PLOT + NAMES + ENTRY * entries + GAP
    };
    let height = panels.chunks(2).map(height_of).sum();
    paint::sheet("Latency", &SAYS, caption, height, |canvas| {
        let mut top = TOP;
        for (pair, titles) in panels.chunks(2).zip(PANELS.chunks(2)) {
            for ((lines, panel), at) in pair.iter().zip(titles).zip(0..) {
                let width = (WIDTH as i32 - 3 * MARGIN) / 2;
                let left = MARGIN + at * (width + MARGIN);
                let pixels = [top + HEADING + PLOT, top + HEADING];
                let scale = Scale::of_decades(least, greatest, pixels);
                self::panel(canvas, panel.title, lines, scale, [left, left + width], top)?;
            }
            top += height_of(pair);
        }
        Ok(())
    })
}

fn lines<'a>(
    file: &Path,
    found: &'a Latencies,
    panel: &Panel,
) -> Result<Vec<Line<'a>>, PaintError> {
    let (mut colors, mut limits) = (COLORS.iter().cycle(), LIMITS.iter().cycle());
    let mut lines = Vec::new();
    for series in panel.series {
        for row in found.named(file, series.row)? {
            let next = if series.limit { limits.next() } else { colors.next() };
            lines.push(Line {
                label: format!("{}, {} a second", series.label, grouped(row.rate)),
                color: next.copied().unwrap_or(INK),
                dashed: series.limit,
                row,
            });
        }
    }
    Ok(lines)
}

fn panel(
    canvas: &Canvas<'_>,
    title: &str,
    lines: &[Line<'_>],
    scale: Scale,
    sides: [i32; 2],
    top: i32,
) -> Result<(), PaintError> {
    let [left, right] = [sides[0] + TICKS, sides[1]];
    paint::bold(canvas, title, (sides[0], top + HEADING / 2 - 2), 14, &INK)?;
    let below = top + HEADING + PLOT;
    for tick in scale.ticks() {
        let y = scale.at(tick);
        paint::line(canvas, [(left, y), (right, y)], &GRID, 1)?;
        let label = paint::round(&paint::time(tick));
        paint::text(canvas, &label, (left - 6, y), 11, &FAINT, HPos::Right)?;
    }
    let count = PERCENTILES.len() as i32;
    let column = |at: i32| left + (right - left) * (2 * at + 1) / (2 * count);
    for (name, at) in PERCENTILES.iter().zip(0..) {
        let place = (column(at), below + NAMES / 2);
        paint::text(canvas, name, place, 12, &INK, HPos::Center)?;
    }
    for (line, at) in lines.iter().zip(0..) {
        let values = line.row.values.iter().zip(0..);
        let points: Vec<_> = values.map(|(value, at)| (column(at), scale.at(*value))).collect();
        curve(canvas, line, points)?;
        let y = below + NAMES + ENTRY * at;
        curve(canvas, line, vec![(sides[0], y + 8), (sides[0] + 28, y + 8)])?;
        let place = (sides[0] + 36, y + 8);
        paint::text(canvas, &line.label, place, 12, &line.color, HPos::Left)?;
        for (value, at) in line.row.values.iter().zip(0..) {
            let text = paint::time(*value);
            paint::text(canvas, &text, (column(at), y + 24), 12, &INK, HPos::Center)?;
        }
    }
    Ok(())
}

fn curve(canvas: &Canvas<'_>, line: &Line<'_>, points: Vec<(i32, i32)>) -> Result<(), PaintError> {
    let style = line.color.stroke_width(2);
    for point in &points {
        canvas.draw(&Circle::new(*point, 3, line.color.filled()))?;
    }
    if line.dashed {
        canvas.draw(&DashedPathElement::new(points, 6, 4, style))?;
    } else {
        canvas.draw(&PathElement::new(points, style))?;
    }
    Ok(())
}

/// A whole number with a comma before every three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::tests::sample;

    #[test]
    fn are_names_and_figures_in_the_picture() {
        let file = Path::new("l.json");
        let found = Latencies::read(file, &sample()).expect("latencies");
        let caption = Caption { date: "d".into(), machine: "m".into(), command: "c".into() };
        let drawn = draw(file, &found, &caption).expect("drawn");
        for panel in PANELS {
            assert!(drawn.contains(panel.title), "{:?} is not in {drawn}", panel.title);
            for series in panel.series {
                let label = format!("{}, 1,000,000 a second", series.label);
                assert!(drawn.contains(&label), "{label:?} is not in {drawn}");
            }
        }
        for text in ["p99.99", "90 ns", "210 ns", "440 ns", "3.04 µs", "99.9 µs"] {
            assert!(drawn.contains(text), "{text:?} is not in {drawn}");
        }
    }

    #[test]
    fn is_a_row_that_is_not_there_named() {
        let file = Path::new("l.json");
        let mut value = sample();
        if let Some(rows) = value["rows"].as_array_mut() {
            rows.retain(|row| row["name"] != "durable commit, always");
        }
        let found = Latencies::read(file, &value).expect("latencies");
        let caption = Caption { date: "d".into(), machine: "m".into(), command: "c".into() };
        let said = draw(file, &found, &caption).expect_err("a row is gone").to_string();
        assert_eq!(said, "l.json: rows: none has the name \"durable commit, always\"");
    }
}
