//! Can it be seen what has come of an event: the tree of causes, without reading everything?

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use factlog::{
    Aggregate, Context, Engine, Events, LocalCommand, Log, Meta, Options, Retention, SeekError,
    Sequence, Start, State, StreamKey, Writer,
};
use factlog_tests::{Random, scratch};

#[factlog::event(name = "step-made", version = 1)]
struct StepMade {
    number: u64,
    fill: Vec<u8>,
}

fn open(directory: &Path) -> Writer {
    Options::new().segment_size(4 << 20).open(directory).expect("opens")
}

/// What the log should say: the root of each event that has one, and its cause.
#[derive(Default)]
struct Model {
    root: BTreeMap<u64, u64>,
    cause: BTreeMap<u64, u64>,
    events: u64,
}

/// Random events: roots, and what each of a few open conversations brings, in frames of several.
fn append(writer: &mut Writer, model: &mut Model, random: &mut Random, count: u64) {
    let mut open: Vec<u64> = Vec::new();
    for _ in 0..count {
        let mut transaction = writer.begin().expect("begins");
        for _ in 0..1 + random.below(4) {
            let number = model.events + 1;
            let fill = vec![7; random.below(700) as usize];
            let (mut meta, cause) = (Meta::new(), open.get(random.below(12) as usize).copied());
            if let Some(cause) = cause {
                let root = model.root.get(&cause).copied().unwrap_or(cause);
                meta = meta.correlation(Sequence::new(root));
                model.root.insert(number, root);
                // Some do not say which one it was.
                if random.below(8) > 0 {
                    meta = meta.cause(Sequence::new(cause));
                    model.cause.insert(number, cause);
                }
            }
            transaction.append_with(&StepMade { number, fill }, meta).expect("appended");
            model.events += 1;
            if open.len() < 6 {
                open.push(number);
            } else {
                let at = random.below(6) as usize;
                open[at] = number;
            }
        }
        transaction.commit().expect("committed");
    }
}

fn check(log: &Log, model: &Model, random: &mut Random, times: u64) {
    for _ in 0..times {
        let event = 1 + random.below(model.events);
        let root = model.root.get(&event).copied().unwrap_or(event);
        let expected: BTreeSet<u64> =
            model.root.iter().filter(|(_, of)| **of == root).map(|(event, _)| *event).collect();
        let found = log.conversation(Sequence::new(event), usize::MAX).expect("readable");
        assert!(found.is_whole() && found.root().get() == root);
        let events: BTreeSet<u64> = found.events().map(|one| one.sequence.get()).collect();
        assert_eq!(events, expected.iter().copied().chain([root]).collect(), "of {event}");
        for one in found.events() {
            let sequence = one.sequence.get();
            assert_eq!(one.cause.map(Sequence::get), model.cause.get(&sequence).copied());
            let children: Vec<u64> =
                found.caused_by(one.sequence).map(|child| child.sequence.get()).collect();
            let wanted = |child: &&u64| {
                let cause = model.cause.get(*child).copied().unwrap_or(root);
                **child != root && cause == sequence
            };
            assert_eq!(children, expected.iter().filter(wanted).copied().collect::<Vec<_>>());
        }
        assert_eq!(found.to_string().lines().count(), found.len());
    }
}

fn indexes(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join("seg")).expect("readable");
    let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "idx"));
    found.sort();
    found
}

#[test]
fn is_the_tree_that_of_the_whole_log() {
    for seed in 1..=4 {
        let directory = scratch();
        let (mut random, mut model) = (Random::new(seed), Model::default());
        for _ in 0..3 {
            let mut writer = open(directory.path());
            append(&mut writer, &mut model, &mut random, 6_000);
            check(&writer.log(), &model, &mut random, 6);
            writer.sync().expect("synced");
            check(&writer.log(), &model, &mut random, 6);
            writer.close().expect("closes");
        }
        let made = indexes(directory.path());
        assert!(made.len() >= 3, "{made:?}");
        // Who only reads has use for them, and writes none.
        let path = &made[1];
        let good = fs::read(path).expect("readable");
        // A conversation that it has.
        let in_it = u64::from_le_bytes(*good[56..].first_chunk().expect("a head"));
        fs::remove_file(path).expect("gone");
        let log = Options::new().open_read_only(directory.path()).expect("opens");
        check(&log, &model, &mut random, 4);
        assert!(!path.exists());
        // Damaged, torn, of another segment: made anew.
        let other = fs::read(&made[0]).expect("readable");
        let mut flipped = good.clone();
        let last = flipped.len() - 1;
        flipped[last / 2] ^= 1;
        for bad in [&flipped[..], &good[..60], &good[..last], &other[..], &[]] {
            fs::write(path, bad).expect("written");
            check(&log, &model, &mut random, 3);
            let writer = open(directory.path());
            check(&writer.log(), &model, &mut random, 3);
            writer.log().conversation(Sequence::new(in_it), usize::MAX).expect("readable");
            assert!(fs::read(path).expect("readable") == good, "seed {seed}");
            writer.close().expect("closes");
        }
    }
}

#[test]
fn are_the_limits_of_a_conversation_said() {
    let directory = scratch();
    let mut writer = open(directory.path());
    let root = writer.append(&StepMade { number: 1, fill: Vec::new() }).expect("appended");
    let fill = vec![1; 3_000];
    let mut cause = root;
    while writer.log().stats().segments < 4 {
        let meta = Meta::new().cause(cause).correlation(root);
        let event = StepMade { number: 2, fill: fill.clone() };
        cause = writer.append_with(&event, meta).expect("appended");
    }
    let log = writer.log();
    let whole = log.conversation(cause, usize::MAX).expect("readable");
    assert!(whole.is_whole() && whole.len() as u64 == log.visible().0.get());
    // As deep as it has events: a chain.
    let deepest = whole.to_string().lines().last().map(|line| line.len() - line.trim_start().len());
    assert_eq!(deepest, Some(2 * (whole.len() - 1)));
    let some = log.conversation(cause, 100).expect("readable");
    assert_eq!((some.is_whole(), some.len(), some.root()), (false, 100, root));
    assert!(matches!(log.conversation(cause.after(1), 9), Err(SeekError::BeyondEnd(_))));
    writer.sync().expect("synced");
    log.conversation(root, usize::MAX).expect("readable");
    assert!(indexes(directory.path()).len() >= 3);
    // Retention takes the indexes along, and the root is said to be gone.
    assert!(writer.retain(&Retention::keep_segments(2)).expect("retained").dropped > 0);
    assert!(indexes(directory.path()).len() <= 2);
    let left = log.conversation(cause, usize::MAX).expect("readable");
    assert!(!left.is_whole() && left.root() == root && left.get(root).is_none());
    assert!(left.len() < whole.len() && left.caused_by(root).count() >= 1);
    assert!(left.to_string().starts_with("1 (dropped)"));
}

#[factlog::event(name = "order", version = 1)]
struct Order {
    parts: u64,
}

#[factlog::event(name = "ordered", version = 1)]
struct Ordered {
    parts: u64,
}

#[factlog::vocabulary]
enum OrderEvent {
    Ordered(Ordered),
}

#[derive(Default)]
struct Orders {}

impl State for Orders {
    const NAME: &'static str = "order";
    type Key = u64;
    type Event = OrderEvent;

    fn evolve(&mut self, _: OrderEventView<'_>) {}
}

impl Aggregate for Orders {
    type Command = Order;
    type Reply = ();
    type Rejection = String;

    fn decide(
        &self,
        &Order { parts }: &Order,
        _: &mut Context<'_, Self>,
    ) -> Result<Events<OrderEvent>, String> {
        Ok(Events::one(Ordered { parts }))
    }
}

/// Commands that are caused by events carry on whose conversation it is.
#[test]
fn do_commands_carry_the_conversation_on() {
    let directory = scratch();
    let engine = Engine::open(directory.path()).aggregate::<Orders>().start().expect("starts");
    let root = engine.call::<Orders>(1_u64, Order { parts: 3 }).expect("accepted").first;
    // By the number of the cause alone.
    let send = |cause| engine.command::<Orders>(2_u64, Order { parts: 1 }).cause(cause).call();
    let child = send(root).expect("accepted").first;
    let grandchild = send(child).expect("accepted").first;
    // By the event that somebody has at hand.
    let mut cursor = engine.log().cursor(Start::Sequence(child)).expect("a cursor");
    let event = cursor.next_event().expect("readable").expect("there");
    let command = engine.command::<Orders>(3_u64, Order { parts: 2 }).caused_by(&event);
    let other = command.expect("readable").call().expect("accepted").first;
    // Beside them something of nobody's.
    let alone = engine.call::<Orders>(1_u64, Order { parts: 3 }).expect("accepted").first;
    for asked in [root, child, grandchild, other] {
        let tree = engine.log().conversation(asked, usize::MAX).expect("readable");
        let below = |event| tree.caused_by(event).map(|one| one.sequence).collect::<Vec<_>>();
        assert_eq!(tree.root(), root);
        assert_eq!((below(root), below(child)), (vec![child], vec![grandchild, other]));
        assert_eq!(
            tree.to_string(),
            "1 ordered of order/1\n  2 ordered of order/2\n    3 ordered of order/2\n    4 ordered of order/3\n"
        );
    }
    assert_eq!(engine.log().conversation(alone, usize::MAX).expect("readable").len(), 1);
    drop(cursor);
    engine.close().expect("closes");
    let engine = Engine::open(directory.path()).aggregate::<Orders>();
    let mut engine = engine.start_local().expect("starts");
    let mut last = None;
    let command = LocalCommand::<Orders>::new(9_u64, Order { parts: 9 }).cause(other);
    engine.call_all([command], |answer| last = answer.ok().map(|accepted| accepted.first));
    let tree = engine.log().conversation(last.expect("accepted"), usize::MAX).expect("readable");
    assert_eq!((tree.root(), tree.len()), (root, 5));
    let name = StreamKey::new("order", 9_u64).expect("a name");
    assert_eq!(tree.get(last.expect("accepted")).and_then(|one| one.stream.clone()), Some(name));
}
