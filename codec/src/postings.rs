//! The index of an ended segment by correlation: which frames have events of which conversation.
//!
//! It is derived: one that is missing, damaged or of another segment is made anew from the segment.

use core::fmt;

use uuid::Uuid;

use crate::bytes::{Reader, all_zero, put};
use crate::checksum::SegmentKey;
use crate::ids::{LogId, SegmentId, Sequence};
use crate::layout::POSTINGS_VERSION;

/// The first bytes of such a file.
const MAGIC: [u8; 8] = [0xFA, b'c', b't', b'i', b'd', b'x', 0x0D, 0x0A];
/// Where the checksum of the head stands.
const CRC_AT: usize = 12;

/// One frame that has events of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Posting {
    /// The root of the conversation.
    pub correlation: Sequence,
    /// Where the frame begins in the segment.
    pub offset: u32,
}

impl Posting {
    /// Bytes of one.
    pub const LEN: usize = 16;
}

/// The head of an index: which segment it is of, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostingsHead {
    /// Identity of the log.
    pub log: LogId,
    /// The segment.
    pub segment: SegmentId,
    /// [`SegmentKey::identity`] of the segment.
    pub identity: u64,
    /// Where the segment's frames end.
    pub end: u32,
    /// Number of postings.
    pub count: u32,
    /// Least and greatest correlation; 0 if there are none.
    pub range: (Sequence, Sequence),
    /// Checksum of the postings.
    pub crc: u32,
}

/// Why bytes are no index of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PostingsError {
    /// It ends too early, or has more than it says.
    Length,
    /// The first bytes are others.
    Magic,
    /// A version that this crate does not know.
    Version(u16),
    /// A checksum does not hold.
    Checksum,
    /// It is of another segment, or of another end of this one.
    Foreign,
    /// The postings do not rise.
    Order,
    /// A reserved field is in use.
    Reserved,
}

impl fmt::Display for PostingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "the index of a segment has another length than it says"),
            Self::Magic => write!(f, "no index of a segment begins like this"),
            Self::Version(version) => write!(f, "index version {version} is unknown"),
            Self::Checksum => write!(f, "the checksum of an index does not hold"),
            Self::Foreign => write!(f, "the index is of another segment"),
            Self::Order => write!(f, "the postings of an index do not rise"),
            Self::Reserved => write!(f, "a reserved field of an index is in use"),
        }
    }
}

impl core::error::Error for PostingsError {}

impl PostingsHead {
    /// Bytes of the head.
    pub const LEN: usize = 80;

    /// The head of these postings, which rise.
    pub fn of(log: LogId, key: SegmentKey, end: u32, postings: &[Posting]) -> Self {
        let at = |posting: Option<&Posting>| {
            posting.map_or(Sequence::ZERO, |posting| posting.correlation)
        };
        Self {
            log,
            segment: key.segment(),
            identity: key.identity(),
            end,
            count: postings.len() as u32,
            range: (at(postings.first()), at(postings.last())),
            crc: crc32fast::hash(&encode(postings)),
        }
    }

    /// As it stands in a file.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let to = put(&mut bytes, &MAGIC);
        let to = put(to, &POSTINGS_VERSION.to_le_bytes());
        let to = put(to, &[0; 6]);
        let to = put(to, self.log.uuid().as_bytes());
        let to = put(to, &self.identity.to_le_bytes());
        let to = put(to, &self.segment.get().to_le_bytes());
        let to = put(to, &self.end.to_le_bytes());
        let to = put(to, &self.count.to_le_bytes());
        let to = put(to, &self.crc.to_le_bytes());
        let to = put(to, &self.range.0.get().to_le_bytes());
        put(to, &self.range.1.get().to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        if let Some(field) = bytes.get_mut(CRC_AT..CRC_AT + 4) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    /// From the bytes at the start of a file.
    ///
    /// # Errors
    ///
    /// They are no head.
    pub fn decode(bytes: &[u8]) -> Result<Self, PostingsError> {
        let head = bytes.first_chunk::<{ Self::LEN }>().ok_or(PostingsError::Length)?;
        let mut reader = Reader::new(head);
        if reader.take(8) != Some(&MAGIC) {
            return Err(PostingsError::Magic);
        }
        let mut without = *head;
        if let Some(field) = without.get_mut(CRC_AT..CRC_AT + 4) {
            field.fill(0);
        }
        let short = PostingsError::Length;
        let version = u16::from_le(reader.pod().ok_or(short)?);
        if version != POSTINGS_VERSION {
            return Err(PostingsError::Version(version));
        }
        let zeros = reader.take(2).ok_or(short)?;
        if u32::from_le(reader.pod().ok_or(short)?) != crc32fast::hash(&without) {
            return Err(PostingsError::Checksum);
        }
        let log = Uuid::from_bytes(reader.pod().ok_or(short)?);
        let identity = u64::from_le(reader.pod().ok_or(short)?);
        let mut next = || Some(u32::from_le(reader.pod()?));
        let (segment, end) = (next().ok_or(short)?, next().ok_or(short)?);
        let (count, crc) = (next().ok_or(short)?, next().ok_or(short)?);
        let mut next = || Some(Sequence::new(u64::from_le(reader.pod()?)));
        let range = (next().ok_or(short)?, next().ok_or(short)?);
        if !all_zero(zeros) || !all_zero(reader.rest()) {
            return Err(PostingsError::Reserved);
        }
        let (log, segment) = (LogId::new(log), SegmentId::new(segment));
        Ok(Self { log, segment, identity, end, count, range, crc })
    }

    /// Whether it is of this segment, as far as `end`.
    pub fn is_of(&self, log: LogId, key: SegmentKey, end: u32) -> bool {
        let segment = (key.segment(), key.identity(), end);
        self.log == log && (self.segment, self.identity, self.end) == segment
    }

    /// Whether it may have events of this conversation.
    pub fn may_have(&self, correlation: Sequence) -> bool {
        self.count > 0 && (self.range.0..=self.range.1).contains(&correlation)
    }

    /// The postings in what follows the head in a file.
    ///
    /// # Errors
    ///
    /// They are not those that the head speaks of.
    pub fn postings(&self, body: &[u8]) -> Result<Vec<Posting>, PostingsError> {
        if body.len() as u64 != u64::from(self.count) * Posting::LEN as u64 {
            return Err(PostingsError::Length);
        }
        if crc32fast::hash(body) != self.crc {
            return Err(PostingsError::Checksum);
        }
        let (entries, _) = body.as_chunks::<{ Posting::LEN }>();
        let decode = |bytes: &[u8; Posting::LEN]| {
            let mut reader = Reader::new(bytes);
            let correlation = Sequence::new(u64::from_le(reader.pod()?));
            let posting = Posting { correlation, offset: u32::from_le(reader.pod()?) };
            all_zero(reader.rest()).then_some(posting)
        };
        let postings: Option<Vec<_>> = entries.iter().map(decode).collect();
        let postings = postings.ok_or(PostingsError::Reserved)?;
        if postings.is_sorted_by(|one, next| one < next) {
            Ok(postings)
        } else {
            Err(PostingsError::Order)
        }
    }
}

/// Postings as they stand behind the head.
pub fn encode(postings: &[Posting]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(postings.len() * Posting::LEN);
    for Posting { correlation, offset } in postings {
        bytes.extend(correlation.get().to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend([0; 4]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> (PostingsHead, Vec<u8>, SegmentKey) {
        let key = SegmentKey::new(7, SegmentId::new(3));
        let posting =
            |(correlation, offset)| Posting { correlation: Sequence::new(correlation), offset };
        let all: Vec<_> = [(2, 64), (2, 4096), (9, 128)].map(posting).to_vec();
        let log = LogId::new(Uuid::from_u128(5));
        let head = PostingsHead::of(log, key, 8192, &all);
        assert_eq!(head.postings(&encode(&all)), Ok(all.clone()));
        (head, encode(&all), key)
    }

    #[test]
    fn does_an_index_come_back() {
        let (head, _, key) = some();
        assert_eq!(PostingsHead::decode(&head.encode()), Ok(head));
        assert!(head.is_of(head.log, key, 8192) && !head.is_of(head.log, key, 8193));
        let other = SegmentKey::new(8, SegmentId::new(3));
        assert!(!head.is_of(head.log, other, 8192));
        let may = |at| head.may_have(Sequence::new(at));
        assert_eq!([1, 2, 5, 9, 10].map(may), [false, true, true, true, false]);
    }

    #[test]
    fn is_every_flipped_bit_and_every_cut_found() {
        let (head, body, _) = some();
        let good = head.encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(PostingsHead::decode(&bytes).is_err(), "bit {bit}");
            // With a checksum made for it, it says something else.
            if !(CRC_AT..CRC_AT + 4).contains(&(bit / 8)) {
                bytes[CRC_AT..CRC_AT + 4].fill(0);
                let crc = crc32fast::hash(&bytes);
                bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
                assert_ne!(PostingsHead::decode(&bytes), Ok(head), "bit {bit} has no meaning");
            }
        }
        for len in 0..good.len() {
            assert_eq!(PostingsHead::decode(&good[..len]), Err(PostingsError::Length));
        }
        for bit in 0..body.len() * 8 {
            let mut bytes = body.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(head.postings(&bytes), Err(PostingsError::Checksum), "bit {bit}");
            let mended = PostingsHead { crc: crc32fast::hash(&bytes), ..head };
            assert_ne!(mended.postings(&bytes), head.postings(&body), "bit {bit} has no meaning");
        }
        assert_eq!(head.postings(&body[1..]), Err(PostingsError::Length));
        let mut swapped = body.clone();
        swapped.rotate_left(Posting::LEN);
        let crc = crc32fast::hash(&swapped);
        let head = PostingsHead { crc, ..head };
        assert_eq!(head.postings(&swapped), Err(PostingsError::Order));
    }
}
