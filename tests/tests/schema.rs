//! Does a lock on released events say what somebody has changed? And do archives of released events,
//! as they were written then, still mean the same?
//!
//! Modules with the same event in different shapes stand for versions of a program. Golden archives
//! are held against what the library makes and shows today, and read into what was meant.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use factlog::{Event, Scratch, check_schema, render, schema_lock};
use factlog_tests::scratch;

#[path = "../../engine/examples/payment.rs"]
#[allow(dead_code, reason = "its events are looked at; it is not run")]
mod payment;

mod released {
    #[factlog::value]
    #[derive(Debug, Clone, PartialEq)]
    pub(crate) enum Way {
        Road,
        Air { flight: String },
    }

    /// Each kind of field.
    #[factlog::event(name = "parcel-sent", version = 1)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct ParcelSent {
        pub(crate) grams: u32,
        pub(crate) to: String,
        pub(crate) way: Way,
        pub(crate) stops: Vec<(u16, String)>,
    }

    /// Its next version.
    #[factlog::event(name = "parcel-sent", version = 2)]
    #[derive(Debug, PartialEq)]
    pub(crate) struct ParcelSentTwo {
        pub(crate) milligrams: u64,
        pub(crate) to: Option<String>,
        pub(crate) way: Way,
        pub(crate) stops: Vec<(u16, String)>,
        pub(crate) label: [u8; 4],
    }

    #[factlog::event(name = "parcel-lost", version = 1)]
    pub(crate) struct ParcelLost {
        pub(crate) grams: u32,
    }

    #[factlog::vocabulary]
    pub(crate) enum Parcels {
        Sent(ParcelSent),
        SentTwo(ParcelSentTwo),
        Lost(ParcelLost),
    }
}

mod changed {
    pub(crate) use super::released::{ParcelSentTwo, Way};

    /// Without a new version: a wider number, another name, one more.
    #[factlog::event(name = "parcel-sent", version = 1)]
    pub(crate) struct ParcelSent {
        pub(crate) grams: u64,
        pub(crate) receiver: String,
        pub(crate) way: Way,
        pub(crate) stops: Vec<(u16, String)>,
    }

    /// `parcel-lost` is gone.
    #[factlog::vocabulary]
    pub(crate) enum Parcels {
        Sent(ParcelSent),
        SentTwo(ParcelSentTwo),
    }
}

/// A file in the repository.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// What `work` panics with.
fn said(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(work).expect_err("it says so");
    *panic.downcast::<String>().expect("a text")
}

#[test]
fn are_the_events_of_the_example_as_released() {
    schema_lock!("golden/payment.schema", payment::CreditEvent, payment::ApprovePayment);
}

#[test]
fn does_the_lock_say_what_has_changed() {
    schema_lock!("golden/parcels.schema", released::Parcels);
    let said_now = said(|| schema_lock!("golden/parcels.schema", changed::Parcels));
    for part in [
        "golden/parcels.schema",
        "`parcel-sent` version 1 was released with another shape",
        "- grams: u32",
        "+ grams: u64",
        "- to: String",
        "+ receiver: String",
        "make it version 2",
        "`parcel-lost` version 1 was released and is not there any more",
    ] {
        assert!(said_now.contains(part), "{part:?} is not in {said_now}");
    }
    // What is as it was is not named.
    assert!(!said_now.contains("way:") && !said_now.contains("version 2 was"), "{said_now}");
}

#[test]
fn is_what_is_new_told_and_nothing_written() {
    let directory = scratch();
    let path = directory.path().join("schema.lock");
    let of = |path: &Path| check_schema(path, [released::ParcelLost::static_type()]);
    if std::env::var_os("FACTLOG_SCHEMA").is_some() {
        return println!("skipped: schemas are being written");
    }
    let error = of(&path).expect_err("not locked yet").to_string();
    assert!(error.contains("`parcel-lost` version 1 is new"), "{error}");
    assert!(error.contains("FACTLOG_SCHEMA=add"), "{error}");
    assert!(!path.exists(), "a check writes nothing");
    // A field laid out in another way only: the text is the same, the fingerprint is not.
    fs::write(&path, "parcel-lost 1 00000000000000ff\n    grams: u32\n").expect("written");
    let error = of(&path).expect_err("changed").to_string();
    assert!(error.contains("laid out in another way"), "{error}");
}

fn stops() -> Vec<(u16, String)> {
    vec![(7, "here".into()), (8, "a place with a name that is long".into())]
}

fn air() -> released::Way {
    released::Way::Air { flight: "UA1545".into() }
}

/// The archive that was written when `event` was released, aligned, and its length. It must be what
/// is written today, and be shown as it was shown then.
fn archive_of<E: Event>(name: &str, event: &E) -> (Vec<u128>, usize) {
    let mut space = vec![0_u128; 64];
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
    let len = event.encode(bytes, &mut Scratch::new()).expect("it fits");
    let mut shown = String::new();
    let description = E::static_type().description().expect("described");
    render(description, &bytes[..len], &mut shown, 4096).expect("valid");
    let (path, text) =
        (golden(&format!("versions/{name}")), golden(&format!("versions/{name}.json")));
    // A new version gets its files where the schema gets its line; what is there stays.
    if !path.exists() && std::env::var_os("FACTLOG_SCHEMA").is_some() {
        fs::write(&path, &bytes[..len]).expect("written");
        fs::write(&text, format!("{shown}\n")).expect("written");
    }
    let then = fs::read(path).expect("a golden file");
    assert_eq!(then, bytes[..len], "{name} is archived otherwise now");
    let shown_then = fs::read_to_string(text).expect("a golden file");
    assert_eq!(shown_then.trim_end(), shown, "{name} is shown otherwise now");
    (space, len)
}

fn read_back<E: Event>(name: &str, event: &E) -> E {
    let (space, len) = archive_of(name, event);
    let payload = &bytemuck::cast_slice::<_, u8>(&space)[..len];
    E::owned(E::view(payload).expect("valid"))
}

#[test]
fn do_released_archives_mean_the_same() {
    let one =
        released::ParcelSent { grams: 1_200, to: "Zo\u{eb}".into(), way: air(), stops: stops() };
    assert_eq!(read_back("parcel-sent-1", &one), one);
    let two = released::ParcelSentTwo {
        milligrams: 1_200_000,
        to: None,
        way: released::Way::Road,
        stops: stops(),
        label: *b"abcd",
    };
    assert_eq!(read_back("parcel-sent-2", &two), two);
}
