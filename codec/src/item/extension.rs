//! Additions to an event: links to its stream, causes, metadata.
//!
//! Each begins with a tag and its length in units of 16 bytes. A tag with the high bit set must
//! be understood; any other can be skipped.

use core::fmt;

use uuid::Uuid;

use crate::bytes::{Reader, put};
use crate::ids::{HistoryId, LogId, Position, Sequence, StreamNumber, StreamVersion};
use crate::layout::{MAX_EXTENSIONS, MAX_FURTHER_STREAMS, align_up};

const LINK: u8 = 1;
const FURTHER: u8 = 2;
const CAUSE: u8 = 3;
const CORRELATION: u8 = 4;
const INVALIDATES: u8 = 5;
const SOURCE: u8 = 6;
const EFFECT_KEY: u8 = 7;
const METADATA: u8 = 9;
const MUST_UNDERSTAND: u8 = 0x80;

/// Link to the event before in the same stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Link {
    /// Version of this event in its stream.
    pub version: StreamVersion,
    /// The frame of the stream's event before; zero if this is the first.
    pub previous: Position,
    /// Index of the event before among the events of its frame.
    pub index: u16,
}

impl Link {
    /// Greatest position that a link can say: 56 bits of 16 bytes.
    pub const MAX_POSITION: u64 = ((1 << 56) - 1) << 4;
    /// Bytes of its extension.
    pub const EXTENSION: usize = 16;

    /// The extension that says it, tag and length included.
    #[inline]
    pub fn extension(self) -> [u8; Self::EXTENSION] {
        let version = u128::from(self.version.get() & 0xFF_FFFF_FFFF) << 32;
        let position = u128::from(self.previous.raw() >> 4) << 72;
        let head = u128::from(LINK) | 1 << 8 | u128::from(self.index) << 16;
        (head | version | position).to_le_bytes()
    }

    fn encode(self) -> [u8; 14] {
        let [_tag, _units, body @ ..] = self.extension();
        body
    }

    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let index: u16 = reader.pod()?;
        let version = reader.pod::<[u8; 5]>()?;
        let position = reader.pod::<[u8; 7]>()?;
        let mut wide = [0; 8];
        put(&mut wide, &version);
        let version = StreamVersion::new(u64::from_le_bytes(wide));
        let mut wide = [0; 8];
        put(&mut wide, &position);
        let previous = Position::from_raw(u64::from_le_bytes(wide) << 4);
        Some(Self { version, previous, index })
    }
}

/// Membership of an event in a stream beside its primary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FurtherLink {
    /// The stream.
    pub stream: StreamNumber,
    /// Its link there.
    pub link: Link,
}

/// The event of another log that this one was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// The other log.
    pub log: LogId,
    /// Its history.
    pub history: HistoryId,
    /// The sequence there.
    pub sequence: Sequence,
}

/// What an event has beside its payload, to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventExtensions<'a> {
    /// Link to the stream's event before.
    pub link: Option<Link>,
    /// Further streams, at most seven.
    pub further: &'a [FurtherLink],
    /// The event that caused this one.
    pub cause: Option<Sequence>,
    /// The event at the root of the conversation.
    pub correlation: Option<Sequence>,
    /// The earlier event that this one corrects.
    pub invalidates: Option<Sequence>,
    /// Where it came from.
    pub source: Option<Source>,
    /// Stable key of the side effect that it reports.
    pub effect_key: &'a [u8],
    /// Free bytes.
    pub metadata: &'a [u8],
}

/// The extensions of an event do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataTooLong {
    /// Bytes that all extensions together would take.
    pub needed: usize,
}

impl fmt::Display for MetadataTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "metadata and links of one event would take {} bytes, of {MAX_EXTENSIONS} that there \
             are (and at most {MAX_FURTHER_STREAMS} further streams): shorten the metadata",
            self.needed
        )
    }
}

impl core::error::Error for MetadataTooLong {}

impl EventExtensions<'_> {
    /// Bytes that these take, a multiple of 16.
    ///
    /// # Errors
    ///
    /// They do not fit one event.
    #[inline]
    pub fn encoded_len(&self) -> Result<usize, MetadataTooLong> {
        let fixed = |present: bool, len: usize| if present { len } else { 0 };
        let counted =
            |bytes: usize, head: usize| if bytes == 0 { 0 } else { align_up(head + bytes) };
        let needed = fixed(self.link.is_some(), 16)
            + counted(self.further.len() * 24, 8)
            + fixed(self.cause.is_some(), 16)
            + fixed(self.correlation.is_some(), 16)
            + fixed(self.invalidates.is_some(), 16)
            + fixed(self.source.is_some(), 48)
            + counted(self.effect_key.len(), 4)
            + counted(self.metadata.len(), 4);
        if needed > MAX_EXTENSIONS || self.further.len() > MAX_FURTHER_STREAMS {
            return Err(MetadataTooLong { needed });
        }
        Ok(needed)
    }

    /// Writes them to `out`, which is [`encoded_len`](Self::encoded_len) bytes long.
    ///
    /// # Panics
    ///
    /// When `out` has another length.
    #[inline]
    pub fn encode(&self, out: &mut [u8]) {
        let mut rest = out;
        if let Some(link) = self.link {
            rest = put(rest, &link.extension());
        }
        if rest.is_empty() {
            return;
        }
        if !self.further.is_empty() {
            let body = self.further.len() * 24;
            rest = put(rest, &head(FURTHER, 8 + body, self.further.len()));
            rest = put(rest, &[0; 4]);
            for further in self.further {
                rest = put(rest, &further.stream.get().to_le_bytes());
                rest = put(put(rest, &further.link.encode()), &[0; 2]);
            }
            rest = pad(rest, 8 + body);
        }
        for (tag, sequence) in
            [(CAUSE, self.cause), (CORRELATION, self.correlation), (INVALIDATES, self.invalidates)]
        {
            if let Some(sequence) = sequence {
                rest = put(rest, &[tag, 1, 0, 0, 0, 0, 0, 0]);
                rest = put(rest, &sequence.get().to_le_bytes());
            }
        }
        if let Some(source) = &self.source {
            rest = put(rest, &[SOURCE, 3, 0, 0, 0, 0, 0, 0]);
            rest = put(rest, source.log.uuid().as_bytes());
            rest = put(rest, source.history.uuid().as_bytes());
            rest = put(rest, &source.sequence.get().to_le_bytes());
        }
        for (tag, bytes) in [(EFFECT_KEY, self.effect_key), (METADATA, self.metadata)] {
            if !bytes.is_empty() {
                rest = put(rest, &head(tag, 4 + bytes.len(), bytes.len()));
                rest = pad(put(rest, bytes), 4 + bytes.len());
            }
        }
        debug_assert!(rest.is_empty());
    }
}

/// Tag, units, and the exact count of what follows.
fn head(tag: u8, len: usize, count: usize) -> [u8; 4] {
    let units = u8::try_from(align_up(len) / 16).unwrap_or(u8::MAX);
    let [low, high] = u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes();
    [tag, units, low, high]
}

fn pad(rest: &mut [u8], written: usize) -> &mut [u8] {
    put(rest, [0; 16].split_at(align_up(written) - written).0)
}

/// Why extensions cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtensionError {
    /// An extension is shorter than its tag says, or reaches beyond the item.
    Length(u8),
    /// An extension that must be understood is not known here.
    Unknown(u8),
    /// A reserved field of an extension is in use.
    Reserved(u8),
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(tag) => write!(f, "extension {tag} has an impossible length"),
            Self::Reserved(tag) => write!(f, "a reserved field of extension {tag} is in use"),
            Self::Unknown(tag) => write!(
                f,
                "extension {tag} must be understood and is not: a newer version of factlog wrote it"
            ),
        }
    }
}

impl core::error::Error for ExtensionError {}

/// The extensions of an item, as bytes that have not been looked at.
#[derive(Debug, Clone, Copy)]
pub struct Extensions<'a> {
    bytes: &'a [u8],
}

impl<'a> Extensions<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The link to the stream's event before, if the item has one.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    #[inline]
    pub fn link(self) -> Result<Option<Link>, ExtensionError> {
        self.find(Some(LINK), |body| Link::decode(&mut Reader::new(body)))
    }

    /// Further streams: at most seven.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn further(self) -> Result<Vec<FurtherLink>, ExtensionError> {
        let found = self.find(Some(FURTHER), |body| {
            let mut reader = Reader::new(body);
            let count = usize::from(reader.pod::<u16>()?);
            if count > MAX_FURTHER_STREAMS {
                return None;
            }
            let mut reserved_is_zero = reader.pod::<u32>()? == 0;
            let mut links = Vec::with_capacity(count);
            for _ in 0..count {
                let stream = StreamNumber::new(reader.pod()?);
                let link = Link::decode(&mut reader)?;
                reserved_is_zero &= reader.pod::<u16>()? == 0;
                links.push(FurtherLink { stream, link });
            }
            Some(if reserved_is_zero { Ok(links) } else { Err(ExtensionError::Reserved(FURTHER)) })
        })?;
        found.unwrap_or_else(|| Ok(Vec::new()))
    }

    /// The event that caused this one.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn cause(self) -> Result<Option<Sequence>, ExtensionError> {
        self.sequence(CAUSE)
    }

    /// The event at the root of the conversation.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn correlation(self) -> Result<Option<Sequence>, ExtensionError> {
        self.sequence(CORRELATION)
    }

    /// The earlier event that this one corrects.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn invalidates(self) -> Result<Option<Sequence>, ExtensionError> {
        self.sequence(INVALIDATES)
    }

    /// The event of another log that this one was made from.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn source(self) -> Result<Option<Source>, ExtensionError> {
        self.find(Some(SOURCE), |body| {
            let mut reader = Reader::new(body);
            reader.take(6)?;
            let log = LogId::new(Uuid::from_bytes(reader.pod()?));
            let history = HistoryId::new(Uuid::from_bytes(reader.pod()?));
            Some(Source { log, history, sequence: Sequence::new(reader.pod()?) })
        })
    }

    /// The key of the side effect that it reports; empty if there is none.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn effect_key(self) -> Result<&'a [u8], ExtensionError> {
        self.counted(EFFECT_KEY)
    }

    /// Free bytes; empty if there are none.
    ///
    /// # Errors
    ///
    /// The extensions cannot be read.
    pub fn metadata(self) -> Result<&'a [u8], ExtensionError> {
        self.counted(METADATA)
    }

    /// Checks that all tags that must be understood are.
    ///
    /// # Errors
    ///
    /// One is not, or the extensions cannot be read.
    pub fn check(self) -> Result<(), ExtensionError> {
        self.find(None, |_| Some(())).map(drop)
    }

    fn sequence(self, tag: u8) -> Result<Option<Sequence>, ExtensionError> {
        self.find(Some(tag), |body| {
            let mut reader = Reader::new(body);
            reader.take(6)?;
            reader.pod().map(Sequence::new)
        })
    }

    fn counted(self, tag: u8) -> Result<&'a [u8], ExtensionError> {
        let found = self.find(Some(tag), |body| {
            let mut reader = Reader::new(body);
            let count: u16 = reader.pod()?;
            reader.take(usize::from(count))
        })?;
        Ok(found.unwrap_or(&[]))
    }

    /// The first extension with `wanted`, read by `decode` from what follows tag and length. With
    /// none wanted, all are passed, whatever their tags.
    #[inline]
    fn find<T>(
        self,
        wanted: Option<u8>,
        decode: impl FnOnce(&'a [u8]) -> Option<T>,
    ) -> Result<Option<T>, ExtensionError> {
        let mut reader = Reader::new(self.bytes);
        while let Some([tag, units]) = reader.pod::<[u8; 2]>() {
            // A length of zero would stand still.
            let len = usize::from(units) * 16;
            let body = len.checked_sub(2).and_then(|len| reader.take(len));
            let body = body.ok_or(ExtensionError::Length(tag))?;
            if wanted == Some(tag) {
                return decode(body).map(Some).ok_or(ExtensionError::Length(tag));
            }
            if tag & MUST_UNDERSTAND != 0 {
                return Err(ExtensionError::Unknown(tag));
            }
        }
        Ok(None)
    }
}
