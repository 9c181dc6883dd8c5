//! Does every decoder have the right answer for any bytes?
//!
//! Frames and pages are built here by hand, byte for byte as `FORMAT.md` says, and their checks
//! are repaired after each change, so that every reason is provoked by the bytes that it is for.
//! The names of all reasons are taken from the sources: a new one without a test is found.
#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use factlog_codec::{FrameKey, SegmentId, SegmentKey};

mod extensions;
mod frames;
mod items;
mod names;
mod pages;
mod pieces;
mod residue;
mod segopen;
mod walk;

/// The key of the segment that most tests are in.
pub(crate) const KEY: SegmentKey = SegmentKey::new(0x5EED_0F5A_17ED_1A7E, SegmentId::new(3));

/// The fields of a frame header that are no check: any values, also impossible ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) len: u32,
    pub(crate) sequence: u64,
    pub(crate) ts: u64,
    pub(crate) durable: u64,
    pub(crate) epoch: u32,
    pub(crate) count: u16,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) span: u32,
}

impl Fields {
    /// Those of a DATA frame without events, with a body of `len` bytes.
    pub(crate) fn data(len: usize) -> Self {
        Self {
            len: u32::try_from(len).expect("small"),
            sequence: 1,
            ts: 1,
            durable: 0,
            epoch: 1,
            count: 0,
            kind: 1,
            flags: 0,
            span: u32::try_from((48 + len).next_multiple_of(16)).expect("small"),
        }
    }

    /// The header at `offset`, with a right `hsum` and no `crc`.
    pub(crate) fn header(&self, key: SegmentKey, offset: u32) -> [u8; 48] {
        let mut header = [0; 48];
        header[4..8].copy_from_slice(&self.len.to_le_bytes());
        header[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        header[16..24].copy_from_slice(&self.ts.to_le_bytes());
        header[24..32].copy_from_slice(&self.durable.to_le_bytes());
        header[32..36].copy_from_slice(&self.epoch.to_le_bytes());
        header[36..38].copy_from_slice(&self.count.to_le_bytes());
        header[38] = self.kind;
        header[39] = self.flags;
        header[40..44].copy_from_slice(&self.span.to_le_bytes());
        let hsum = key.at(offset).hsum(&header);
        header[44..48].copy_from_slice(&hsum.to_le_bytes());
        header
    }

    /// Header, body, and zeros up to the next multiple of 16, with both checks right for what
    /// stands there, whatever the fields say.
    pub(crate) fn frame(&self, key: SegmentKey, offset: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = [&self.header(key, offset)[..], body].concat();
        repair_crc(key.at(offset), &mut bytes, 48 + body.len());
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        bytes
    }
}

/// Writes the `crc` of a frame whose header and body end at `end`.
pub(crate) fn repair_crc(key: FrameKey, bytes: &mut [u8], end: usize) {
    let crc = key.crc(&bytes[4..end]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
}

/// `bytes` with one bit turned.
pub(crate) fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Asserts that `reasons` shows each variant of the enum `name` that `source` defines.
pub(crate) fn assert_all_provoked(source: &str, name: &str, reasons: &[impl Debug]) {
    let shown: BTreeSet<String> =
        reasons.iter().map(|reason| leading(format!("{reason:?}").trim_matches('"'))).collect();
    assert_eq!(shown, variants(source, name), "provoked (left), defined (right): {name}");
}

fn leading(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric()).collect()
}

/// Names of the variants of the enum `name` in `source`, which is formatted by rustfmt.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let start = source.find(&format!("pub enum {name} {{")).expect("it is defined there");
    let body = source[start..].lines().skip(1).take_while(|line| *line != "}");
    body.filter_map(|line| line.strip_prefix("    "))
        .map(leading)
        .filter(|word| word.starts_with(char::is_uppercase))
        .collect()
}

#[test]
fn are_the_variants_of_an_enum_found_in_its_source() {
    let source = "/// A.\npub enum A {\n    /// One.\n    One,\n    #[x]\n    Two(u8),\n    \
                  Three {\n        /// In.\n        inner: U,\n    },\n}\nenum B {\n    Four,\n}\n";
    let expected = ["One", "Three", "Two"].map(String::from);
    assert_eq!(variants(source, "A"), BTreeSet::from(expected));
    let missed = std::panic::catch_unwind(|| assert_all_provoked(source, "A", &["One", "Two"]));
    assert!(missed.is_err(), "a variant that was not provoked is found");
}
