//! Does an event belong to every stream that it was given, and is a correction a link?

use factlog::{
    AppendError, EventType, Expected, Meta, Opaque, Sequence, Start, StreamKey, StreamVersion,
};
use factlog_tests::{scratch, small};

static FACT: EventType = EventType::opaque("fact", 1);

fn name(category: &str, key: u64) -> StreamKey {
    StreamKey::new(category, key).expect("a name")
}

fn fact(number: &u64) -> Opaque<'_> {
    Opaque::new(&FACT, bytemuck::bytes_of(number))
}

/// Numbers of a stream's events, oldest first, read forwards and backwards.
fn stream(log: &factlog::Log, of: &StreamKey) -> Vec<u64> {
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("a number"));
    let (mut forwards, mut backwards) = (Vec::new(), Vec::new());
    let mut cursor = log.stream(of, StreamVersion::NONE);
    while let Some(event) = cursor.next_event().expect("readable") {
        forwards.push(number(event.payload()));
    }
    let mut cursor = log.stream_backwards(of);
    while let Some(event) = cursor.next_event().expect("readable") {
        backwards.push(number(event.payload()));
    }
    backwards.reverse();
    assert_eq!(forwards, backwards);
    forwards
}

#[test]
fn does_an_event_stand_in_all_its_streams() {
    let directory = scratch();
    let (course, students) = (name("course", 1), [name("student", 1), name("student", 2)]);
    let many: Vec<_> = (0..7).map(|key| name("seat", key)).collect();
    {
        let mut writer = small().open(directory.path()).expect("opens");
        for number in 0..300_u64 {
            let student = &students[(number % 2) as usize];
            let further = [(student, Expected::Any)];
            let meta = Meta::new().stream(&course, Expected::Any).further(&further);
            let meta =
                if number % 3 == 0 { Meta::new().stream(student, Expected::Any) } else { meta };
            writer.append_with(&fact(&number), meta).expect("appended");
        }
        // Seven are as many as there can be.
        let further: Vec<_> = many.iter().map(|seat| (seat, Expected::NEW)).collect();
        let meta = Meta::new().stream(&course, Expected::Any).further(&further);
        writer.append_with(&fact(&300), meta).expect("appended");
    }
    for _ in 0..2 {
        let writer = small().open(directory.path()).expect("opens");
        let log = writer.log();
        let in_course: Vec<u64> = (0..=300).filter(|n| n % 3 != 0 || *n == 300).collect();
        assert_eq!(stream(&log, &course), in_course);
        for (rest, student) in (0..).zip(&students) {
            let own: Vec<u64> = (0..300).filter(|number| number % 2 == rest).collect();
            assert_eq!(stream(&log, student), own);
        }
        for seat in &many {
            assert_eq!(stream(&log, seat), [300]);
        }
        let said = log.with_event(Sequence::new(301), |event| {
            let further = event.further_streams().expect("readable");
            further
                .into_iter()
                .map(|(name, version)| (name.clone(), version.get()))
                .collect::<Vec<_>>()
        });
        let all: Vec<_> = many.iter().map(|seat| (seat.clone(), 1)).collect();
        assert_eq!(said.expect("it is there"), all);
    }
}

#[test]
fn are_memberships_that_make_no_sense_refused() {
    let directory = scratch();
    let mut writer = small().open(directory.path()).expect("opens");
    let (own, other) = (name("own", 1), name("other", 1));
    let any = |stream| (stream, Expected::Any);
    let cases: [&[(&StreamKey, Expected)]; 2] = [&[any(&own)], &[any(&other), any(&other)]];
    for further in cases {
        let meta = Meta::new().stream(&own, Expected::Any).further(further);
        let refused = writer.append_with(&fact(&1), meta);
        assert!(matches!(refused, Err(AppendError::Membership(_))), "{refused:?}");
    }
    let refused = writer.append_with(&fact(&1), Meta::new().further(&[any(&other)]));
    assert!(matches!(refused, Err(AppendError::Membership(_))), "{refused:?}");
    let eight: Vec<_> = (0..8).map(|key| name("seat", key)).collect();
    let eight: Vec<_> = eight.iter().map(any).collect();
    let meta = Meta::new().stream(&own, Expected::Any).further(&eight);
    assert!(matches!(writer.append_with(&fact(&1), meta), Err(AppendError::Metadata(_))));
    // One that is not where it is expected takes all of it back.
    let late = [any(&other), (&eight[0].0.clone(), Expected::Version(StreamVersion::new(3)))];
    let meta = Meta::new().stream(&own, Expected::Any).further(&late);
    assert!(matches!(writer.append_with(&fact(&1), meta), Err(AppendError::Conflict { .. })));
    assert_eq!((writer.log().streams(), writer.next_sequence().get()), (0, 1));
    writer.append_with(&fact(&2), Meta::new().stream(&own, Expected::NEW)).expect("appended");
    assert_eq!(stream(&writer.log(), &own), [2]);
}

#[test]
fn is_a_correction_a_link_to_an_earlier_event() {
    let directory = scratch();
    let mut writer = small().open(directory.path()).expect("opens");
    let price = name("price", 1);
    let of = || Meta::new().stream(&price, Expected::Any);
    let first = writer.append_with(&fact(&10), of()).expect("appended");
    let second = writer.append_with(&fact(&12), of().invalidates(first)).expect("appended");
    for wrong in [Sequence::ZERO, second.after(1), second.after(9)] {
        let refused = writer.append_with(&fact(&1), of().invalidates(wrong));
        assert!(matches!(refused, Err(AppendError::Unknown(at)) if at == wrong), "{refused:?}");
    }
    drop(writer);
    let writer = small().open(directory.path()).expect("opens");
    let mut cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
    let mut found = Vec::new();
    while let Some(event) = cursor.next_event().expect("readable") {
        found.push(event.invalidates().expect("readable"));
    }
    // Both stay: what was said, and what is said now.
    assert_eq!(found, [None, Some(first)]);
}
