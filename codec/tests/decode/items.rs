//! Does any body end in items or in the reason why not?
//!
//! Every reason by its bytes; all 256 values of the flags; bodies of random items, whole, damaged
//! and cut short at every length, held against the list that they were made from.

use factlog_codec::{
    Item, ItemError, ItemFlags, ItemHeader, ItemKind, Items, StreamKey, StreamNumber, TypeItem,
    TypeNumber,
};
use proptest::prelude::*;

use super::assert_all_provoked;

/// An item by hand: header, extensions, payload, padding.
pub(crate) fn item(flags: u8, stream: u64, extensions: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).expect("small").to_le_bytes().to_vec();
    bytes.extend([1, 0, flags, u8::try_from(extensions.len() / 16).expect("at most 255 units")]);
    bytes.extend(stream.to_le_bytes());
    bytes.extend(extensions);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    bytes
}

fn error(body: &[u8]) -> ItemError {
    let mut items = Items::new(body);
    let error = items.find_map(Result::err).expect("no items");
    // Nothing comes after an error.
    assert!(items.next().is_none());
    assert_eq!(items.remaining(), 0);
    error
}

#[test]
fn is_each_reason_given_for_its_bytes() {
    let good = item(1, 0, &[1; 32], &[7; 20]);
    assert_eq!(Items::new(&good).count(), 1);
    let mut long = good.clone();
    long[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut extended = good.clone();
    extended[7] = 255;
    let expected = [
        (error(&good[..1]), ItemError::Header),
        (error(&good[..15]), ItemError::Header),
        (error(&[&good[..], &[0; 15]].concat()), ItemError::Header),
        (error(&[0; 16]), ItemError::Flags(0)),
        (error(&item(0x85, 0, &[], &[])), ItemError::Flags(0x85)),
        (error(&item(9, 0, &[], &[])), ItemError::Flags(9)),
        (error(&good[..16]), ItemError::Beyond),
        (error(&good[..47]), ItemError::Beyond),
        (error(&good[..67]), ItemError::Beyond),
        (error(&long), ItemError::Beyond),
        (error(&extended), ItemError::Beyond),
    ];
    for (found, reason) in expected {
        assert_eq!(found, reason);
    }
    let reasons = expected.map(|(found, _)| found);
    assert_all_provoked(include_str!("../../src/item/items.rs"), "ItemError", &reasons);
}

#[test]
fn are_exactly_the_known_flags_taken() {
    for bits in 0..=u8::MAX {
        let known = bits & 0b0111_1000 == 0 && (1..=4).contains(&(bits & 7));
        let flags = ItemFlags::from_bits(bits);
        assert_eq!(flags.is_some(), known, "{bits:#010b}");
        assert!(flags.is_none_or(|flags| flags.bits() == bits), "{bits:#010b}");
        assert_eq!(Items::new(&item(bits, 0, &[], &[])).all(|item| item.is_ok()), known);
    }
}

/// The padding of the last item lies outside the body: what ends there ends well.
#[test]
fn does_a_body_end_well_only_behind_a_payload() {
    let first = item(1, 4, &[], &[7; 20]);
    let body = [&first[..], &item(4, 0, &[1; 16], &[8; 9])].concat();
    let ends = |len: usize| len == 0 || (36..=48).contains(&len) || len >= 48 + 16 + 16 + 9;
    for len in 0..=body.len() {
        let well = Items::new(&body[..len]).all(|item| item.is_ok());
        assert_eq!(well, ends(len), "cut at {len}");
    }
}

/// What an item was made of.
#[derive(Debug, Clone)]
struct Made {
    header: ItemHeader,
    extensions: usize,
    payload: Vec<u8>,
}

fn made() -> impl Strategy<Value = Made> {
    let payload = prop::collection::vec(any::<u8>(), 0..70);
    (1_u8..5, any::<(bool, u16, u64)>(), 0_u8..4, payload).prop_map(
        |(kind, (last, type_number, stream), extension_units, payload)| Made {
            header: ItemHeader {
                len: payload.len() as u32,
                type_number: TypeNumber::new(type_number),
                flags: ItemFlags { kind: ItemKind::from_code(kind).expect("a kind"), last },
                extension_units,
                stream: StreamNumber::new(stream),
            },
            extensions: usize::from(extension_units) * 16,
            payload,
        },
    )
}

fn body_of(items: &[Made]) -> Vec<u8> {
    let mut body = Vec::new();
    for item in items {
        body.extend(item.header.encode());
        body.resize(body.len() + item.extensions, 0);
        body.extend(&item.payload);
        body.resize(body.len().next_multiple_of(16), 0);
    }
    // Behind the last one it is filler, and not of the body.
    body.truncate(
        body.len() - items.last().map_or(0, |last| last.payload.len().wrapping_neg() % 16),
    );
    body
}

/// Uses everything that an item has; gives its bytes without padding.
pub(crate) fn traverse(item: &Item<'_>) -> usize {
    let extensions = item.extensions;
    let _ = (extensions.check(), extensions.link(), extensions.further(), extensions.cause());
    let _ = (extensions.correlation(), extensions.invalidates(), extensions.source());
    let _ = (extensions.effect_key(), extensions.metadata());
    let _ = (TypeItem::decode(item.payload), StreamKey::decode(item.payload));
    16 + usize::from(item.header.extension_units) * 16 + item.payload.len()
}

/// Traverses all of `body`; items that come out take no more than there is.
fn traverse_all(body: &[u8]) -> Result<(), TestCaseError> {
    let mut used = 0;
    for item in Items::new(body).flatten() {
        used += traverse(&item);
        prop_assert!(used <= body.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn do_items_come_back_as_they_were_written(items in prop::collection::vec(made(), 0..8)) {
        let body = body_of(&items);
        let mut found = Items::new(&body);
        for made in &items {
            let item = found.next().expect("one more").expect("an item");
            prop_assert_eq!(item.header, made.header);
            prop_assert_eq!(item.payload, &made.payload[..]);
            prop_assert_eq!(item.extensions.is_empty(), made.extensions == 0);
        }
        prop_assert!(found.next().is_none());
    }

    #[test]
    fn does_a_damaged_body_have_an_answer(
        items in prop::collection::vec(made(), 1..8),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..9),
        cut: prop::sample::Index,
    ) {
        let mut body = body_of(&items);
        for (at, to) in changes {
            let at = at.index(body.len());
            body[at] = to;
        }
        traverse_all(&body)?;
        traverse_all(&body[..cut.index(body.len())])?;
    }

    #[test]
    fn do_any_bytes_have_an_answer(body in prop::collection::vec(any::<u8>(), 0..400)) {
        traverse_all(&body)?;
    }
}
