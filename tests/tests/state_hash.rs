//! Is a hash of states the same for the same states, and only for them?
//!
//! The oracle computes it from what a replica shows, and from a snapshot file, as the documentation
//! says.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use factlog::testing::GoldenState;
use factlog::{
    Durability, Expected, Key, Log, Meta, Options, Replica, Sequence, State, StateHash,
    StateHashError, StoredState, StreamKey, Writer,
};
use factlog_codec::types::{Scratch, Stored};
use factlog_tests::{Random, scratch};

#[factlog::event(name = "filled", version = 1)]
#[derive(Debug, Clone)]
struct Filled {
    litres: u64,
    note: String,
}

#[factlog::event(name = "filled-in-gallons", version = 1)]
struct FilledInGallons {}

#[factlog::vocabulary]
enum TankEvent {
    Filled(Filled),
}

#[factlog::value]
#[derive(Debug, Default, Clone, PartialEq)]
struct Tank {
    litres: u64,
    notes: Vec<String>,
}

macro_rules! tank {
    ($of:ident, $stored:expr, $litres:expr) => {
        impl State for $of {
            const NAME: &'static str = "tank";
            type Key = u64;
            type Event = TankEvent;
            const STORED: Option<StoredState<Self>> = $stored;

            fn evolve(&mut self, event: TankEventView<'_>) {
                let TankEventView::Filled(filled) = event;
                let litres: fn(u64) -> u64 = $litres;
                self.litres += litres(filled.litres());
                self.notes.push(filled.note().to_owned());
            }
        }
    };
}

tank!(Tank, StoredState::new(3), |litres| litres);

fn open(directory: &Path) -> Writer {
    let options = Options::new().segment_size(4 << 20).durability(Durability::None);
    options.open(directory).expect("opens")
}

fn stream(key: u64) -> StreamKey {
    StreamKey::new("tank", key).expect("a key")
}

fn fill(writer: &mut Writer, key: u64, filled: &Filled) {
    let stream = stream(key);
    let meta = Meta::new().stream(&stream, Expected::Any);
    writer.append_with(filled, meta).expect("appends");
}

fn replica(log: &Log) -> Replica {
    let replica = Replica::of(log).state::<Tank>().start().expect("a replica");
    replica.at_least(log.visible().0, Duration::from_secs(30)).expect("in time");
    replica
}

fn hash(log: &Log) -> StateHash {
    let (hash, at) = replica(log).state_hash().expect("a hash");
    assert_eq!(at, log.visible().0);
    hash
}

fn random_fill(random: &mut Random) -> (u64, Filled) {
    let note = "n".repeat(random.below(30) as usize);
    (random.below(40) * 1_000, Filled { litres: random.below(9), note })
}

/// As the documentation of the hash has it, from states by key and their versions.
fn expected(tanks: &BTreeMap<u64, (u64, Tank)>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("factlog 1 states of an image");
    let put = |hasher: &mut blake3::Hasher, bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    put(&mut hasher, b"tank");
    for (key, (version, tank)) in tanks {
        let mut ordered = vec![1];
        ordered.extend_from_slice(&key.to_be_bytes());
        put(&mut hasher, &ordered);
        hasher.update(&version.to_le_bytes());
        hasher.update(&[1]);
        let mut space = vec![0_u128; 64 << 10];
        let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
        let len = tank.store(space, &mut Scratch::new()).expect("it fits");
        put(&mut hasher, &space[..len]);
    }
    hasher.update(&u64::MAX.to_le_bytes());
    hasher.update(&(tanks.len() as u64).to_le_bytes());
    hasher.finalize().into()
}

#[test]
fn is_the_hash_of_an_image_that_of_its_states_in_the_order_of_their_keys() {
    let seed = 11;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let directory = scratch();
    let mut writer = open(directory.path());
    let mut model = BTreeMap::new();
    assert_eq!(*hash(&writer.log()).as_bytes(), expected(&model));
    for round in 0..600 {
        let (key, filled) = random_fill(&mut random);
        fill(&mut writer, key, &filled);
        let (version, tank): &mut (u64, Tank) = model.entry(key).or_default();
        *version += 1;
        tank.litres += filled.litres;
        tank.notes.push(filled.note);
        if round % 100 == 7 {
            assert_eq!(*hash(&writer.log()).as_bytes(), expected(&model), "round {round}");
        }
    }
}

/// The same events of each instance in another order, written by another log: the same hash. One
/// event more, or another one: another hash.
#[test]
fn is_it_the_same_however_the_states_were_come_by() {
    let seed = 12;
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut events: Vec<_> = (0..500).map(|_| random_fill(&mut random)).collect();
    let (one, other) = (scratch(), scratch());
    let (mut one, mut other) = (open(one.path()), open(other.path()));
    for (key, filled) in &events {
        fill(&mut one, *key, filled);
    }
    // Stable: the order within a stream stays.
    events.sort_by_key(|(key, _)| u64::MAX - key);
    for (key, filled) in &events {
        fill(&mut other, *key, filled);
    }
    let same = hash(&one.log());
    assert_eq!(same, hash(&other.log()));
    let (key, last) = events.last().expect("one").clone();
    fill(&mut one, key, &last);
    assert_ne!(same, hash(&one.log()));
    // The same sum, told otherwise.
    fill(&mut other, key, &Filled { note: format!("{}!", last.note), ..last });
    assert_ne!(hash(&one.log()), hash(&other.log()));
}

#[test]
fn does_a_suspended_instance_count_as_that() {
    let directory = scratch();
    let mut writer = open(directory.path());
    fill(&mut writer, 1, &Filled { litres: 1, note: String::new() });
    let before = hash(&writer.log());
    let of = stream(1);
    let meta = Meta::new().stream(&of, Expected::Any);
    writer.append_with(&FilledInGallons {}, meta).expect("appends");
    let suspended = hash(&writer.log());
    assert_ne!(before, suspended);
    // Nothing more is folded into it.
    fill(&mut writer, 1, &Filled { litres: 1, note: String::new() });
    assert_eq!(hash(&writer.log()), suspended);
}

#[test]
fn are_states_that_are_not_stored_refused() {
    #[derive(Default)]
    struct Bare;
    impl State for Bare {
        const NAME: &'static str = "bare";
        type Key = u64;
        type Event = TankEvent;
        fn evolve(&mut self, _: TankEventView<'_>) {}
    }
    assert_eq!(StateHash::of(&Bare), Err(StateHashError::NotStored("bare")));
    let directory = scratch();
    let writer = open(directory.path());
    let replica = Replica::of(&writer.log()).state::<Tank>().state::<Bare>().start().expect("one");
    let found = replica.state_hash();
    assert_eq!(found, Err(StateHashError::NotStored("bare")));
    assert_eq!(replica.at(), Sequence::ZERO);
}

#[test]
fn is_a_hash_read_back_and_nothing_else_taken_for_one() {
    let hash = StateHash::of(&Tank::default()).expect("stored");
    let text = hash.to_string();
    assert_eq!(text.parse(), Ok(hash));
    assert_eq!(StateHash::from_bytes(*hash.as_bytes()), hash);
    let multibyte = "é".repeat(32);
    for wrong in ["", &text[1..], &format!("{text}0"), &text.replacen(|_| true, "g", 1), &multibyte]
    {
        assert!(wrong.parse::<StateHash>().is_err(), "{wrong}");
    }
    assert!(Key::from_ordered(&[9]).is_none());
}

fn golden<S: State>(pinned: &str) -> Result<(), String>
where
    S::Event: From<Filled>,
{
    let filled = |litres| Filled { litres, note: "full".into() };
    let check = || GoldenState::<S>::new().event(filled(3)).events([filled(4)]).hash(pinned);
    let hook = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
    hook.map_err(|said| said.downcast_ref::<String>().cloned().unwrap_or_default())
}

/// `evolve` counts twice, and the version of the logic stays: exactly that is found.
#[test]
fn is_a_change_of_logic_found_that_no_version_announces() {
    #[factlog::value]
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Changed {
        litres: u64,
        notes: Vec<String>,
    }
    tank!(Changed, StoredState::new(3), |litres| litres * 2);
    #[factlog::value]
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Announced {
        litres: u64,
        notes: Vec<String>,
    }
    tank!(Announced, StoredState::new(4), |litres| litres * 2);

    let pinned = "3:149d579de420fc3ccbb3826468bab4da357e6a4197d22e463ac4f32dd4550522";
    assert_eq!(golden::<Tank>(pinned), Ok(()));
    let said = golden::<Changed>(pinned).expect_err("another hash");
    assert!(said.contains("though the version of its logic is 3"), "{said}");
    let said = golden::<Announced>(pinned).expect_err("another version");
    assert!(said.contains("was 3 and is 4"), "{said}");
    // What it says is what is to be written.
    let now = said.rsplit('"').nth(1).expect("in quotes");
    assert_eq!(golden::<Announced>(now), Ok(()));
    let said = golden::<Tank>("").expect_err("nothing");
    assert!(said.contains(&format!("\"{pinned}\"")), "{said}");
}
