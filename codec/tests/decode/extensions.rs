//! Are extensions read as written, and refused where they are not what they may be?
//!
//! Every reason by its bytes; every field of a link at its bounds; random sets of all extensions
//! there and back; and a second reading of the tags, as plain as possible, beside random ones.

use factlog_codec::layout::MAX_EXTENSIONS;
use factlog_codec::{
    EventExtensions, ExtensionError, Extensions, FurtherLink, HistoryId, Items, Link, LogId,
    MetadataTooLong, Position, Sequence, Source, StreamNumber, StreamVersion,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::assert_all_provoked;
use super::items::item;

/// Gives `read` the extensions of an item that has these bytes as such.
fn with<T>(bytes: &[u8], read: impl FnOnce(Extensions<'_>) -> T) -> T {
    let body = item(1, 1, bytes, &[]);
    read(Items::new(&body).next().expect("one").expect("an item").extensions)
}

fn written(extensions: &EventExtensions<'_>) -> Vec<u8> {
    let mut bytes = vec![0xEE; extensions.encoded_len().expect("it fits")];
    extensions.encode(&mut bytes);
    bytes
}

/// An extension of one unit, and its tag.
fn unit(tag: u8) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&[tag, 1]);
    bytes
}

#[test]
fn is_each_reason_given_for_its_bytes() {
    let further = |count: u8, units: u8, zero: u8, last: u8| {
        let mut bytes = vec![0; usize::from(units) * 16];
        bytes[..5].copy_from_slice(&[2, units, count, 0, zero]);
        bytes[31] = last;
        with(&bytes, |extensions| extensions.further().map(|links| links.len()))
    };
    let counted = |tag: u8, count: u16| {
        let mut bytes = unit(tag);
        bytes[2..4].copy_from_slice(&count.to_le_bytes());
        with(&bytes, |extensions| (extensions.effect_key().is_err(), extensions.metadata().err()))
    };
    assert_eq!(further(1, 2, 0, 0), Ok(1));
    assert_eq!(further(7, 11, 0, 0), Ok(7));
    assert_eq!(counted(9, 12), (false, None));
    assert_eq!(counted(7, 13), (true, None));

    let standing_still = with(&[0; 16], |extensions| extensions.check());
    let beyond = with(&[3, 2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], |e| e.cause());
    let source = with(&unit(6), |extensions| extensions.source());
    let sealed = with(&unit(0x88), |extensions| extensions.check());
    // A tag of 0 is one that can be skipped, and what is behind it counts.
    let behind_zero = with(&[unit(0), unit(0x80)].concat(), |extensions| extensions.check());
    let before_link = with(&[unit(0xFF), unit(1)].concat(), |extensions| extensions.link());

    let expected = [
        (standing_still.err(), ExtensionError::Length(0)),
        (beyond.err(), ExtensionError::Length(3)),
        (source.err(), ExtensionError::Length(6)),
        (counted(9, 13).1, ExtensionError::Length(9)),
        (further(2, 2, 0, 0).err(), ExtensionError::Length(2)),
        (further(8, 13, 0, 0).err(), ExtensionError::Length(2)),
        (further(1, 2, 1, 0).err(), ExtensionError::Reserved(2)),
        (further(1, 2, 0, 1).err(), ExtensionError::Reserved(2)),
        (sealed.err(), ExtensionError::Unknown(0x88)),
        (behind_zero.err(), ExtensionError::Unknown(0x80)),
        (before_link.err(), ExtensionError::Unknown(0xFF)),
    ];
    for (found, reason) in expected {
        assert_eq!(found, Some(reason));
    }
    let reasons = expected.map(|(_, reason)| reason);
    assert_all_provoked(include_str!("../../src/item/extension.rs"), "ExtensionError", &reasons);
}

#[test]
fn is_what_does_not_fit_refused_to_the_byte() {
    let bytes = vec![1; MAX_EXTENSIONS];
    let fits = MAX_EXTENSIONS - 16 - 4;
    let link = Some(Link::default());
    for len in [1, 12, 13, fits] {
        let extensions = EventExtensions { link, metadata: &bytes[..len], ..Default::default() };
        let needed = 16 + (len + 4).next_multiple_of(16);
        assert_eq!(extensions.encoded_len(), Ok(needed));
        with(&written(&extensions), |read| assert_eq!(read.metadata(), Ok(&bytes[..len])));
    }
    let extensions = EventExtensions { link, metadata: &bytes[..=fits], ..Default::default() };
    let needed = MAX_EXTENSIONS + 16;
    assert_eq!(extensions.encoded_len(), Err(MetadataTooLong { needed }));

    let further = [FurtherLink { stream: StreamNumber::FIRST, link: Link::default() }; 8];
    let with = |count: usize| EventExtensions { further: &further[..count], ..Default::default() };
    assert_eq!(with(7).encoded_len(), Ok(176));
    assert_eq!(with(8).encoded_len(), Err(MetadataTooLong { needed: 208 }));
}

#[test]
fn does_a_link_keep_each_bit() {
    let mut seen = std::collections::HashSet::new();
    for bit in 0..14 * 8 {
        let mut bytes = unit(1);
        bytes[2 + bit / 8] |= 1 << (bit % 8);
        let link = with(&bytes, |extensions| extensions.link()).expect("readable").expect("a link");
        assert_eq!(written(&EventExtensions { link: Some(link), ..Default::default() }), bytes);
        assert!(seen.insert(link), "bit {bit}");
    }
    let greatest = Link {
        version: StreamVersion::MAX,
        previous: Position::from_raw(Link::MAX_POSITION),
        index: u16::MAX,
    };
    let bytes = written(&EventExtensions { link: Some(greatest), ..Default::default() });
    assert_eq!(bytes[2..], [0xFF; 14]);
}

fn link() -> impl Strategy<Value = Link> {
    (0_u64..1 << 40, 0_u64..1 << 56, any::<u16>()).prop_map(|(version, position, index)| Link {
        version: StreamVersion::new(version),
        previous: Position::from_raw(position << 4),
        index,
    })
}

fn further() -> impl Strategy<Value = FurtherLink> {
    (any::<u64>(), link())
        .prop_map(|(stream, link)| FurtherLink { stream: StreamNumber::new(stream), link })
}

fn source() -> impl Strategy<Value = Source> {
    any::<([u8; 16], [u8; 16], u64)>().prop_map(|(log, history, sequence)| Source {
        log: LogId::new(Uuid::from_bytes(log)),
        history: HistoryId::new(Uuid::from_bytes(history)),
        sequence: Sequence::new(sequence),
    })
}

/// The first tag that must be understood, or the first impossible length, read as plainly as can
/// be. `bytes` has a multiple of 16.
fn plain_check(bytes: &[u8]) -> Result<(), ExtensionError> {
    let mut at = 0;
    while at < bytes.len() {
        let (tag, len) = (bytes[at], usize::from(bytes[at + 1]) * 16);
        if len == 0 || at + len > bytes.len() {
            return Err(ExtensionError::Length(tag));
        }
        if tag >= 0x80 {
            return Err(ExtensionError::Unknown(tag));
        }
        at += len;
    }
    Ok(())
}

proptest! {
    #[test]
    fn do_all_extensions_come_back(
        link in prop::option::of(link()), further in prop::collection::vec(further(), 0..8),
        cause: Option<u64>, correlation: Option<u64>, invalidates: Option<u64>,
        source in prop::option::of(source()),
        effect_key in prop::collection::vec(any::<u8>(), 0..99),
        metadata in prop::collection::vec(any::<u8>(), 0..999),
    ) {
        let sequence = |number: Option<u64>| number.map(Sequence::new);
        let extensions = EventExtensions {
            link, further: &further, cause: sequence(cause), correlation: sequence(correlation),
            invalidates: sequence(invalidates), source, effect_key: &effect_key, metadata: &metadata,
        };
        with(&written(&extensions), |read| {
            prop_assert_eq!(read.check(), Ok(()));
            prop_assert_eq!(read.link(), Ok(link));
            prop_assert_eq!(read.further(), Ok(further));
            prop_assert_eq!(read.cause(), Ok(sequence(cause)));
            prop_assert_eq!(read.correlation(), Ok(sequence(correlation)));
            prop_assert_eq!(read.invalidates(), Ok(sequence(invalidates)));
            prop_assert_eq!(read.source(), Ok(source));
            prop_assert_eq!(read.effect_key(), Ok(&effect_key[..]));
            prop_assert_eq!(read.metadata(), Ok(&metadata[..]));
            Ok(())
        })?;
    }

    #[test]
    fn are_tags_and_lengths_read_as_the_format_says(
        heads in prop::collection::vec((prop_oneof![0_u8..12, any::<u8>()], 0_u8..5), 1..20),
    ) {
        let mut bytes = Vec::new();
        for (tag, units) in heads {
            let at = bytes.len();
            bytes.resize(at + usize::from(units.max(1)) * 16, 0);
            bytes[at..at + 2].copy_from_slice(&[tag, units]);
        }
        bytes.truncate(MAX_EXTENSIONS);
        prop_assert_eq!(with(&bytes, |extensions| extensions.check()), plain_check(&bytes));
    }

    #[test]
    fn do_any_bytes_have_an_answer(units in 0_usize..20, seed in prop::collection::vec(any::<u8>(), 320)) {
        with(&seed[..units * 16], |extensions| {
            prop_assert_eq!(extensions.check(), plain_check(&seed[..units * 16]));
            prop_assert!(extensions.further().is_ok_and(|links| links.len() <= 7)
                || extensions.further().is_err());
            let _ = (extensions.link(), extensions.cause(), extensions.correlation());
            let _ = (extensions.invalidates(), extensions.source());
            let _ = (extensions.effect_key(), extensions.metadata());
            Ok(())
        })?;
    }
}
