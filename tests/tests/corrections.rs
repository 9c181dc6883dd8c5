//! Are corrections new facts: checked, marked, and nothing taken back?

use std::collections::BTreeMap;

use factlog::{
    Aggregate, AppendError, CommandError, Context, CorrectionFault, Draft, Engine, Events,
    Expected, Failure, Meta, Options, Sequence, Start, State, StreamKey, StreamVersion, Writer,
};
use factlog_tests::{Random, scratch};

#[factlog::event(name = "set-price", version = 1)]
struct SetPrice {
    cents: u64,
    /// The event that was wrong; 0 for none.
    instead_of: u64,
}

#[factlog::event(name = "price-set", version = 1)]
struct PriceSet {
    cents: u64,
}

#[factlog::event(name = "price-corrected", version = 1)]
struct PriceCorrected {
    cents: u64,
}

#[factlog::vocabulary]
enum PriceEvent {
    Set(PriceSet),
    Corrected(PriceCorrected),
}

#[derive(Default)]
struct Price {
    cents: u64,
    folded: u64,
}

impl State for Price {
    const NAME: &'static str = "price";
    type Key = u64;
    type Event = PriceEvent;

    fn evolve(&mut self, event: PriceEventView<'_>) {
        self.folded += 1;
        self.cents = match event {
            PriceEventView::Set(set) => set.cents(),
            PriceEventView::Corrected(corrected) => corrected.cents(),
        };
    }
}

impl Aggregate for Price {
    type Command = SetPrice;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        &SetPrice { cents, instead_of }: &SetPrice,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<PriceEvent>, String> {
        Ok(match instead_of {
            0 => Events::one(PriceSet { cents }),
            wrong => Events::one(PriceCorrected { cents }).invalidating(Sequence::new(wrong)),
        })
    }
}

fn price(key: u64) -> StreamKey {
    StreamKey::new("price", key).expect("a name")
}

/// Scenario 2 of the design, without its look into the past.
#[test]
fn does_the_view_show_the_correction_and_history_both_facts() {
    let directory = scratch();
    let engine = Engine::open(directory.path()).aggregate::<Price>().start().expect("starts");
    let set = |cents, instead_of: u64| engine.call::<Price>(7_u64, SetPrice { cents, instead_of });
    let wrong = set(10, 0).expect("accepted").first;
    let right = set(12, wrong.get()).expect("accepted").first;
    let shown = || engine.ask::<Price, _>(7_u64, |price| (price.cents, price.folded));
    // The fold has passed over nothing.
    assert_eq!(shown().expect("answered"), (12, 2));

    let mut history = engine.log().stream_backwards(&price(7));
    let mut found = Vec::new();
    while let Some((event, by)) = history.next_marked().expect("readable") {
        let cents = match event.view::<PriceEvent>().expect("readable").expect("known") {
            PriceEventView::Set(set) => set.cents(),
            PriceEventView::Corrected(corrected) => corrected.cents(),
        };
        found.push((event.sequence(), cents, by));
    }
    assert_eq!(found, [(right, 12, None), (wrong, 10, Some(right))]);

    // A second correction of the same event, one of another instance's, one of what is to come.
    let end = engine.log().visible().0;
    let other = engine.call::<Price>(8_u64, SetPrice { cents: 1, instead_of: wrong.get() });
    assert!(matches!(
        &*fault(&other),
        AppendError::Correction(at, CorrectionFault::OtherStream(Some(of))) if *at == wrong && *of == price(7)
    ));
    let again = set(13, wrong.get());
    assert!(matches!(
        &*fault(&again),
        AppendError::Correction(at, CorrectionFault::Already(by)) if *at == wrong && *by == right
    ));
    let later = set(13, right.get() + 1);
    assert!(matches!(&*fault(&later), AppendError::Unknown(at) if *at == right.after(1)));
    assert_eq!(shown().expect("answered"), (12, 2), "what was refused has changed nothing");
    assert_eq!(engine.log().visible().0, end);
    // The correction can be corrected; and events that nobody decides are checked too.
    let raw = |earlier| {
        let draft = Draft::new(PriceCorrected { cents: 14 }).stream(price(7), Expected::Any);
        engine.append(vec![draft.invalidates(earlier)])
    };
    let refused = raw(wrong);
    assert!(matches!(
        &refused,
        Err(Failure::Append(error)) if matches!(&**error, AppendError::Correction(..))
    ));
    let last = raw(right).expect("appended").0;
    assert_eq!(shown().expect("answered"), (14, 3));
    engine.close().expect("closes");

    // After a restart the same is known.
    let engine = Engine::open(directory.path()).aggregate::<Price>().start().expect("starts");
    let corrections = engine.log().corrections(&price(7)).expect("readable");
    assert_eq!(corrections.iter().collect::<Vec<_>>(), [(wrong, right), (right, last)]);
    let again = engine.call::<Price>(7_u64, SetPrice { cents: 1, instead_of: right.get() });
    assert!(matches!(
        &*fault(&again),
        AppendError::Correction(_, CorrectionFault::Already(by)) if *by == last
    ));
    engine.close().expect("closes");
}

/// Why a command failed.
fn fault<R: std::fmt::Debug, J: std::fmt::Debug>(
    answer: &Result<R, CommandError<J>>,
) -> std::sync::Arc<AppendError> {
    match answer {
        Err(CommandError::Failed(Failure::Append(error))) => std::sync::Arc::clone(error),
        other => panic!("{other:?}"),
    }
}

/// What the log should have: the streams of each event, and what corrects it.
#[derive(Default)]
struct Model {
    /// By sequence less one.
    streams: Vec<Vec<u64>>,
    corrected: BTreeMap<u64, u64>,
}

impl Model {
    /// Whether an event of these streams may correct `target`.
    fn may(&self, target: u64, streams: &[u64]) -> bool {
        let Some(of) = target.checked_sub(1).and_then(|at| self.streams.get(at as usize)) else {
            return false;
        };
        !of.is_empty()
            && of.iter().all(|stream| streams.contains(stream))
            && !self.corrected.contains_key(&target)
    }
}

/// Transactions of events in up to three streams each, some of which correct a random earlier one, of
/// the same transaction too; some transactions are dropped, some single events refused.
fn append(writer: &mut Writer, model: &mut Model, random: &mut Random) -> (u32, u32) {
    let (mut right, mut wrong) = (0, 0);
    let keep = random.below(4) > 0;
    let before = (model.streams.len(), model.corrected.clone());
    let mut transaction = writer.begin().expect("begins");
    for _ in 0..1 + random.below(12) {
        let mut streams: Vec<u64> = (0..random.below(4)).map(|_| 1 + random.below(5)).collect();
        streams.sort_unstable();
        streams.dedup();
        // Any of them may be its own.
        if streams.len() > 1 && random.below(2) == 0 {
            streams.rotate_left(1);
        }
        let next = model.streams.len() as u64 + 1;
        let target = (random.below(2) == 0).then(|| random.below(next + 1));
        let names: Vec<_> = streams.iter().map(|stream| price(*stream)).collect();
        let further: Vec<_> = names.iter().skip(1).map(|name| (name, Expected::Any)).collect();
        let mut meta = Meta::new().further(&further);
        if let Some(own) = names.first() {
            meta = meta.stream(own, Expected::Any);
        }
        if let Some(target) = target {
            meta = meta.invalidates(Sequence::new(target));
        }
        let appended = transaction.append_with(&PriceSet { cents: next }, meta);
        match (target, appended) {
            (None, appended) => drop(appended.expect("appended")),
            (Some(target), Ok(_)) => {
                assert!(model.may(target, &streams), "{target} by {next} of {streams:?}");
                model.corrected.insert(target, next);
                right += 1;
            }
            (Some(target), Err(AppendError::Correction(at, _) | AppendError::Unknown(at))) => {
                assert!(!model.may(target, &streams), "{target} by {next} of {streams:?}");
                assert_eq!(at.get(), target);
                wrong += 1;
                continue;
            }
            (_, Err(other)) => panic!("{other}"),
        }
        model.streams.push(streams);
    }
    if keep {
        transaction.commit().expect("committed");
    } else {
        drop(transaction);
        model.streams.truncate(before.0);
        model.corrected = before.1;
    }
    (right, wrong)
}

#[test]
fn is_each_event_corrected_at_most_once_and_by_one_of_its_streams() {
    let (mut right, mut wrong) = (0, 0);
    for seed in 1..=30 {
        let directory = scratch();
        let (mut random, mut model) = (Random::new(seed), Model::default());
        for _ in 0..4 {
            let options = Options::new().segment_size(4 << 20);
            let mut writer = options.open(directory.path()).expect("opens");
            for _ in 0..20 {
                let counted = append(&mut writer, &mut model, &mut random);
                (right, wrong) = (right + counted.0, wrong + counted.1);
            }
            // Each stream has the marks that concern it.
            for stream in 1..=5 {
                let of = |sequence: &u64| model.streams[*sequence as usize - 1].contains(&stream);
                let marks = writer.log().corrections(&price(stream)).expect("readable");
                let expected: Vec<_> = model
                    .corrected
                    .iter()
                    .filter(|(target, by)| of(target) || of(by))
                    .map(|(target, by)| (Sequence::new(*target), Sequence::new(*by)))
                    .collect();
                let marks: Vec<_> = marks.iter().collect();
                assert!(marks.iter().all(|mark| expected.contains(mark)), "seed {seed}");
                let own = expected.iter().filter(|(target, _)| of(&target.get()));
                assert!(own.clone().all(|mark| marks.contains(mark)), "seed {seed}");
            }
            writer.close().expect("closes");
        }
        // Nothing was left out of the log.
        let log = Options::new().open_read_only(directory.path()).expect("opens");
        let mut cursor = log.cursor(Start::Oldest).expect("a cursor");
        let mut seen = BTreeMap::new();
        let mut events = 0;
        while let Some(event) = cursor.next_event().expect("readable") {
            events += 1;
            let streams = model.streams[events - 1].clone();
            assert_eq!(
                event.stream().map(ToString::to_string),
                streams.first().map(|own| price(*own).to_string())
            );
            if let Some(target) = event.invalidates().expect("readable") {
                seen.insert(target.get(), event.sequence().get());
            }
        }
        assert_eq!((events, seen), (model.streams.len(), model.corrected), "seed {seed}");
    }
    assert!(right > 300 && wrong > 300, "{right} corrections, {wrong} refused");
}

/// What retention has dropped cannot be corrected, and says so.
#[test]
fn is_the_correction_of_what_was_dropped_refused() {
    let directory = scratch();
    let options = Options::new().segment_size(4 << 20);
    let mut writer = options.open(directory.path()).expect("opens");
    let name = price(1);
    let of = || Meta::new().stream(&name, Expected::Any);
    let first = writer.append_with(&PriceSet { cents: 1 }, of()).expect("appended");
    let padding = vec![7_u8; 3000];
    while writer.log().stats().segments < 3 {
        let meta = of().metadata(&padding);
        writer.append_with(&PriceSet { cents: 2 }, meta).expect("appended");
    }
    writer.sync().expect("synced");
    let retained = writer.retain(&factlog::Retention::keep_segments(1)).expect("retained");
    assert!(retained.dropped > 0);
    let refused = writer.append_with(&PriceSet { cents: 3 }, of().invalidates(first));
    let Err(AppendError::Correction(at, CorrectionFault::Read(_))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(at, first);
    assert!(writer.log().corrections(&name).expect("what is left").is_empty());
    assert!(writer.log().stream_version(&name) > StreamVersion::NONE);
}
