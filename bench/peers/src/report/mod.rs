//! What comes of it: lines for people, an object for programs.

pub mod json;
pub mod table;

use crate::child::subject;
use crate::row::Row;
use crate::statistics::Summary;

/// What one subject did.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The subject.
    pub name: String,
    /// Of its repetitions; nothing if it has no such operation; why, if it failed.
    pub summary: Result<Option<Summary>, String>,
}

impl Figure {
    /// Of nobody.
    pub fn none() -> Self {
        Self { name: String::new(), summary: Ok(None) }
    }

    /// Its median.
    pub fn median(&self) -> Option<f64> {
        self.summary.as_ref().ok().copied().flatten().map(|summary| summary.median)
    }

    /// Whether the bytes are guarded by a checksum in this row.
    pub fn is_guarded(&self, row: Row) -> bool {
        subject(&self.name).is_some_and(|subject| subject.guarantees().guard(row.operation))
    }
}

/// What all did in one row.
#[derive(Debug, Clone)]
pub struct Line {
    /// The row.
    pub row: Row,
    /// factlog.
    pub ours: Figure,
    /// The others.
    pub peers: Vec<Figure>,
    /// The limit, if the row has one.
    pub limit: Option<Figure>,
}

impl Line {
    /// The fastest peer that guards its bytes.
    pub fn best(&self) -> Option<&Figure> {
        let guarded = self.peers.iter().filter(|peer| peer.is_guarded(self.row));
        let measured = guarded.filter(|peer| peer.median().is_some());
        measured.max_by(|one, other| f64::total_cmp(&rate(one), &rate(other)))
    }

    /// How many times as fast as `other` factlog is.
    pub fn ratio(&self, other: &Figure) -> Option<f64> {
        Some(self.ours.median()? / other.median()?)
    }
}

fn rate(figure: &Figure) -> f64 {
    figure.median().unwrap_or(0.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn figure(name: &str, values: &[f64]) -> Figure {
        Figure { name: name.into(), summary: Ok(Summary::of(values)) }
    }

    pub(crate) fn line() -> Line {
        let failed = Figure { name: "okaywal".into(), summary: Err("disk on fire".into()) };
        Line {
            row: Row::of_size(64)[1],
            ours: figure("factlog", &[30.0, 50.0, 40.0]),
            peers: vec![
                figure("seglog", &[20.0, 10.0, 30.0]),
                figure("khata-rs-unchecked", &[35.0]),
                figure("sqlite", &[]),
                failed,
            ],
            limit: Some(figure("copy", &[80.0])),
        }
    }

    #[test]
    fn is_the_best_peer_one_with_checksums() {
        let line = line();
        assert_eq!(line.best().map(|best| best.name.as_str()), Some("seglog"));
        assert_eq!(line.best().and_then(|best| line.ratio(best)), Some(2.0));
    }

    #[test]
    fn is_a_replay_guarded_only_if_it_verifies() {
        let [append, .., replay, _] = Row::of_size(64);
        for (name, expected) in [("seglog", [true, true]), ("sqlite", [false, false])] {
            let figure = figure(name, &[1.0]);
            assert_eq!([append, replay].map(|row| figure.is_guarded(row)), expected, "{name}");
        }
    }
}
