//! Does reading one event at a time find everything, where a segment ends?
//!
//! A cursor that stands at the end of a segment must not say that there is nothing, though the
//! next segment has more.

use factlog::{EventType, Opaque, Options, Start};

static BLOCK: EventType = EventType::opaque("block", 1);

#[test]
fn does_a_loop_over_single_events_cross_segments() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    let payload = [3_u8; 10_000];
    for _ in 0..2_000 {
        writer.append(&Opaque::new(&BLOCK, &payload)).expect("appended");
    }
    assert!(writer.log().stats().rollovers > 3);
    let mut cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
    let mut seen = 0;
    while let Some(event) = cursor.next_event().expect("readable") {
        seen += 1;
        assert_eq!(event.sequence().get(), seen);
        assert_eq!(event.payload().len(), payload.len());
    }
    assert_eq!(seen, 2_000);
    assert_eq!(cursor.next_sequence().get(), 2_001);
}
