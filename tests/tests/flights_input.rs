//! Does the flights example read its table as it says?
//!
//! Goal: the facts made of a row have the right instants, and a bad row is named and passed over.
//! Method: totals and order of the
//! built-in month were computed by another program and are pinned here; arrivals are compared with
//! a clock that is watched minute by minute; fields with those that the `csv` crate finds.

#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/input/mod.rs"]
mod input;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use input::reason::{Column, Excerpt};
use input::{Input, Problem, Reason, Step, StepKind};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

const HEADER: &str = "dep_time,dep_delay,arr_time,sched_arr_time,carrier,flight,tailnum,origin,\
                      dest,minute,time_hour";
const GOOD: &str = "517,2,830,819,UA,1545,N14228,EWR,IAH,15,2013-01-01T10:00:00Z";
const JANUARY: &[u8] = include_bytes!("../../engine/examples/flights/data/flights-2013-01.csv.zst");
const AIRPORTS: &str = include_str!("../../engine/examples/flights/data/airports.csv");

fn read(text: impl AsRef<[u8]>) -> Result<Input, Problem> {
    input::from_reader(text.as_ref(), u64::MAX, &mut |_, _| ())
}

/// The header and these rows.
fn table(rows: &[&str]) -> String {
    [&[HEADER], rows].concat().join("\n")
}

fn instant(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_second()
}

fn january_text() -> Vec<u8> {
    let mut text = Vec::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(JANUARY).unwrap();
    decoder.read_to_end(&mut text).unwrap();
    text
}

fn rank(kind: StepKind) -> u8 {
    match kind {
        StepKind::Scheduled => 0,
        StepKind::Departed { .. } => 1,
        StepKind::Arrived | StepKind::Cancelled | StepKind::Diverted => 2,
    }
}

#[test]
fn is_january_what_another_program_counted() {
    let input = input::january().unwrap();
    let mut counts = BTreeMap::new();
    let mut delay = 0;
    // A number that depends on each step's instant, kind, flight and place.
    let mut order = 0_u64;
    for Step { at, row, kind } in &input.steps {
        let name = match kind {
            StepKind::Scheduled => "scheduled",
            StepKind::Departed { delay_minutes } => {
                delay += delay_minutes;
                "departed"
            }
            StepKind::Arrived => "arrived",
            StepKind::Cancelled => "cancelled",
            StepKind::Diverted => "diverted",
        };
        *counts.entry(name).or_insert(0) += 1;
        order = order.wrapping_mul(1_000_003)
            ^ at.cast_unsigned()
            ^ (u64::from(rank(*kind)) << 56)
            ^ (u64::from(*row) << 20);
    }
    let expected = [
        ("arrived", 26_468),
        ("cancelled", 521),
        ("departed", 26_483),
        ("diverted", 15),
        ("scheduled", 27_004),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
    assert_eq!(input.flights.len(), 27_004);
    assert_eq!(input.steps.len(), 80_491);
    assert_eq!(delay, 265_801);
    let tails: BTreeSet<_> = input.flights.iter().filter_map(|flight| flight.tail).collect();
    assert_eq!(tails.len(), 3_148);
    assert_eq!((input.bad_count, input.bad.len()), (0, 0));
    assert_eq!(order, 0xb745_61a3_fe27_9668);
}

#[test]
fn are_arrivals_where_a_watched_clock_first_shows_them() {
    let rules = TimeZoneDatabase::bundled();
    let zones: BTreeMap<&str, TimeZone> = AIRPORTS
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(code, zone)| (code, rules.get(zone).unwrap()))
        .collect();
    let input = input::january().unwrap();
    let text = january_text();
    let mut rows = csv::Reader::from_reader(text.as_slice());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    let mut departed = BTreeMap::new();
    for step in &input.steps {
        if matches!(step.kind, StepKind::Departed { .. }) {
            departed.insert(step.row, step.at);
        }
        // One flight in eleven is enough for all airports and hours.
        if step.kind != StepKind::Arrived || step.row % 11 != 0 {
            continue;
        }
        let row = &rows[step.row as usize];
        let reading: i32 = row[6].parse().unwrap();
        let mut at = departed[&step.row];
        loop {
            at += 60;
            let clock = zones[&row[13]].to_datetime(Timestamp::from_second(at).unwrap());
            if i32::from(clock.hour()) * 100 + i32::from(clock.minute()) == reading % 2400 {
                break;
            }
        }
        assert_eq!(step.at, at, "{row:?}");
    }
}

#[test]
fn are_fields_those_that_the_csv_crate_finds() {
    let input = input::january().unwrap();
    let text = january_text();
    let mut rows = csv::Reader::from_reader(text.as_slice());
    for (flight, row) in input.flights.iter().zip(rows.records()) {
        let row = row.unwrap();
        assert_eq!(flight.carrier.as_str(), &row[9]);
        assert_eq!(flight.number.to_string(), &row[10]);
        assert_eq!(flight.tail.as_ref().map_or("NA", |tail| tail.as_str()), &row[11]);
        assert_eq!(flight.origin.as_str(), &row[12]);
        assert_eq!(flight.dest.as_str(), &row[13]);
        assert_eq!(flight.scheduled_departure, instant(&row[18]) + 60 * number(&row[17]));
    }
    for line in ["a,b", "", ",", "\"a,b\",c", "\"a\"\"b\",", "\"\"\"\"", "a\"b,c\"\"", "\"\",\"\""]
    {
        let mut fields = input::lines::Fields::default();
        fields.split(line).unwrap();
        let mut reader = csv::ReaderBuilder::new();
        let mut oracle = reader.has_headers(false).from_reader(line.as_bytes());
        let record = oracle.records().next().unwrap_or(Ok(vec![""].into())).unwrap();
        assert_eq!(fields.iter().collect::<Vec<_>>(), record.iter().collect::<Vec<_>>(), "{line}");
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

/// When a flight arrived that left at an instant (a full minute, on time).
fn arrival(departure: &str, dest: &str, reading: &str) -> i64 {
    let (hour, minute) = (&departure[..13], &departure[14..16]);
    let row = format!("0,0,{reading},1200,AA,1,,JFK,{dest},{minute},{hour}:00:00Z");
    let input = read(table(&[&row])).unwrap();
    assert_eq!(input.bad, [], "{row}");
    let [_, departed, arrived] = input.steps[..] else { panic!("three steps") };
    assert_eq!((departed.at, arrived.kind), (instant(departure), StepKind::Arrived));
    arrived.at
}

#[test]
fn which_instant_does_a_clock_reading_mean() {
    let cases = [
        ("the same day", "2013-01-01T10:17:00Z", "IAH", "830", "2013-01-01T14:30:00Z"),
        ("midnight as 2400", "2013-01-05T02:00:00Z", "BOS", "2400", "2013-01-05T05:00:00Z"),
        ("midnight as 0", "2013-01-05T02:00:00Z", "BOS", "0", "2013-01-05T05:00:00Z"),
        ("after midnight", "2013-01-05T04:30:00Z", "BOS", "32", "2013-01-05T05:32:00Z"),
        ("west, the next day there", "2013-01-02T04:59:00Z", "SFO", "312", "2013-01-02T11:12:00Z"),
        ("west, the same day there", "2013-01-02T04:59:00Z", "LAX", "2355", "2013-01-02T07:55:00Z"),
        ("far west", "2013-01-02T15:00:00Z", "HNL", "1530", "2013-01-03T01:30:00Z"),
        ("east, the next day there", "2013-01-02T04:59:00Z", "SJU", "437", "2013-01-02T08:37:00Z"),
        (
            "an island without summer time",
            "2013-07-02T12:00:00Z",
            "STT",
            "1145",
            "2013-07-02T15:45:00Z",
        ),
        (
            "a desert without summer time",
            "2013-07-02T15:00:00Z",
            "PHX",
            "1200",
            "2013-07-02T19:00:00Z",
        ),
        ("summer time", "2013-07-02T15:00:00Z", "DEN", "1200", "2013-07-02T18:00:00Z"),
        (
            "the reading of the departure",
            "2013-01-01T10:00:00Z",
            "BOS",
            "500",
            "2013-01-02T10:00:00Z",
        ),
        // Chicago, 10 March 2013, 02:00 CST is 03:00 CDT: 08:00 UTC.
        ("over the gap", "2013-03-10T06:30:00Z", "ORD", "301", "2013-03-10T08:01:00Z"),
        ("before the gap", "2013-03-10T06:30:00Z", "ORD", "159", "2013-03-10T07:59:00Z"),
        ("in the gap", "2013-03-10T06:30:00Z", "ORD", "230", "2013-03-10T08:30:00Z"),
        ("in the gap, left after it", "2013-03-10T08:10:00Z", "ORD", "230", "2013-03-10T08:30:00Z"),
        ("in the gap, left too late", "2013-03-10T08:30:00Z", "ORD", "230", "2013-03-11T07:30:00Z"),
        ("a day before the gap", "2013-03-09T20:00:00Z", "ORD", "1500", "2013-03-09T21:00:00Z"),
        // Boston, 3 November 2013, 02:00 EDT is 01:00 EST: 06:00 UTC.
        ("first of two", "2013-11-03T04:50:00Z", "BOS", "130", "2013-11-03T05:30:00Z"),
        ("second of two", "2013-11-03T05:40:00Z", "BOS", "130", "2013-11-03T06:30:00Z"),
        ("second, left at the first", "2013-11-03T05:30:00Z", "BOS", "130", "2013-11-03T06:30:00Z"),
        ("after both", "2013-11-03T06:40:00Z", "BOS", "130", "2013-11-04T06:30:00Z"),
        (
            "over the hour that comes twice",
            "2013-11-03T04:50:00Z",
            "BOS",
            "200",
            "2013-11-03T07:00:00Z",
        ),
        (
            "by the rule for later years",
            "2050-07-02T15:00:00Z",
            "DEN",
            "1200",
            "2050-07-02T18:00:00Z",
        ),
    ];
    for (case, departure, dest, reading, expected) in cases {
        assert_eq!(arrival(departure, dest, reading), instant(expected), "{case}");
    }
}

#[test]
fn which_facts_does_each_kind_of_flight_leave() {
    let facts = |row: &str| -> Vec<(i64, StepKind)> {
        let input = read(table(&[row])).unwrap();
        assert_eq!(input.bad, []);
        input.steps.iter().map(|step| (step.at, step.kind)).collect()
    };
    let planned = instant("2013-01-01T10:15:00Z");
    let scheduled = (planned - 86_400, StepKind::Scheduled);
    let departed = |delay_minutes: i32| {
        (planned + 60 * i64::from(delay_minutes), StepKind::Departed { delay_minutes })
    };
    let arrived = (instant("2013-01-01T14:30:00Z"), StepKind::Arrived);
    let landing = instant("2013-01-01T14:19:00Z");

    assert_eq!(facts(GOOD), [scheduled, departed(2), arrived]);
    assert_eq!(facts(&GOOD.replace("517,2", "510,-5")), [scheduled, departed(-5), arrived]);
    for missing in ["NA,NA,NA", ",,"] {
        let cancelled = (planned, StepKind::Cancelled);
        assert_eq!(facts(&GOOD.replace("517,2,830", missing)), [scheduled, cancelled]);
    }
    // 08:19 in Houston is 244 minutes after the scheduled departure.
    for (delay, at) in [(2, landing), (243, landing), (244, landing + 60), (300, landing + 57 * 60)]
    {
        let row = GOOD.replace("517,2,830", &format!("517,{delay},NA"));
        assert_eq!(facts(&row), [scheduled, departed(delay), (at, StepKind::Diverted)]);
    }
}

#[test]
fn is_the_order_one_and_only_one() {
    let input = read(january_text()).unwrap();
    assert_eq!(input, input::january().unwrap());
    let keys: Vec<_> =
        input.steps.iter().map(|step| (step.at, rank(step.kind), step.row)).collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "no two steps are at one place");

    // A departure, a plan and a cancellation at one instant, in an order that must not count.
    let cancelled = "NA,NA,NA,819,UA,1,,EWR,IAH,17,2013-01-01T10:00:00Z";
    let planned = "NA,NA,NA,819,UA,2,,EWR,IAH,17,2013-01-02T10:00:00Z";
    let input = read(table(&[cancelled, GOOD, planned])).unwrap();
    let now = instant("2013-01-01T10:17:00Z");
    let there: Vec<_> = input.steps.iter().filter(|step| step.at == now).collect();
    assert_eq!(there.iter().map(|step| step.row).collect::<Vec<_>>(), [2, 1, 0]);
}

#[test]
fn which_reason_does_each_bad_row_get() {
    let with = |from: &str, to: &str| GOOD.replacen(from, to, 1);
    let of = Excerpt::of;
    let cases = [
        (with("N14228", "\"N14228"), Reason::BadQuotes),
        (with("N14228", "\"N14\"228"), Reason::BadQuotes),
        (with(",15,", ",15,0,"), Reason::ColumnCount { expected: 11, found: 12 }),
        (with(",15,", ","), Reason::ColumnCount { expected: 11, found: 10 }),
        ("x".to_owned(), Reason::ColumnCount { expected: 11, found: 1 }),
        (with(",UA,", ",NA,"), Reason::Missing(Column::Carrier)),
        (with(",1545,", ",,"), Reason::Missing(Column::Flight)),
        (with(",819,", ",NA,"), Reason::Missing(Column::SchedArrTime)),
        (with(",15,", ",NA,"), Reason::Missing(Column::Minute)),
        (with("IAH", ""), Reason::Missing(Column::Dest)),
        (with(",830,", ",8:30,"), Reason::NotANumber(Column::ArrTime, of("8:30"))),
        (with(",830,", ",830.5,"), Reason::NotANumber(Column::ArrTime, of("830.5"))),
        (
            with(",1545,", ",99999999999999999999,"),
            Reason::NotANumber(Column::Flight, of("99999999999999999999")),
        ),
        (with(",1545,", ",-1,"), Reason::OutOfRange(Column::Flight, of("-1"))),
        (with(",15,", ",60,"), Reason::OutOfRange(Column::Minute, of("60"))),
        (with("517,2,", "517,-1440,"), Reason::OutOfRange(Column::DepDelay, of("-1440"))),
        (with("517,2,", "517,2000000000,"), Reason::OutOfRange(Column::DepDelay, of("2000000000"))),
        (with("2013-", "1913-"), Reason::OutOfRange(Column::TimeHour, of("1913-01-01T10:00:00Z"))),
        (with(",830,", ",2561,"), Reason::NotAClockTime(Column::ArrTime, of("2561"))),
        (with(",830,", ",2401,"), Reason::NotAClockTime(Column::ArrTime, of("2401"))),
        (with("517,", "-5,"), Reason::NotAClockTime(Column::DepTime, of("-5"))),
        (with(",819,", ",1060,"), Reason::NotAClockTime(Column::SchedArrTime, of("1060"))),
        (with("2013-01-01T10:00:00Z", "yesterday"), Reason::NotAnHour(of("yesterday"))),
        (with("10:00:00Z", "10:30:00Z"), Reason::NotAnHour(of("2013-01-01T10:30:00Z"))),
        (with("10:00:00Z", "10:00:00"), Reason::NotAnHour(of("2013-01-01T10:00:00"))),
        (with("UA", "United"), Reason::NotACode(Column::Carrier, of("United"))),
        (with("N14228", "N 1"), Reason::NotACode(Column::TailNum, of("N 1"))),
        (with("IAH", "XYZ"), Reason::UnknownAirport(Column::Dest, of("XYZ"))),
        (with("EWR", "Newark"), Reason::UnknownAirport(Column::Origin, of("Newark"))),
        (with("517,2,", "517,NA,"), Reason::DepartedWithoutDelay),
        (with("517,2,", "NA,2,"), Reason::ArrivedWithoutDeparture),
    ];
    for (row, reason) in cases {
        let input = read(table(&[GOOD, &row, GOOD])).unwrap();
        assert_eq!(input.flights.len(), 2, "{row}: the rows around it are read");
        assert_eq!(input.bad_count, 1, "{row}");
        assert_eq!((input.bad[0].line, input.bad[0].reason), (3, reason), "{row}");
        assert!(!reason.to_string().is_empty());
    }
    let mut bytes = table(&[GOOD, GOOD]).into_bytes();
    let at = bytes.len() - 30;
    bytes[at] = 0xff;
    let input = read(bytes).unwrap();
    assert_eq!((input.bad[0].line, input.bad[0].reason), (3, Reason::NotUtf8));
    let shown = Reason::UnknownAirport(Column::Dest, of("\u{1b}[2J")).to_string();
    assert_eq!(shown, "dest is an airport whose time zone is not known: '\\u{1b}[2J'");
}
