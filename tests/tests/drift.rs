//! What happens when types are not what they were, or are not known, and whether each segment can
//! be read without those before it.

use factlog::{
    AccessError, AppendError, EventType, Expected, Meta, Opaque, OpenError, Options, Start,
    StreamKey, render,
};
use factlog_codec::types::Description;
use factlog_codec::{ItemKind, Items, SegOpen, SegmentHeader, TypeItem, Walk};

mod before {
    #[factlog::event(name = "priced", version = 1)]
    pub(crate) struct Priced {
        pub(crate) cents: u64,
    }
}

mod after {
    #[factlog::event(name = "priced", version = 1)]
    pub(crate) struct Priced {
        pub(crate) cents: i64,
    }

    #[factlog::vocabulary]
    pub(crate) enum Prices {
        Priced(Priced),
    }
}

mod next {
    #[factlog::event(name = "priced", version = 2)]
    pub(crate) struct Priced {
        pub(crate) cents: i64,
    }
}

#[test]
fn is_a_changed_shape_an_error_that_says_what_to_do() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().open(directory.path()).expect("a log");
    writer.append(&before::Priced { cents: 10 }).expect("appended");
    let error = writer.append(&after::Priced { cents: 10 }).expect_err("another shape");
    let AppendError::Drift(drift) = &error else { panic!("{error:?}") };
    assert_eq!((drift.name, drift.version), ("priced", 1));
    assert!(error.to_string().contains("version = 2"), "{error}");
    // Nothing of it is in the log, and the next version is welcome.
    assert_eq!(writer.next_sequence().get(), 2);
    writer.append(&next::Priced { cents: -10 }).expect("a new version");

    let mut cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
    let event = cursor.next_event().expect("readable").expect("there");
    assert!(matches!(event.get::<after::Priced>(), Err(AccessError::Drift(_))));
    assert!(matches!(event.view::<after::Prices>(), Err(AccessError::Drift(_))));
    assert!(event.get::<next::Priced>().expect("no drift").is_none(), "another version");
    assert_eq!(event.get::<before::Priced>().expect("valid").expect("its type").cents(), 10);
    drop(writer);
    let error = Options::new().vocabulary::<after::Prices>().open(directory.path());
    assert!(matches!(error.expect_err("drift"), OpenError::Drift(_)));
    Options::new().open(directory.path()).expect("without the vocabulary it opens");
}

static NOTE: EventType = EventType::opaque("note.json", 1);

#[test]
fn can_unknown_events_be_passed_over_or_looked_at() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().open(directory.path()).expect("a log");
    writer.append(&Opaque::new(&NOTE, br#"{"a":1}"#)).expect("appended");
    writer.append(&next::Priced { cents: -10 }).expect("appended");
    let mut cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
    let event = cursor.next_event().expect("readable").expect("there");
    assert!(event.view::<after::Prices>().expect("no drift").is_none());
    assert_eq!(event.payload(), br#"{"a":1}"#);
    let known = event.event_type().expect("a type");
    assert_eq!((known.name(), known.version()), ("note.json", 1));
    assert!(known.description().is_none());
    let event = cursor.next_event().expect("readable").expect("there");
    let description = event.event_type().and_then(|known| known.description()).expect("described");
    let mut text = String::new();
    render(description, event.payload(), &mut text, 1_000).expect("rendered");
    assert_eq!(text, r#"{"cents":-10}"#);
}

#[factlog::event(name = "first", version = 1)]
struct First {
    number: u64,
    blob: Vec<u8>,
}

#[factlog::event(name = "second", version = 1)]
struct Second {
    text: String,
}

#[test]
fn can_the_last_segment_be_read_without_those_before_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    let stream = |number: u64| StreamKey::new("of", number).expect("a name");
    for number in 0..40 {
        let name = stream(number / 5);
        let meta = Meta::new().stream(&name, Expected::Any);
        let first = First { number, blob: vec![number as u8; 300_000] };
        writer.append_with(&first, meta).expect("appended");
        if number == 20 {
            writer.append(&Second { text: "in the middle".into() }).expect("appended");
        }
    }
    let (types, streams) = (writer.log().types().count(), writer.log().streams());
    let last = writer.log().visible().1.raw() >> 22;
    assert!(last > 2, "several segments");
    drop(writer);

    let path = directory.path().join(format!("seg/{last:010}.log"));
    let bytes = std::fs::read(path).expect("the last segment");
    let header = SegmentHeader::decode(&bytes).expect("a header");
    let mut walk = Walk::new(header.key(), &bytes, None);
    let frame = walk.next_frame().expect("a SEGOPEN");
    let (open, table) = SegOpen::decode(&frame).expect("a SEGOPEN");
    let mut known: Vec<Option<Description>> = vec![None];
    for (index, entry) in table.enumerate() {
        let (number, item) = entry.expect("a type");
        assert_eq!(usize::from(number.get()), index + 1);
        known.push(Description::decode(item.description).ok());
    }
    assert_eq!(known.len() - 1, types, "the table has every type");
    assert_eq!(open.next_type.expect("not used up").get() as usize, types + 1);
    let (mut rendered, mut next_stream) = (0, open.next_stream.get());
    while let Ok(frame) = walk.next_frame() {
        for item in Items::new(frame.body) {
            let item = item.expect("an item");
            match item.header.flags.kind {
                ItemKind::Stream => next_stream = item.header.stream.get() + 1,
                ItemKind::Type => {
                    let item = TypeItem::decode(item.payload).expect("a type");
                    known.push(Description::decode(item.description).ok());
                }
                ItemKind::Event => {
                    let number = usize::from(item.header.type_number.get());
                    let description = known[number].as_ref().expect("described");
                    let mut text = String::new();
                    render(description, item.payload, &mut text, 4 << 20).expect("rendered");
                    assert!(text.starts_with(r#"{"number":"#), "{text:.40}");
                    rendered += 1;
                }
                _ => {}
            }
        }
    }
    assert!(rendered > 0);
    assert_eq!(next_stream, streams + 1);
}
