//! Does what differs, applied to what was, give what is?

use std::collections::BTreeMap;

use factlog::{
    DiffError, History, InstanceDiff, Key, Moment, PastImage, Patch, Presence, Sequence, State,
    StoredState,
};
use factlog_tests::{Random, scratch};
use serde_json::{Map, Value, json};

use crate::world::{
    ACCOUNTS, Account, Last, Owner, OwnerEvent, OwnerEventView, Steps, history, open, work,
};

/// Applies a patch as RFC 6902 has it, and refuses what that refuses.
fn apply(document: &mut Value, patch: &str) {
    let operations: Vec<Value> = serde_json::from_str(patch).expect("JSON");
    for operation in operations {
        let path = operation["path"].as_str().expect("a path");
        let value = operation.get("value").cloned();
        let Some((parent, last)) = path.rsplit_once('/') else {
            assert_eq!((path, &operation["op"]), ("", &json!("replace")));
            *document = value.expect("a value");
            continue;
        };
        let parent = document.pointer_mut(parent).expect("the place is there");
        let last = last.replace("~1", "/").replace("~0", "~");
        match (parent, operation["op"].as_str().expect("an operation")) {
            (Value::Object(members), "add") => {
                assert!(members.insert(last, value.expect("a value")).is_none());
            }
            (Value::Object(members), "remove") => drop(members.remove(&last).expect("there")),
            (Value::Object(members), "replace") => {
                *members.get_mut(&last).expect("there") = value.expect("a value");
            }
            (Value::Array(elements), op) => {
                let at: usize = last.parse().expect("an index");
                match op {
                    "add" => elements.insert(at, value.expect("a value")),
                    "remove" => drop(elements.remove(at)),
                    "replace" => elements[at] = value.expect("a value"),
                    other => panic!("{other}"),
                }
            }
            (other, op) => panic!("{op} in {other}"),
        }
    }
}

/// A state as JSON, written by hand.
fn account_json(account: &Account) -> Value {
    let last = account.last.as_ref().map(|last| match last {
        Last::Deposit => json!("Deposit"),
        Last::Transfer { with, note } => json!({"Transfer": {"with": with, "note": note}}),
    });
    json!({"cents": account.cents, "last": last, "lines": account.lines})
}

fn image_json(image: &PastImage) -> Value {
    let (mut accounts, mut owners) = (Map::new(), Map::new());
    let see = |key: &u64, account: &Account| {
        accounts.insert(key.to_string(), account_json(account));
    };
    image.for_each::<Account>(see).expect("held");
    let see = |key: &String, owner: &Owner| {
        owners.insert(key.clone(), json!({"name": owner.name, "changes": owner.changes}));
    };
    image.for_each::<Owner>(see).expect("held");
    json!({"account": accounts, "owner": owners})
}

fn diff(before: &PastImage, after: &PastImage) -> Vec<InstanceDiff> {
    let mut all = Vec::new();
    before.diff(after, |one| all.push(one)).expect("comparable");
    all
}

#[test]
fn does_a_difference_of_images_applied_give_the_other() {
    let mut random = Random::from_environment("differences");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    for _ in 0..4 {
        work(&engine, &clock, &mut random, 150);
        engine.snapshot().expect("taken");
    }
    let end = engine.log().visible().0.get();
    let mut history = history(engine.log());
    for _ in 0..150 {
        // Near each other, far from each other, and both ways round.
        let one = random.below(end + 1);
        let other = if random.below(2) == 0 {
            random.below(end + 1)
        } else {
            (one + 1 + random.below(5)).min(end)
        };
        let before = history.as_of(Sequence::new(one)).expect("an image");
        let after = history.as_of(Sequence::new(other)).expect("an image");
        let mut document = image_json(&before);
        let differences = diff(&before, &after);
        for one in &differences {
            apply(&mut document, &one.patch.to_string());
            assert!(!one.patch.is_empty());
        }
        assert_eq!(document, image_json(&after), "{one} to {other}");
        // Kinds and keys in order, each once.
        let names: Vec<_> = differences.iter().map(|one| (one.kind, &one.key)).collect();
        assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        assert_eq!(differences.is_empty(), before.state_hash() == after.state_hash());
    }
}

#[test]
fn does_a_difference_of_one_instance_applied_give_the_other() {
    let mut random = Random::from_environment("differences of instances");
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    work(&engine, &clock, &mut random, 400);
    let end = engine.log().visible().0.get();
    let mut history = history(engine.log());
    let mut changed = 0;
    for _ in 0..300 {
        let key = random.below(ACCOUNTS);
        let mut state = || {
            let at = Sequence::new(random.below(end + 1));
            history.state::<Account>(key, at).expect("a state").state
        };
        let (before, after) = (state(), state());
        let patch = Patch::between(&before, &after).expect("comparable");
        let mut document = account_json(&before);
        apply(&mut document, &patch.to_string());
        assert_eq!(document, account_json(&after), "{patch}");
        assert_eq!(patch.is_empty(), before == after);
        changed += u32::from(before != after);
    }
    assert!(changed > 100, "{changed}");
}

#[test]
fn is_told_only_what_an_event_has_changed() {
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    work(&engine, &clock, &mut Random::new(3), 200);
    engine.snapshot().expect("taken");
    let end = engine.log().visible().0;
    engine
        .command::<Owner>("new one", crate::world::Rename { name: "x".into() })
        .call()
        .expect("accepted");
    let mut history = history(engine.log());
    let before = history.as_of(end).expect("an image");
    let after = history.as_of(Moment::Now).expect("an image");
    let all = diff(&before, &after);
    let [InstanceDiff { kind: "owner", key, before, after, patch }] = all.as_slice() else {
        panic!("{all:?}")
    };
    assert_eq!(*key, Key::from("new one"));
    assert_eq!((*before, *after), (Presence::Absent, Presence::There));
    let expected = r#"[{"op":"add","path":"/owner/new one","value":{"name":"x","changes":1}}]"#;
    assert_eq!(patch.to_string(), expected);
}

/// A kind that is stored by hand, without a description; and one that is not stored.
#[test]
fn is_told_what_cannot_be_compared() {
    #[derive(Default)]
    struct ByHand(BTreeMap<String, u64>);
    impl factlog::Stored for ByHand {
        fn store(
            &self,
            out: &mut [u8],
            scratch: &mut factlog::Scratch,
        ) -> Result<usize, factlog::EncodeError> {
            self.0.clone().into_iter().collect::<Vec<_>>().store(out, scratch)
        }
        fn restore(bytes: &[u8]) -> Result<Self, factlog::ViewError> {
            Vec::restore(bytes).map(|all: Vec<(String, u64)>| Self(all.into_iter().collect()))
        }
        fn fingerprint() -> u64 {
            Vec::<(String, u64)>::fingerprint()
        }
    }
    impl State for ByHand {
        const NAME: &'static str = "owner";
        type Key = String;
        type Event = OwnerEvent;
        const STORED: Option<StoredState<Self>> = StoredState::new(1);
        fn evolve(&mut self, _: OwnerEventView<'_>) {}
    }
    #[derive(Default)]
    struct Bare;
    impl State for Bare {
        const NAME: &'static str = "account";
        type Key = u64;
        type Event = OwnerEvent;
        fn evolve(&mut self, _: OwnerEventView<'_>) {}
    }
    let found = Patch::between(&ByHand::default(), &ByHand::default());
    assert_eq!(found, Err(DiffError::NotDescribed("owner")));
    assert_eq!(Patch::between(&Bare, &Bare), Err(DiffError::NotStored("account")));
    let (directory, clock) = (scratch(), Steps::default());
    let engine = open(directory.path(), &clock);
    let log = engine.log();
    let now = |mut history: History| history.as_of(Moment::Now).expect("an image");
    let (by_hand, bare) = (
        now(History::of(log).state::<ByHand>().open()),
        now(History::of(log).state::<Bare>().open()),
    );
    let compared = |one: &PastImage, other: &PastImage| one.diff(other, |_| {});
    assert_eq!(compared(&by_hand, &by_hand), Err(DiffError::NotDescribed("owner")));
    assert_eq!(compared(&bare, &bare), Err(DiffError::NotStored("account")));
    let both = now(history(log));
    assert_eq!(compared(&both, &bare), Err(DiffError::NoKind("owner")));
    assert_eq!(compared(&bare, &both), Err(DiffError::NoKind("owner")));
}
