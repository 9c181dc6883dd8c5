//! Are several versions of an event read where they stand, through one trait, without an allocation?
//! And is an earlier version that cannot be made newer held back, with its reason?
//!
//! An allocator counts on this thread; three versions stand in random order. What the trait shows is
//! held against what was appended, field for field.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use factlog::{
    AskError, Encode, Engine, Event, Expected, Meta, Newer, Options, Scratch, Sequence, Start,
    State, StreamKey, SuspensionCause, Upcast, UpcastError, Upcasts, Vocabulary, Writer,
};
use factlog_tests::{Random, scratch};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator; counting touches nothing else.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Version 1: in dollars, and nobody wrote down who it was.
#[factlog::event(name = "price-set", version = 1)]
struct PriceSetV1 {
    cents: u32,
}

/// Version 2: who it was, and labels.
#[factlog::event(name = "price-set", version = 2)]
struct PriceSetV2 {
    cents: u32,
    by: String,
    labels: Vec<String>,
}

/// Version 3: in any currency; more is possible.
#[factlog::event(name = "price-set", version = 3)]
struct PriceSet {
    cents: u64,
    currency: String,
    by: Option<String>,
    labels: Vec<String>,
}

#[factlog::vocabulary]
enum AnyPrice {
    One(PriceSetV1),
    Two(PriceSetV2),
    Three(PriceSet),
}

/// What they have in common.
#[factlog::versions(AnyPrice {
    One(old) => { cents: old.cents().into(), currency: "USD", by: None, labels: 0 },
    Two(old) => {
        cents: old.cents().into(),
        currency: "USD",
        by: Some(old.by()),
        labels: old.labels().len(),
    },
    Three(new) => { labels: new.labels().len() },
})]
trait Price<'log> {
    fn cents(&self) -> u64;
    fn currency(&self) -> &'log str;
    fn by(&self) -> Option<&'log str>;
    fn labels(&self) -> usize;

    /// Made of the others.
    fn is_dear(&self) -> bool {
        self.cents() >= 1_000
    }
}

/// A trait without a lifetime, of which version 3 has everything; it can be a trait object.
#[factlog::versions(AnyPrice {
    One(_) => { currency: "USD" },
    Two(_) => { currency: "USD" },
    Three,
})]
trait Currency {
    fn currency(&self) -> &str;
}

#[derive(Debug, PartialEq)]
struct Seen {
    cents: u64,
    currency: String,
    by: Option<String>,
    labels: usize,
}

/// Appends one of a random version; what it must be seen as.
fn append(writer: &mut Writer, random: &mut Random) -> Seen {
    let cents = random.below(2_000) as u32;
    let labels = random.below(4) as usize;
    let texts = || (0..labels).map(|n| format!("a label that is not in place {n}")).collect();
    let who = format!("somebody with a long name, number {cents}");
    let seen = |currency: &str, by: Option<&String>, labels| Seen {
        cents: cents.into(),
        currency: currency.into(),
        by: by.cloned(),
        labels,
    };
    let mut put = |event: &AnyPrice| writer.append(event).map(|_| ()).expect("appended");
    match random.below(3) {
        0 => {
            put(&PriceSetV1 { cents }.into());
            seen("USD", None, 0)
        }
        1 => {
            put(&PriceSetV2 { cents, by: who.clone(), labels: texts() }.into());
            seen("USD", Some(&who), labels)
        }
        _ => {
            let by = cents.is_multiple_of(2).then_some(who);
            let currency = "a currency of many letters".to_owned();
            let event = PriceSet { cents: cents.into(), currency, by: by.clone(), labels: texts() };
            put(&event.into());
            seen("a currency of many letters", by.as_ref(), labels)
        }
    }
}

/// Reads the log in place and holds it against `expected`; how many allocations that took after the
/// first event, which makes what the cursor keeps.
fn read(cursor: &mut factlog::Cursor, expected: &[Seen]) -> (usize, u64) {
    let (mut seen, mut before) = (0, 0);
    while let Some(event) = cursor.next_event().expect("readable") {
        let price = event.view::<AnyPrice>().expect("valid").expect("known");
        let should = &expected[seen];
        let same = price.cents() == should.cents
            && Price::currency(&price) == should.currency
            && price.by() == should.by.as_deref()
            && price.labels() == should.labels
            && price.is_dear() == (should.cents >= 1_000);
        assert!(same, "event {seen} is {should:?}, and was seen as {price:?}");
        let object: &dyn Currency = &price;
        assert!(object.currency() == should.currency, "event {seen}");
        if seen == 0 {
            before = ALLOCATIONS.with(Cell::get);
        }
        seen += 1;
    }
    (seen, ALLOCATIONS.with(Cell::get) - before)
}

#[test]
fn are_mixed_versions_read_in_place_without_an_allocation() {
    for seed in 1..=5 {
        let directory = scratch();
        let options = Options::new().segment_size(4 << 20).vocabulary::<AnyPrice>();
        let mut writer = options.open(directory.path()).expect("opens");
        let mut random = Random::new(seed);
        let expected: Vec<_> = (0..500).map(|_| append(&mut writer, &mut random)).collect();
        assert!(ALLOCATIONS.with(Cell::get) > 500, "the counter counts");
        assert_eq!(writer.log().types().count(), 3, "all versions are there");
        let mut cursor = writer.log().cursor(Start::Oldest).expect("a cursor");
        assert_eq!(read(&mut cursor, &expected), (500, 0), "seed {seed}");
    }
}

/// What a getter gives may outlive the view: it borrows from the payload.
fn currency_of(payload: &[u8]) -> &str {
    let view = AnyPrice::view(PriceSet::static_type().key(), payload);
    let view = view.expect("valid").expect("known");
    Price::currency(&view)
}

#[test]
fn does_text_outlive_the_view() {
    let event = PriceSet { cents: 1, currency: "EUR".into(), by: None, labels: vec!["a".into()] };
    let mut space = [0_u128; 16];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
    let len = event.encode(bytes, &mut Scratch::new()).expect("it fits");
    assert_eq!(currency_of(&bytes[..len]), "EUR");
}

/// Becomes a text of so many bytes.
#[factlog::event(name = "noted", version = 1)]
struct NotedV1 {
    bytes: u64,
}

/// Becomes version 3, which becomes version 2.
#[factlog::event(name = "noted", version = 2)]
struct NotedV2 {
    nothing: u8,
}

#[factlog::event(name = "noted", version = 3)]
struct NotedV3 {
    nothing: u8,
}

#[factlog::event(name = "noted", version = 4)]
struct Noted {
    text: String,
}

#[factlog::vocabulary(earlier(NotedV1, NotedV2, NotedV3))]
enum NoteEvent {
    Noted(Noted),
}

impl Upcast<NoteEvent> for NotedV1 {
    fn upcast(old: &NotedV1View, newer: &mut Newer<'_, NoteEvent>) {
        newer.push(Noted { text: "x".repeat(old.bytes() as usize) });
        // What comes after a fault is not seen.
        newer.push(Noted { text: "y".into() });
    }
}

impl Upcast<NoteEvent> for NotedV2 {
    fn upcast(old: &NotedV2View, newer: &mut Newer<'_, NoteEvent>) {
        newer.chain(&NotedV3 { nothing: old.nothing() });
    }
}

impl Upcast<NoteEvent> for NotedV3 {
    fn upcast(old: &NotedV3View, newer: &mut Newer<'_, NoteEvent>) {
        newer.chain(&NotedV2 { nothing: old.nothing() });
    }
}

#[derive(Default)]
struct Notes {
    bytes: u64,
}

impl State for Notes {
    const NAME: &'static str = "notes";
    type Key = u64;
    type Event = NoteEvent;

    fn evolve(&mut self, NoteEventView::Noted(noted): NoteEventView<'_>) {
        self.bytes += noted.text().len() as u64;
    }
}

#[factlog::event(name = "note", version = 1)]
struct Note {
    text: String,
}

impl factlog::Aggregate for Notes {
    type Command = Note;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        note: &Note,
        _: &mut factlog::Context<'_, Self>,
    ) -> Result<factlog::Events<NoteEvent>, String> {
        Ok(factlog::Events::one(Noted { text: note.text.clone() }))
    }
}

const LARGEST: u64 = 16 << 20;

/// A stream of its own for each of these; which of them are folded, and to what.
#[test]
fn is_what_has_no_archive_suspended_with_its_reason() {
    let directory = scratch();
    let options = || Options::new().segment_size(4 << 20);
    let mut writer = options().open(directory.path()).expect("opens");
    let mut put = |key: u64, event: &dyn Encode| {
        let stream = StreamKey::new("notes", key).expect("a key");
        let by_ref = ByRef(event);
        writer.append_with(&by_ref, Meta::new().stream(&stream, Expected::Any)).expect("appended");
    };
    put(1, &NotedV1 { bytes: LARGEST - 64 });
    put(2, &NotedV1 { bytes: 3 });
    put(2, &NotedV1 { bytes: LARGEST });
    put(3, &NotedV2 { nothing: 0 });
    put(4, &NotedV3 { nothing: 0 });
    writer.close().expect("closes");

    let builder = Engine::open(directory.path()).options(options()).aggregate::<Notes>();
    let engine = builder.start().expect("an engine");
    let bytes = |key: u64| engine.ask::<Notes, _>(key, |notes| notes.bytes);
    assert_eq!(bytes(1).expect("folded"), LARGEST - 64 + 1);
    let not_upcast = |key: u64, version: u64, part: &str| match bytes(key) {
        Err(AskError::Suspended(why)) => {
            assert_eq!(why.version.get(), version);
            let SuspensionCause::NotUpcast(said) = why.cause else { panic!("{why:?}") };
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
        other => panic!("{other:?}"),
    };
    not_upcast(2, 2, "cannot be archived");
    not_upcast(3, 1, "become each other");
    not_upcast(4, 1, "become each other");
    // It takes no commands; a new one does.
    assert!(engine.call::<Notes>(2, Note { text: "z".into() }).is_err());
    engine.call::<Notes>(5, Note { text: "zz".into() }).expect("accepted");
    assert_eq!(bytes(5).expect("folded"), 2);

    // A reader is told so as well.
    let mut cursor = engine.log().cursor(Start::Sequence(Sequence::new(3))).expect("a cursor");
    let event = cursor.next_event().expect("readable").expect("there");
    let error = event.newest::<NoteEvent>(&mut Upcasts::new(), |_| {}).expect_err("too large");
    assert!(matches!(error, UpcastError::Encode(_)), "{error:?}");
}

/// Some event, for a writer that takes sized ones.
struct ByRef<'e>(&'e dyn Encode);

impl Encode for ByRef<'_> {
    fn event_type(&self) -> &'static factlog::EventType {
        self.0.event_type()
    }
    fn fixed_size(&self) -> Option<usize> {
        self.0.fixed_size()
    }
    fn encode(&self, out: &mut [u8], scratch: &mut Scratch) -> Result<usize, factlog::EncodeError> {
        self.0.encode(out, scratch)
    }
}
