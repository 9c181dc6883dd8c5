//! Colours, text, scales, and the sheet with title and caption.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::FontStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The text of a file.
pub(crate) type Drawn = String;
/// What is drawn on.
pub(crate) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Drawing failed.
pub(crate) type PaintError = Box<dyn Error>;

/// Of each picture, in pixels. Their background is white: dark pages show it too.
pub(crate) const WIDTH: u32 = 920;
/// What stays free at the sides.
pub(crate) const MARGIN: i32 = 20;
/// Above the first panel.
pub(crate) const TOP: i32 = 56;

pub(crate) const INK: RGBColor = RGBColor(31, 35, 40);
pub(crate) const FAINT: RGBColor = RGBColor(89, 99, 110);
pub(crate) const GRID: RGBColor = RGBColor(224, 228, 232);
pub(crate) const BLUE: RGBColor = RGBColor(9, 105, 218);
pub(crate) const GREEN: RGBColor = RGBColor(26, 127, 55);
pub(crate) const RED: RGBColor = RGBColor(188, 76, 0);
pub(crate) const GREY: RGBColor = RGBColor(110, 119, 129);
pub(crate) const AMBER: RGBColor = RGBColor(191, 135, 0);

const CAPTION: i32 = 12;
const LEADING: i32 = 18;
/// So many letters of a caption fit into a line.
const LETTERS: usize = 120;

/// When, on what and how it was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caption {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) command: String,
}

/// A picture of `height` beside title and caption, which `paint` fills; `says` explains it.
pub(crate) fn sheet(
    title: &str,
    says: &[&str],
    caption: &Caption,
    height: i32,
    paint: impl FnOnce(&Canvas<'_>) -> Result<(), PaintError>,
) -> Result<Drawn, PaintError> {
    let mut lines: Vec<String> = says.iter().map(|&line| line.to_owned()).collect();
    lines.extend(wrapped(&format!("{}, {}", caption.date, caption.machine)));
    lines.extend(wrapped(&caption.command));
    let below = TOP + height;
    let whole = below + LEADING * lines.len() as i32 + MARGIN;
    let mut drawn = String::new();
    {
        let canvas = SVGBackend::with_string(&mut drawn, (WIDTH, whole as u32)).into_drawing_area();
        canvas.fill(&WHITE)?;
        let edges = [(0, 0), (WIDTH as i32 - 1, whole - 1)];
        canvas.draw(&Rectangle::new(edges, GRID.stroke_width(1)))?;
        bold(&canvas, title, (MARGIN, TOP / 2), 18, &INK)?;
        paint(&canvas)?;
        for (line, at) in lines.iter().zip(0..) {
            let place = (MARGIN, below + LEADING / 2 + LEADING * at);
            text(&canvas, line, place, CAPTION, &FAINT, HPos::Left)?;
        }
        canvas.present()?;
    }
    Ok(drawn)
}

/// Lines that fit into a caption.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < LETTERS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Text beside `place`, at the height of its middle.
pub(crate) fn text(
    canvas: &Canvas<'_>,
    text: &str,
    place: (i32, i32),
    size: i32,
    color: &RGBColor,
    side: HPos,
) -> Result<(), PaintError> {
    let style = ("sans-serif", size).into_font().color(color).pos(Pos::new(side, VPos::Center));
    Ok(canvas.draw_text(text, &style, place)?)
}

/// Bold text that begins at `place`.
pub(crate) fn bold(
    canvas: &Canvas<'_>,
    text: &str,
    place: (i32, i32),
    size: i32,
    color: &RGBColor,
) -> Result<(), PaintError> {
    let font = ("sans-serif", size, FontStyle::Bold).into_font();
    let style = font.color(color).pos(Pos::new(HPos::Left, VPos::Center));
    Ok(canvas.draw_text(text, &style, place)?)
}

/// A straight line.
pub(crate) fn line(
    canvas: &Canvas<'_>,
    ends: [(i32, i32); 2],
    color: &RGBColor,
    width: u32,
) -> Result<(), PaintError> {
    Ok(canvas.draw(&PathElement::new(ends, color.stroke_width(width)))?)
}

/// Where numbers stand between two pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    least: f64,
    greatest: f64,
    log: bool,
    pixels: [i32; 2],
}

impl Scale {
    /// From 0, or by decades if the least number could not be seen otherwise.
    pub(crate) fn of_lengths(least: f64, greatest: f64, pixels: [i32; 2]) -> Self {
        if greatest / least < 30.0 {
            return Self { least: 0.0, greatest, log: false, pixels };
        }
        // The shortest bar is still to have a length.
        Self { least: decade(least * 0.7), greatest, log: true, pixels }
    }

    /// Whole decades.
    pub(crate) fn of_decades(least: f64, greatest: f64, pixels: [i32; 2]) -> Self {
        let low = decade(least);
        let high = 10_f64.powf(greatest.log10().ceil()).max(low * 10.0);
        Self { least: low, greatest: high, log: true, pixels }
    }

    pub(crate) fn is_log(&self) -> bool {
        self.log
    }

    pub(crate) fn at(&self, number: f64) -> i32 {
        let along = if self.log {
            (number / self.least).log10() / (self.greatest / self.least).log10()
        } else {
            (number - self.least) / (self.greatest - self.least)
        };
        let [from, to] = self.pixels.map(f64::from);
        (from + (to - from) * along.clamp(0.0, 1.0)).round() as i32
    }

    /// Numbers that are worth a line: decades, or some five round ones.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        // A greatest number that is a decade itself belongs to it, whatever logarithms round to.
        let end = self.greatest * 1.000_001;
        if self.log {
            let decades = std::iter::successors(Some(self.least), |tick| Some(tick * 10.0));
            return decades.take_while(|tick| *tick <= end).collect();
        }
        let rough = self.greatest / 5.0;
        let unit = decade(rough);
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * unit);
        let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
        let ticks = std::iter::successors(Some(0.0), |tick| Some(tick + step));
        ticks.take_while(|tick| *tick <= end).collect()
    }
}

/// The power of ten at or below a number.
fn decade(number: f64) -> f64 {
    10_f64.powf((number.log10() + 1e-9).floor())
}

/// A number above 0 with three digits that count.
fn digits(number: f64) -> String {
    let places = match number {
        number if number >= 99.95 => 0,
        number if number >= 9.995 => 1,
        _ => 2,
    };
    format!("{number:.places$}")
}

/// The largest unit of which there is at least one, and how many there are of it.
fn in_unit<'a>(number: f64, units: &[(f64, &'a str)]) -> (f64, &'a str) {
    // What rounds to the next unit is said in it.
    let fits = units.iter().rev().find(|(size, _)| number >= size * 0.999_5);
    let (size, unit) = fits.or(units.first()).copied().unwrap_or((1.0, ""));
    (number / size, unit)
}

/// A number of things: `14.4 M`.
pub(crate) fn count(number: f64) -> String {
    let units = [(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")];
    let (number, unit) = in_unit(number, &units);
    format!("{} {unit}", digits(number)).trim_end().to_owned()
}

/// Nanoseconds: `8.33 us`.
pub(crate) fn time(nanoseconds: f64) -> String {
    let units = [(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")];
    let (number, unit) = in_unit(nanoseconds, &units);
    format!("{} {unit}", if unit == "ns" { format!("{number:.0}") } else { digits(number) })
}

/// A tick: without digits behind the point that say nothing.
pub(crate) fn round(text: &str) -> String {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let short = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    format!("{short} {unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_numbers_short() {
        let found = [1.0, 9.996, 999.6, 90_712.7, 1_364_000.0, 169e6, 2.1e9].map(count);
        assert_eq!(found, ["1.00", "10.0", "1.00 k", "90.7 k", "1.36 M", "169 M", "2.10 G"]);
        let found = [90.0, 999.0, 3_035.0, 99_903.0, 18_743_295.0, 2e9].map(time);
        assert_eq!(found, ["90 ns", "999 ns", "3.04 µs", "99.9 µs", "18.7 ms", "2.00 s"]);
        let found = ["1.00 M", "2.50 k", "100 ns", "0.00"].map(round);
        assert_eq!(found, ["1 M", "2.5 k", "100 ns", "0"]);
    }

    #[test]
    fn are_scales_by_decades_where_the_range_asks_for_it() {
        let near = Scale::of_lengths(200.0, 620.0, [0, 100]);
        assert!(!near.is_log());
        assert_eq!([0.0, 310.0, 620.0].map(|number| near.at(number)), [0, 50, 100]);
        assert_eq!(near.ticks(), [0.0, 200.0, 400.0, 600.0]);
        let far = Scale::of_lengths(150.0, 1e6, [0, 400]);
        assert!(far.is_log());
        assert_eq!([100.0, 1e4, 1e6].map(|number| far.at(number)), [0, 200, 400]);
        assert_eq!(far.ticks().len(), 5);
    }

    #[test]
    fn do_upward_scales_have_room_for_all() {
        let scale = Scale::of_decades(45.0, 18e6, [700, 0]);
        assert_eq!((scale.at(10.0), scale.at(1e8)), (700, 0));
        assert_eq!(scale.ticks().len(), 8);
        assert_eq!(Scale::of_decades(100.0, 100.0, [0, 10]).ticks(), [100.0, 1000.0]);
    }

    #[test]
    fn do_captions_fit() {
        let long = format!("{} end", "word ".repeat(60).trim_end());
        let lines = wrapped(&long);
        assert_eq!(lines.join(" "), long);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() <= LETTERS), "{lines:?}");
    }

    #[test]
    fn is_the_caption_in_the_picture() {
        let caption = Caption {
            date: "2026-02-03".into(),
            machine: "a machine".into(),
            command: "cargo run -- --quick".into(),
        };
        let drawn = sheet("a title", &["what is seen"], &caption, 10, |_| Ok(())).expect("drawn");
        for text in ["a title", "what is seen", "2026-02-03, a machine", "cargo run -- --quick"] {
            assert!(drawn.contains(text), "{text:?} is not in {drawn}");
        }
        assert!(drawn.contains("fill=\"#FFFFFF\""), "there is no background");
    }
}
