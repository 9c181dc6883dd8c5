//! What is promised, and what tries it.

use super::{Request, Row, damage, full_disk, fuzzing, models, sync_errors};

/// A way to try a promise.
pub type Part = fn(&Request) -> Row;

/// A promise, as a row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// `G1` to `G8`.
    pub id: &'static str,
    /// What is promised.
    pub title: &'static str,
    /// What tries it; the row is the sum of theirs.
    pub parts: &'static [Part],
}

/// All promises, in order.
pub const PROMISES: [Promise; 8] = [
    Promise {
        id: "G1",
        title: "a kill takes nothing that was seen",
        parts: &[
            #[cfg(target_os = "linux")]
            super::kills::at_random,
            #[cfg(target_os = "linux")]
            super::kills::at_every_call,
        ],
    },
    Promise {
        id: "G2",
        title: "a power cut takes nothing that was acknowledged",
        parts: &[
            #[cfg(unix)]
            super::power::durable,
            #[cfg(target_os = "linux")]
            super::block::run,
        ],
    },
    Promise {
        id: "G3",
        title: "recovery invents, reorders, doubles, alters nothing",
        parts: &[
            #[cfg(unix)]
            super::power::nothing_altered,
        ],
    },
    Promise { id: "G4", title: "damage below a witness is detected", parts: &[damage::run] },
    Promise { id: "G5", title: "a failed sync is final", parts: &[sync_errors::run] },
    Promise {
        id: "G6",
        title: "a full disk is an error, never a signal",
        parts: &[full_disk::run],
    },
    Promise { id: "G7", title: "any bytes: a result or a typed error", parts: &[fuzzing::run] },
    Promise {
        id: "G8",
        title: "no part of a transaction; no watermark goes back",
        parts: &[models::interleavings, models::stress],
    },
];

impl Promise {
    /// The one with this name.
    pub fn named(id: &str) -> Option<&'static Self> {
        PROMISES.iter().find(|promise| promise.id.eq_ignore_ascii_case(id))
    }
}

impl Row {
    /// What `trying` counts; it does not hold when that fails.
    pub(super) fn of(
        id: &str,
        request: &Request,
        trying: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Self {
        let mut row = Self::default();
        match trying(&mut row) {
            Ok(()) => row.holds = true,
            Err(error) => {
                let seed = request.seed;
                row.failure = Some(format!("{error} (again with --only {id} --seed {seed})"));
            }
        }
        row
    }

    /// Of a promise that nothing tries on this machine.
    pub(super) fn untried(why: &str) -> Self {
        let skipped = Some(why.to_owned());
        Self { holds: true, skipped, ..Self::default() }
    }

    /// The sum of all parts; nothing of them is lost.
    pub fn sum(rows: impl IntoIterator<Item = Self>) -> Self {
        let join = |one: Option<String>, other: Option<String>| match (one, other) {
            (Some(one), Some(other)) => Some(format!("{one}; {other}")),
            (one, other) => one.or(other),
        };
        let sum = rows.into_iter().reduce(|mut sum, row| {
            sum.counts.extend(row.counts);
            Self {
                holds: sum.holds && row.holds,
                tried: sum.tried + row.tried,
                counts: sum.counts,
                canaries: sum.canaries + row.canaries,
                failure: join(sum.failure, row.failure),
                skipped: join(sum.skipped, row.skipped),
            }
        });
        sum.unwrap_or_else(|| Self::untried("nothing tries it on this system"))
    }
}
