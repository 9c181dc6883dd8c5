//! Does a program that knows the format alone read a fork as it is?

use std::process::Command;

use factlog::Fork;
use factlog_tests::{Random, read_all, small};
use serde_json::Value;

use super::*;

/// What the reader in Python reads; `None` where there is no Python.
fn by_reader(directory: &Path) -> Option<Result<Vec<Value>, String>> {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/factlog_reader.py");
    let Ok(output) = Command::new("python3").arg("-B").arg(reader).arg(directory).output() else {
        println!("skipped: there is no python3");
        return None;
    };
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Some(Ok(text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()))
}

#[test]
fn does_the_reader_in_python_read_a_fork() {
    let mut random = Random::from_environment("forks read by another program");
    let directory = tempfile::tempdir().expect("a directory");
    let name = |number: usize| directory.path().join(format!("log-{number}"));
    let (writer, events) = origin(&name(0), &mut random, 2);
    writer.close().expect("closed");
    let frames = SegmentFile::read(&name(0), 2).frames();
    let mut at = frames[12].sequence;
    for number in 1..4 {
        let forked =
            Fork::of(&reading(&name(number - 1))).at(at).create(name(number)).expect("forked");
        for written in [false, true] {
            if written {
                let mut writer = small().open(name(number)).expect("opens");
                fill(&mut writer, &mut random, 1);
                writer.close().expect("closed");
            }
            let Some(read) = by_reader(&name(number)) else { return };
            let mut lines = read.expect("it reads it");
            let end = lines.pop().expect("an end");
            let expected = read_all(&reading(&name(number)));
            assert_eq!(end["end"]["next_sequence"], expected.len() + 1, "{end}");
            assert_eq!(lines.len(), expected.len());
            for (line, event) in lines.iter().zip(&expected) {
                assert_eq!(line["sequence"], event.sequence);
                assert_eq!(line["ts"], event.ts);
                assert_eq!(line["stream_version"], event.stream.as_ref().expect("one").1);
            }
        }
        at = sequence(forked.last.get() + 5);
    }
    // It believes no more than what the lineage says, either.
    fs::copy(
        factlog_tests::surgery::segment_path(&name(0), 2),
        factlog_tests::surgery::segment_path(&name(1), 3),
    )
    .expect("copied");
    let refused = by_reader(&name(1)).expect("it ran").expect_err("refused");
    assert!(refused.contains("another log") || refused.contains("number differs"), "{refused}");
    assert!(!events.is_empty());
}
