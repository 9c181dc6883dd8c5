//! Does the flights example take files as they come, and refuse those that are not its table?
//!
//! Goal: however a table is packed, quoted or ordered, the same flights come out of it; a file that
//! is damaged, cut short, hostile or something else is refused with the right reason and a bounded
//! use of memory. Method: small tables in many shapes, each cut and damaged in many places.

#[allow(dead_code, reason = "the example uses what this test does not")]
#[path = "../../engine/examples/flights/input/mod.rs"]
mod input;

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use input::decode::Packing;
use input::reason::Column;
use input::{Input, InputError, MAX_BAD_KEPT, Problem, Progress, Reason, Table};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

const HEADER: &str = "dep_time,dep_delay,arr_time,sched_arr_time,carrier,flight,tailnum,origin,\
                      dest,minute,time_hour";
const GOOD: &str = "517,2,830,819,UA,1545,N14228,EWR,IAH,15,2013-01-01T10:00:00Z";
const LATER: &str = "NA,NA,NA,907,B6,71,,JFK,SJU,0,2013-01-02T11:00:00Z";
const JANUARY: &[u8] = include_bytes!("../../engine/examples/flights/data/flights-2013-01.csv.zst");

fn read(bytes: impl AsRef<[u8]>) -> Result<Input, Problem> {
    input::from_reader(bytes.as_ref(), u64::MAX, &mut |_, _| ())
}

fn problem(bytes: impl AsRef<[u8]>) -> Problem {
    read(bytes).expect_err("this is not the table")
}

fn table() -> String {
    format!("{HEADER}\n{GOOD}\n{LATER}\n")
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

/// A table whose packed form is long enough to be cut in many places.
fn long_table() -> String {
    let rows: Vec<String> =
        (0..800).map(|n| GOOD.replace("1545", &(n * 7919 % 9973).to_string())).collect();
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

#[test]
fn are_all_shapes_of_a_table_the_same_table() {
    let expected = read(table()).unwrap();
    assert_eq!((expected.flights.len(), expected.steps.len()), (2, 5));
    let flip = |line: &str| line.rsplit(',').collect::<Vec<_>>().join(",");
    let quote = |line: &str| format!("\"{}\"", line.replace(',', "\",\""));
    let more = |line: &str| format!("\"x \"\"y\"\", z\",{line},");
    let shapes = [
        ("no line end at the end", table().trim_end().to_owned()),
        ("CR LF", table().replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{}", table())),
        ("blank lines", table().replace('\n', "\n\r\n\n")),
        ("another order", [HEADER, GOOD, LATER].map(flip).join("\n")),
        ("quotes", [HEADER, GOOD, LATER].map(quote).join("\n")),
        ("more columns", [HEADER, GOOD, LATER].map(more).join("\n")),
        ("spaces in the header", table().replacen("carrier,flight", " carrier , flight", 1)),
        ("decimals", table().replace("517,2,830", "517.0,2.0,830.0")),
        ("empty for NA", table().replace("NA", "")),
    ];
    for (shape, text) in shapes {
        assert_eq!(read(&text).unwrap(), expected, "{shape}");
        assert_eq!(read(gzip(text.as_bytes())).unwrap(), expected, "{shape}, gzip");
        assert_eq!(read(zstd(text.as_bytes())).unwrap(), expected, "{shape}, zstd");
    }
}

#[test]
fn are_packed_pieces_in_a_row_one_text() {
    let expected = read(table()).unwrap();
    let text = table();
    let (first, second) = text.as_bytes().split_at(150);
    assert_eq!(read([gzip(first), gzip(second)].concat()).unwrap(), expected);
    assert_eq!(read([zstd(first), zstd(b""), zstd(second)].concat()).unwrap(), expected);
    // A frame to pass over: magic, length, contents.
    let skip = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    assert_eq!(read([&skip[..], &zstd(first), &skip, &zstd(second)].concat()).unwrap(), expected);
    let cut = [zstd(text.as_bytes()), skip[..9].to_vec()].concat();
    assert!(matches!(problem(cut), Problem::Truncated { packing: Packing::Zstd, line: 3 }));
}

/// Gives one byte at a time, as a slow pipe does.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(1);
        self.0.read(&mut buffer[..most])
    }
}

#[test]
fn does_a_slow_source_give_the_same() {
    let expected = read(table()).unwrap();
    for bytes in [table().into_bytes(), gzip(table().as_bytes()), zstd(table().as_bytes())] {
        let slow = input::from_reader(Drip(&bytes), u64::MAX, &mut |_, _| ());
        assert_eq!(slow.unwrap(), expected);
    }
}

#[test]
fn is_a_packed_file_that_was_cut_always_refused() {
    let text = long_table();
    for (packing, bytes) in
        [(Packing::Gzip, gzip(text.as_bytes())), (Packing::Zstd, zstd(text.as_bytes()))]
    {
        assert_eq!(read(&bytes).unwrap().flights.len(), 800);
        let cuts = (4..bytes.len()).step_by(131).chain(bytes.len() - 12..bytes.len());
        for cut in cuts {
            match problem(&bytes[..cut]) {
                Problem::Truncated { packing: named, line } => {
                    assert_eq!(named, packing);
                    assert!(line <= 801);
                }
                other => panic!("{packing} cut at {cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn is_damage_in_a_packed_file_never_taken_for_data() {
    let text = long_table();
    let expected = read(&text).unwrap();
    for bytes in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        for at in (4..bytes.len()).step_by(113).chain(bytes.len() - 8..bytes.len()) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            // Nothing but the name and time that gzip keeps may change without harm.
            if let Ok(input) = read(&damaged) {
                assert_eq!(input, expected, "byte {at}");
            }
        }
    }
    // The checksum of the built-in month is its last four bytes.
    let mut january = JANUARY.to_vec();
    *january.last_mut().unwrap() ^= 1;
    let damaged = problem(january);
    assert!(matches!(damaged, Problem::Damaged { packing: Packing::Zstd, line: 27_005, .. }));
}

#[test]
fn is_a_file_that_is_not_the_table_named_for_what_it_is() {
    for empty in ["", "\n\r\n\n"] {
        assert!(matches!(problem(empty), Problem::Empty));
        assert!(matches!(problem(gzip(empty.as_bytes())), Problem::Empty));
    }
    let noise: Vec<u8> =
        (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let binaries = [
        noise.clone(),
        noise.iter().copied().filter(|byte| *byte != b'\n').collect(),
        vec![0; 1_000_000],
        b"PK\x03\x04\x14\0\0\0".to_vec(),
        b"\xfd7zXZ\0".to_vec(),
        table().encode_utf16().flat_map(u16::to_le_bytes).collect(),
        gzip(&noise),
    ];
    for (index, bytes) in binaries.iter().enumerate() {
        assert!(matches!(problem(bytes), Problem::Binary), "{index}");
    }
    match problem(table().replacen("dep_time", "departure", 1).replacen("dest", "to", 1)) {
        Problem::MissingColumns(columns) => assert_eq!(columns, [Column::DepTime, Column::Dest]),
        other => panic!("{other:?}"),
    }
    for other in ["hello", "<html>", "{\"a\": [1, 2]}", "\"open,dep_time"] {
        assert!(matches!(problem(other), Problem::MissingColumns(all) if all.len() == 11));
    }
    let twice = table().replacen("carrier", "dest", 1);
    assert!(matches!(problem(twice), Problem::RepeatedColumn(Column::Dest)));
    // A header alone is a table without flights.
    assert_eq!(read(HEADER).unwrap(), Input::default());
}

#[test]
fn are_lines_and_rows_without_end_refused() {
    let long = "x".repeat(input::lines::MAX_LINE_BYTES);
    let fits = format!("{HEADER}\n{long}\r\n{GOOD}");
    assert_eq!(read(fits).unwrap().bad_count, 1);
    let text = format!("{HEADER}\n{GOOD}\n{long}x");
    assert!(matches!(problem(&text), Problem::LineTooLong { line: 3 }));
    // Sources without an end: refused before they fill the memory.
    let endless = HEADER.as_bytes().chain(&b"\n"[..]).chain(io::repeat(b'x'));
    let refused = input::from_reader(endless, u64::MAX, &mut |_, _| ()).unwrap_err();
    assert!(matches!(refused, Problem::LineTooLong { line: 2 }));
    let endless = HEADER.as_bytes().chain(io::repeat(b'e'));
    let refused = input::from_reader(endless, u64::MAX, &mut |_, _| ()).unwrap_err();
    assert!(matches!(refused, Problem::LineTooLong { line: 1 }));
    // A character that is cut at the greatest length does not make a text binary.
    let text = format!("{}\u{e9}\u{e9}", "x".repeat(input::lines::MAX_LINE_BYTES + 1));
    assert!(matches!(problem(text), Problem::LineTooLong { line: 1 }));

    let limited = |most| input::from_reader(table().as_bytes(), most, &mut |_, _| ());
    assert_eq!(limited(2).unwrap().flights.len(), 2);
    assert!(matches!(limited(1), Err(Problem::TooManyRows { most: 1 })));
}

#[test]
fn are_all_bad_rows_counted_and_the_first_kept() {
    let bad = "x\n".repeat(MAX_BAD_KEPT + 500);
    let input = read(format!("{HEADER}\n{bad}{GOOD}")).unwrap();
    assert_eq!(input.bad_count, 1500);
    let lines: Vec<u64> = input.bad.iter().map(|bad| bad.line).collect();
    assert_eq!(lines, (2..1002).collect::<Vec<_>>());
    assert_eq!(input.bad[0].reason, Reason::ColumnCount { expected: 11, found: 1 });
    assert_eq!(input.bad[0].to_string(), "line 2: 1 fields where the header has 11");
    assert_eq!(input.flights.len(), 1);
}

fn open(path: &Path) -> Result<(Input, Vec<Progress>), InputError> {
    let mut progress = Vec::new();
    let input = input::from_file(path, &mut |step| progress.push(step))?;
    Ok((input, progress))
}

#[test]
fn is_a_file_read_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flights.csv.gz");
    for bytes in [table().into_bytes(), gzip(table().as_bytes()), zstd(table().as_bytes())] {
        fs::write(&path, &bytes).unwrap();
        let (input, progress) = open(&path).unwrap();
        assert_eq!(input, read(table()).unwrap());
        let length = bytes.len() as u64;
        assert_eq!(progress, [Progress { rows: 2, bytes: length, bytes_total: Some(length) }]);
    }
}

#[test]
fn do_errors_say_what_happened_where_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let says = |name: &str, bytes: Option<&[u8]>| {
        let path = dir.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).unwrap();
        }
        let error = open(&path).unwrap_err();
        assert_eq!(error.table, Table::File(path.clone()));
        let text = error.to_string();
        let message = text.strip_prefix(&format!("{}: ", path.display())).unwrap().to_owned();
        assert!(message.contains("; "), "it says what to do: {message}");
        (message, error)
    };
    let (message, error) = says("none", None);
    assert!(matches!(error.problem, Problem::NotFound));
    assert_eq!(message, "there is no such file; check the path given with --data");

    fs::create_dir(dir.path().join("folder")).unwrap();
    let (message, error) = says("folder", None);
    assert!(matches!(error.problem, Problem::Directory));
    assert_eq!(message, "this is a directory; give the table in it with --data");

    let (message, _) = says("other", Some(b"origin,dest,minute,carrier,flight,tailnum,time_hour"));
    assert!(message.contains("lacks the columns dep_time, dep_delay, arr_time, sched_arr_time;"));
    let packed = gzip(long_table().as_bytes());
    let (message, _) = says("cut", Some(&packed[..packed.len() - 9]));
    assert!(message.starts_with("the gzip data ends too early, after line "), "{message}");
    let (_, error) = says("tail", Some(&[&packed[..], b"garbage, and more of it"].concat()));
    assert!(matches!(error.problem, Problem::Damaged { line: 801, .. }), "{error}");
    assert!(error.source().is_some());
    says("empty", Some(b""));
    says("binary", Some(&[0; 10]));
    says("twice", Some(format!("{HEADER},dest").as_bytes()));
    says("long", Some(&[b'x'; 70_000]));
}
