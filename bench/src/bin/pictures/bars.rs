//! Rates beside each other: a bar to the median, and a line from the least to the greatest.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use crate::paint::{
    self, AMBER, BLUE, Canvas, Caption, Drawn, FAINT, GREY, GRID, INK, MARGIN, PaintError, Scale,
    TOP, WIDTH,
};
use crate::peers::{Bar, Row, Whose};

/// Which rows are shown beside each other, and what they are called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picture {
    pub(crate) file: &'static str,
    title: &'static str,
    pub(crate) rows: &'static [(&'static str, &'static str)],
}

pub(crate) const PICTURES: [Picture; 2] = [
    Picture {
        file: "append.svg",
        title: "Appending events of 64 bytes",
        rows: &[("append-1-of-64", "one a call"), ("append-64-of-64", "64 a call")],
    },
    Picture {
        file: "durable.svg",
        title: "Events of 64 bytes, each commit on the disk before the next begins",
        rows: &[
            ("durable-64-of-64", "64 events a commit"),
            ("durable-1024-of-64", "1,024 events a commit"),
        ],
    },
];

const SAYS: [&str; 2] = [
    "Bar: median of all processes; thin line and brackets: least and greatest. Dark grey: peers \
     with checksums;",
    "light grey: peers without. Yellow: the limit, the same bytes by bare means of the machine.",
];

const HEADING: i32 = 28;
const BAR: i32 = 22;
const THICK: i32 = 14;
const AXIS: i32 = 34;
/// Between the names and the figures.
const PLOT: [i32; 2] = [230, 720];
const PALE: RGBColor = RGBColor(190, 197, 204);

/// Rows below each other, each with a scale of its own.
pub(crate) fn draw(
    picture: &Picture,
    rows: &[&Row],
    caption: &Caption,
) -> Result<Drawn, PaintError> {
    let height_of = |row: &Row| HEADING + BAR * row.bars.len() as i32 + AXIS;
    let height = rows.iter().map(|row| height_of(row)).sum();
    paint::sheet(picture.title, &SAYS, caption, height, |canvas| {
        let mut top = TOP;
        for (row, (_, heading)) in rows.iter().zip(picture.rows) {
            panel(canvas, row, heading, top)?;
            top += height_of(row);
        }
        Ok(())
    })
}

fn panel(canvas: &Canvas<'_>, row: &Row, heading: &str, top: i32) -> Result<(), PaintError> {
    let rates: Vec<_> = row.bars.iter().filter_map(|bar| bar.rate).collect();
    let least = rates.iter().map(|rate| rate.least).fold(f64::INFINITY, f64::min);
    let greatest = rates.iter().map(|rate| rate.greatest).fold(0.0, f64::max);
    if rates.is_empty() {
        return Err(format!("nothing in row {} has a figure", row.name).into());
    }
    let scale = Scale::of_lengths(least, greatest, PLOT);
    let above = top + HEADING;
    let below = above + BAR * row.bars.len() as i32;
    let kind = if scale.is_log() { ", logarithmic" } else { "" };
    paint::bold(canvas, heading, (MARGIN, top + HEADING / 2), 14, &INK)?;
    let unit = format!("{}{kind}", row.unit);
    let place = (WIDTH as i32 - MARGIN, top + HEADING / 2);
    paint::text(canvas, &unit, place, 12, &FAINT, HPos::Right)?;
    for tick in scale.ticks() {
        let x = scale.at(tick);
        paint::line(canvas, [(x, above), (x, below)], &GRID, 1)?;
        let label = if tick > 0.0 { paint::round(&paint::count(tick)) } else { "0".into() };
        paint::text(canvas, &label, (x, below + 11), 11, &FAINT, HPos::Center)?;
    }
    for (bar, at) in row.bars.iter().zip(0..) {
        one(canvas, bar, scale, above + BAR * at + BAR / 2)?;
    }
    Ok(())
}

/// A name, a bar with its spread, and the figures; `y` is the middle.
fn one(canvas: &Canvas<'_>, bar: &Bar, scale: Scale, y: i32) -> Result<(), PaintError> {
    let (color, remark) = match bar.whose {
        Whose::Ours => (BLUE, ""),
        Whose::Peer { checksum: true } => (GREY, ""),
        Whose::Peer { checksum: false } => (PALE, ", no checksum"),
        Whose::Limit => (AMBER, " (limit)"),
    };
    let name = format!("{}{remark}", bar.name);
    let beside = (PLOT[0] - 8, y);
    paint::text(canvas, &name, beside, 12, &INK, HPos::Right)?;
    let Some(rate) = bar.rate else {
        let place = (PLOT[0] + 6, y);
        return paint::text(canvas, "cannot do it, or failed", place, 11, &FAINT, HPos::Left);
    };
    let half = THICK / 2;
    let box_of = [(PLOT[0], y - half), (scale.at(rate.median), y + half)];
    canvas.draw(&Rectangle::new(box_of, color.filled()))?;
    let ends = [rate.least, rate.greatest].map(|number| scale.at(number));
    paint::line(canvas, [(ends[0], y), (ends[1], y)], &INK, 1)?;
    for end in ends {
        paint::line(canvas, [(end, y - 4), (end, y + 4)], &INK, 1)?;
    }
    let [median, least, greatest] = [rate.median, rate.least, rate.greatest].map(paint::count);
    let figures = format!("{median}  ({least} to {greatest})");
    let place = (scale.at(rate.greatest.max(rate.median)) + 8, y);
    paint::text(canvas, &figures, place, 12, &INK, HPos::Left)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::peers::{Comparison, tests::sample};

    #[test]
    fn are_names_and_figures_in_the_pictures() {
        let file = Path::new("p.json");
        let found = Comparison::read(file, &sample()).expect("a comparison");
        let caption = Caption { date: "d".into(), machine: "m".into(), command: "c".into() };
        for picture in PICTURES {
            let rows = found.rows(file, &picture).expect("rows");
            let drawn = draw(&picture, &rows, &caption).expect("drawn");
            let expected = [
                picture.rows[1].1,
                "factlog",
                "14.4 M  (11.2 M to 16.8 M)",
                "quick",
                "23.9 M  (23.4 M to 25.2 M)",
                "slow &amp; old, no checksum",
                "unable",
                "cannot do it, or failed",
                "copy (limit)",
                "169 M  (165 M to 182 M)",
                "events/s, logarithmic",
            ];
            for text in expected {
                assert!(drawn.contains(text), "{text:?} is not in {drawn}");
            }
        }
    }

    #[test]
    fn is_a_row_without_figures_refused() {
        let bars = vec![Bar { name: "factlog".into(), whose: Whose::Ours, rate: None }];
        let row = Row { name: "empty".into(), unit: "events/s".into(), bars };
        let caption = Caption { date: "d".into(), machine: "m".into(), command: "c".into() };
        let said = draw(&PICTURES[0], &[&row], &caption).expect_err("nothing to draw").to_string();
        assert_eq!(said, "nothing in row empty has a figure");
    }
}
