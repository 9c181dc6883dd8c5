//! What the example prints at its end: a page for people, or one JSON object for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde_json::{Map, Value, json};

use super::args::Policy;
use super::latency::{Latency, SAMPLE};
use super::views::{AircraftPlaces, AirportBoard, CarrierDelays, LATE_MINUTES, Place, Totals};

/// How many airports and carriers the page shows.
const TOP: usize = 8;
/// How many reasons of refusals the page shows.
const REASONS: usize = 2;
/// How many notes the page shows.
const NOTES: usize = 3;

/// What became of the steps as commands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decided {
    /// How many were accepted.
    pub(crate) accepted: u64,
    /// How many were refused, by reason.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// How fast they were decided.
    pub(crate) per_second: f64,
}

/// All that the report tells.
#[derive(Debug, Clone)]
pub(crate) struct Report<'a> {
    /// Sums over the views.
    pub(crate) totals: Totals,
    /// The airports.
    pub(crate) airports: &'a AirportBoard,
    /// The carriers.
    pub(crate) carriers: &'a CarrierDelays,
    /// The aircraft.
    pub(crate) aircraft: &'a AircraftPlaces,
    /// Events in the log.
    pub(crate) events: u64,
    /// How fast they were appended; `None` if there was nothing to append.
    pub(crate) append_events_per_second: Option<f64>,
    /// How long events took from their commit to the airport board.
    pub(crate) append_to_board: Option<Latency>,
    /// When facts were to become durable.
    pub(crate) durability: Policy,
    /// How long submissions took from handing them over to their answer.
    pub(crate) submit_to_answer: Option<Latency>,
    /// How long events took from their commit until they were durable, looked at every [`SAMPLE`].
    pub(crate) visible_to_durable: Option<Latency>,
    /// How fast they were read again from the log.
    pub(crate) replay_events_per_second: f64,
    /// How large the log is.
    pub(crate) log_bytes: u64,
    /// Whether views built while appending equal those built by replay.
    pub(crate) live_equals_replay: bool,
    /// What became of the steps as commands.
    pub(crate) decided: Decided,
    /// What else there is to say, a line each: what was recovered, which rows were bad. Only the
    /// page has it.
    pub(crate) notes: Vec<String>,
}

impl Report<'_> {
    /// One object on one line.
    pub(crate) fn to_json(&self) -> String {
        let Totals {
            flights,
            scheduled,
            departed,
            arrived,
            cancelled,
            diverted,
            aircraft,
            departed_by_airport,
            cancelled_by_airport,
            departure_delay_minutes,
        } = &self.totals;
        let pairs = [
            ("flights", json!(flights)),
            ("scheduled", json!(scheduled)),
            ("departed", json!(departed)),
            ("arrived", json!(arrived)),
            ("cancelled", json!(cancelled)),
            ("diverted", json!(diverted)),
            ("aircraft", json!(aircraft)),
            ("departed_by_airport", json!(departed_by_airport)),
            ("cancelled_by_airport", json!(cancelled_by_airport)),
            ("departure_delay_minutes", json!(departure_delay_minutes)),
            ("events", json!(self.events)),
            ("append_events_per_second", json!(self.append_events_per_second.map(f64::round))),
            ("append_to_board_p50_us", rounded(self.append_to_board, |board| board.p50)),
            ("append_to_board_p99_us", rounded(self.append_to_board, |board| board.p99)),
            ("durability", json!(self.durability.name())),
            ("submit_to_answer_p50_us", rounded(self.submit_to_answer, |answer| answer.p50)),
            ("submit_to_answer_p99_us", rounded(self.submit_to_answer, |answer| answer.p99)),
            ("submit_to_answer_max_us", rounded(self.submit_to_answer, |answer| answer.max)),
            ("visible_to_durable_p50_us", rounded(self.visible_to_durable, |after| after.p50)),
            ("visible_to_durable_p99_us", rounded(self.visible_to_durable, |after| after.p99)),
            ("visible_to_durable_max_us", rounded(self.visible_to_durable, |after| after.max)),
            ("visible_to_durable_resolution_us", json!(SAMPLE.as_micros() as u64)),
            ("replay_events_per_second", json!(self.replay_events_per_second.round())),
            ("log_bytes", json!(self.log_bytes)),
            ("live_equals_replay", json!(self.live_equals_replay)),
            ("accepted", json!(self.decided.accepted)),
            ("rejected", json!(self.decided.rejected)),
            ("commands_per_second", json!(self.decided.per_second.round())),
        ];
        let object: Map<String, Value> =
            pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Value::Object(object).to_string()
    }

    /// A page of at most 40 lines.
    pub(crate) fn to_page(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = self.write_page(&mut page);
        page
    }

    fn write_page(&self, page: &mut String) -> fmt::Result {
        self.write_totals(page)?;
        self.write_airports(page)?;
        self.write_carriers(page)?;
        self.write_log(page)?;
        self.write_decided(page)?;
        self.write_notes(page)
    }

    fn write_totals(&self, page: &mut String) -> fmt::Result {
        let totals = &self.totals;
        writeln!(
            page,
            "{} flights: {} departed, {} arrived, {} cancelled, {} diverted",
            grouped(totals.flights),
            grouped(totals.departed),
            grouped(totals.arrived),
            grouped(totals.cancelled),
            grouped(totals.diverted),
        )?;
        let minutes: i64 = self.aircraft.aircraft.values().map(|one| one.minutes_in_air).sum();
        let aloft =
            self.aircraft.aircraft.values().filter(|one| one.place == Place::InTheAir).count();
        writeln!(
            page,
            "{} aircraft, {} hours in the air, {} in the air at the end",
            grouped(totals.aircraft),
            grouped(minutes.unsigned_abs() / 60),
            grouped(aloft as u64),
        )
    }

    fn write_airports(&self, page: &mut String) -> fmt::Result {
        let mut lines: Vec<_> = self.airports.airports.iter().collect();
        lines.sort_by_key(|(_, line)| std::cmp::Reverse(line.departed + line.arrived));
        writeln!(
            page,
            "\n{:<8}{:>11}{:>11}{:>11}{:>11}{:>11}",
            "airport", "scheduled", "departed", "cancelled", "arrived", "diverted"
        )?;
        for (code, line) in lines.iter().take(TOP) {
            writeln!(
                page,
                "{:<8}{:>11}{:>11}{:>11}{:>11}{:>11}",
                code,
                grouped(line.scheduled),
                grouped(line.departed),
                grouped(line.cancelled),
                grouped(line.arrived),
                grouped(line.diverted),
            )?;
        }
        write_rest(page, lines.len(), "airports")
    }

    fn write_carriers(&self, page: &mut String) -> fmt::Result {
        let mut lines: Vec<_> = self.carriers.carriers.iter().collect();
        lines.sort_by_key(|(_, line)| std::cmp::Reverse(line.departed));
        let late_heading = format!("late >{LATE_MINUTES}");
        writeln!(
            page,
            "\n{:<8}{:>11}{:>11}{:>11}{:>11}{:>11}  by flight",
            "carrier", "departed", "cancelled", "mean delay", late_heading, "worst"
        )?;
        for (code, line) in lines.iter().take(TOP) {
            let worst = line.worst.map_or_else(String::new, |worst| worst.minutes.to_string());
            let flight = line.worst.map_or_else(String::new, |worst| worst.number.to_string());
            let row = format!(
                "{:<8}{:>11}{:>11}{:>11}{:>11}{:>11}  {code} {flight}",
                code,
                grouped(line.departed),
                grouped(line.cancelled),
                one_decimal(line.delay_minutes, line.departed),
                grouped(line.late),
                worst,
            );
            writeln!(page, "{}", row.trim_end())?;
        }
        write_rest(page, lines.len(), "carriers")
    }

    fn write_log(&self, page: &mut String) -> fmt::Result {
        let appended = match self.append_events_per_second {
            Some(rate) => format!("{} events/s", grouped_rate(rate)),
            None => "nothing to append".to_owned(),
        };
        let replayed = grouped_rate(self.replay_events_per_second);
        let equal = if self.live_equals_replay { "yes" } else { "NO" };
        writeln!(page, "\n{:<20}{}", "events in the log", grouped(self.events))?;
        writeln!(page, "{:<20}{} bytes", "size of the log", grouped(self.log_bytes))?;
        writeln!(page, "{:<20}{appended}", "appended")?;
        if let Some(Latency { p50, p99, .. }) = self.append_to_board {
            let [p50, p99] = [p50, p99].map(grouped_rate);
            writeln!(page, "{:<20}{p50} us, of 99 in 100 at most {p99} us", "append to board")?;
        }
        write_latency(page, "submit to answer", self.submit_to_answer, self.durability.name())?;
        let resolution = format!("by {} ms", SAMPLE.as_millis());
        write_latency(page, "visible to durable", self.visible_to_durable, &resolution)?;
        writeln!(page, "{:<20}{replayed} events/s", "replayed")?;
        writeln!(page, "{:<20}{equal}", "live equals replay")
    }

    /// All reasons on one line, the most frequent first.
    fn write_decided(&self, page: &mut String) -> fmt::Result {
        let Decided { accepted, rejected, per_second } = &self.decided;
        let [accepted, rate] = [grouped(*accepted), grouped_rate(*per_second)];
        writeln!(page, "{:<20}{accepted} accepted, {rate} commands/s", "as commands")?;
        let mut reasons: Vec<_> = rejected.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let shown = reasons.iter().take(REASONS);
        let mut all: Vec<_> =
            shown.map(|(reason, count)| format!("{} {reason}", grouped(**count))).collect();
        match reasons.len().checked_sub(REASONS) {
            Some(more) if more > 0 => all.push(format!("{more} more reasons")),
            _ if all.is_empty() => all.push("none".to_owned()),
            _ => {}
        }
        writeln!(page, "{:<20}{}", "refused", all.join(", "))
    }

    fn write_notes(&self, page: &mut String) -> fmt::Result {
        if self.notes.is_empty() {
            return Ok(());
        }
        writeln!(page)?;
        for note in self.notes.iter().take(NOTES) {
            writeln!(page, "{note}")?;
        }
        write_rest_of(page, self.notes.len(), NOTES, "notes")
    }
}

fn write_latency(
    page: &mut String,
    name: &str,
    latency: Option<Latency>,
    remark: &str,
) -> fmt::Result {
    let Some(Latency { p50, p99, max }) = latency else { return Ok(()) };
    let [p50, p99, max] = [p50, p99, max].map(grouped_rate);
    writeln!(page, "{name:<20}{p50}, p99 {p99}, max {max} us ({remark})")
}

fn rounded(latency: Option<Latency>, part: impl Fn(Latency) -> f64) -> Value {
    json!(latency.map(|latency| part(latency).round()))
}

fn write_rest(page: &mut String, count: usize, noun: &str) -> fmt::Result {
    write_rest_of(page, count, TOP, noun)
}

fn write_rest_of(page: &mut String, count: usize, shown: usize, noun: &str) -> fmt::Result {
    match count.checked_sub(shown) {
        Some(more) if more > 0 => writeln!(page, "and {more} more {noun}"),
        _ => Ok(()),
    }
}

/// 1234567 as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate without decimals; what is no number reads as 0.
fn grouped_rate(rate: f64) -> String {
    grouped(rate.round() as u64)
}

/// A mean with one decimal, rounded half away from zero, by whole numbers alone.
fn one_decimal(sum: i64, count: u64) -> String {
    let count = i128::from(count);
    if count == 0 {
        return "-".to_owned();
    }
    let sign = if sum < 0 { "-" } else { "" };
    let tenths = (i128::from(sum.unsigned_abs()) * 20 + count) / (2 * count);
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
}
