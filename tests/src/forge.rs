//! Logs of very many segments, forged: the engine's own first segment, and sparse ones behind it,
//! sealed, as a writer would leave them.
//!
//! Each forged segment has a SEGOPEN, one event and a SEAL. Everything in it is what the format
//! says, made with `factlog_codec` alone; only the empty space between is a hole of the file.

use std::fs;
use std::path::{Path, PathBuf};

use factlog::{
    Encoding, EventType, Expected, HistoryId, Meta, Opaque, Position, SegmentId, StreamKey,
    StreamVersion,
};
use factlog_codec::layout::{FIRST_FRAME, FRAME_HEADER, ITEM_HEADER, align_up, seal_offset};
use factlog_codec::{
    Catalog, CatalogEntry, EventExtensions, Fold, FrameDraft, FrameFlags, FrameKind, ItemFlags,
    ItemHeader, ItemKind, Link, Predecessor, Seal, SegOpen, SegmentHeader, StreamNumber,
    Succession, TypeItem, TypeNumber, Walk, WriteWay, seal_frame,
};

use crate::small;
use crate::surgery::{SegmentFile, segment_path};

/// Segments are as small as can be.
const BITS: u8 = 22;

/// The type of all events.
pub static NOTE: EventType = EventType::opaque("note", 1);

/// A log that is being forged.
#[derive(Debug)]
pub struct Forge {
    directory: PathBuf,
    header: SegmentHeader,
    history: HistoryId,
    draft: FrameDraft,
    end: u32,
    fold: Fold,
    /// For each stream, version and frame of its last event.
    heads: Vec<(u64, Position)>,
    /// Streams that a table names and no frame.
    unseen: u64,
}

/// The `number`th stream of a forged log, from 0.
///
/// # Panics
///
/// Never: the name is a right one.
pub fn stream(number: u64) -> StreamKey {
    StreamKey::new("chapter", number).expect("a key")
}

impl Forge {
    /// A log in `directory` of one segment, which the engine writes: one event of each of so many
    /// streams; or one event, if there are to be none.
    ///
    /// # Panics
    ///
    /// When the log cannot be made.
    pub fn begin(directory: &Path, streams: u64) -> Self {
        let mut writer = small().open(directory).expect("opens");
        let mut transaction = writer.begin().expect("begun");
        for number in 0..streams {
            let name = stream(number);
            let meta = Meta::new().stream(&name, Expected::NEW);
            transaction.append_with(&Opaque::new(&NOTE, b"first"), meta).expect("appended");
        }
        if streams == 0 {
            transaction.append(&Opaque::new(&NOTE, b"first")).expect("appended");
        }
        transaction.commit().expect("committed");
        writer.close().expect("closed");
        for entry in fs::read_dir(directory.join("seg")).expect("listed") {
            let path = entry.expect("an entry").path();
            if path != segment_path(directory, 1) {
                fs::remove_file(path).expect("a spare is removed");
            }
        }
        let segment = SegmentFile::read(directory, 1);
        let mut walk = Walk::new(segment.key(), &segment.bytes[..seal_offset(BITS)], None);
        let (mut last, mut history) = (None, None);
        while let Ok(frame) = walk.next_frame() {
            history = history.or_else(|| Some(SegOpen::decode(&frame).ok()?.0.history));
            last = Some(frame.header);
        }
        let last = last.expect("a frame");
        let state = walk.state();
        Self {
            directory: directory.to_path_buf(),
            header: segment.header,
            history: history.expect("a SEGOPEN"),
            draft: FrameDraft {
                kind: FrameKind::Data,
                flags: FrameFlags::NONE,
                sequence: last.next_sequence(),
                count: 1,
                ts: last.ts,
                durable: last.durable,
                epoch: last.epoch,
            },
            end: state.offset,
            fold: state.fold,
            heads: vec![
                (1, Position::new(SegmentId::FIRST, last.offset, BITS));
                usize::try_from(streams).expect("they are in memory")
            ],
            unseen: 0,
        }
    }

    /// From here on there are so many streams more than frames have named: opening finds them in
    /// the table that [`add_with_table`](Self::add_with_table) writes, and reads nothing below it.
    pub fn claim_streams(&mut self, more: u64) {
        self.unseen += more;
    }

    /// Version of the last event of stream `number`, from 0.
    pub fn version(&self, number: usize) -> u64 {
        self.heads[number].0
    }

    fn streams(&self) -> u64 {
        self.heads.len() as u64 + self.unseen
    }

    /// Adds a sealed segment with one event, as a sparse file: an event of one stream after the
    /// other, where frames have named some.
    ///
    /// # Panics
    ///
    /// When it cannot be written.
    pub fn add(&mut self) {
        let id = self.header.segment.next().expect("a number");
        let salt = self.header.salt ^ u64::from(id.get());
        let header = SegmentHeader { segment: id, salt, ..self.header };
        let key = header.key();
        let sequence = self.draft.sequence;
        let first_ts = self.draft.ts + 1;

        let (mut space, len) = self.opening();
        let draft = FrameDraft { kind: FrameKind::SegOpen, count: 0, ts: first_ts, ..self.draft };
        let sealed = seal_frame(key, FIRST_FRAME, &draft, &mut space, len);
        let fold = key.empty_fold().then(FIRST_FRAME, sealed.crc);
        let at = FIRST_FRAME + sealed.span;

        let place = Position::new(id, at, BITS);
        let (mut frame, body) = self.event(place);
        let draft = FrameDraft { ts: first_ts + 1, ..self.draft };
        let sealed = seal_frame(key, at, &draft, &mut frame, body);
        let fold = fold.then(at, sealed.crc);
        let end = at + sealed.span;
        let seal = Seal {
            end,
            first_sequence: sequence,
            next_sequence: sequence.after(1),
            first_ts,
            last_ts: draft.ts,
            fold,
            frames: 2,
            epoch: draft.epoch,
            chain: [0; 32],
        };
        let seal_at = seal_offset(BITS);
        let seal = seal.encode(key, u32::try_from(seal_at).expect("a segment is small"));
        let pieces = [
            (&header.encode()[..], 0),
            (&space[..], u64::from(FIRST_FRAME)),
            (&frame[..], u64::from(at)),
            (&seal[..], seal_at as u64),
        ];
        write_sparse(&segment_path(&self.directory, id.get()), &pieces);
        self.header = header;
        let durable = Position::new(id, end, BITS);
        self.draft = FrameDraft { sequence: sequence.after(1), durable, ts: draft.ts, ..draft };
        (self.end, self.fold) = (end, fold);
    }

    /// Adds a segment, and a stream table beside the one before it.
    ///
    /// # Panics
    ///
    /// When they cannot be written.
    pub fn add_with_table(&mut self) {
        let before = self.header.segment;
        let table = Catalog {
            log: self.header.log,
            floor: before.next().expect("a number"),
            sequence: self.draft.sequence,
            before_end: self.end,
            before_fold: self.fold,
            streams: self.streams(),
        };
        let somewhere = Position::new(SegmentId::FIRST, FIRST_FRAME, BITS);
        let unseen = (0..self.unseen).map(|_| (1, somewhere));
        let mut entries = Vec::new();
        for (number, (version, position)) in (0..).zip(self.heads.iter().copied().chain(unseen)) {
            let version = StreamVersion::new(version);
            CatalogEntry { name: stream(number), version, position, index: 0 }.encode(&mut entries);
        }
        let bytes = [&table.encode(&entries)[..], &entries].concat();
        let path = segment_path(&self.directory, before.get()).with_extension("streams");
        fs::write(path, bytes).expect("written");
        self.add();
    }

    /// The space of a SEGOPEN's frame, and the length of its body.
    fn opening(&self) -> (Vec<u8>, usize) {
        let item = TypeItem {
            name: "note",
            version: 1,
            encoding: Encoding::Opaque,
            fingerprint: NOTE.key().fingerprint,
            description: &[],
        };
        let len = SegOpen::LEN + SegOpen::type_len(&item);
        let mut space = vec![0; align_up(FRAME_HEADER + len)];
        let open = SegOpen {
            history: self.history,
            before: Predecessor {
                segment: self.header.segment,
                end: self.end,
                fold: self.fold,
                why: Succession::Full,
            },
            wall_clock: self.draft.ts,
            next_stream: StreamNumber::new(self.streams() + 1),
            next_type: Some(TypeNumber::new(2)),
            types: 1,
            way: WriteWay::Mapped,
        };
        let rest = open.encode(&mut space[FRAME_HEADER..FRAME_HEADER + len]);
        SegOpen::encode_type(rest, TypeNumber::new(1), &item);
        (space, len)
    }

    /// The space of a frame with the next event, and the length of its body. The event is of the
    /// stream whose turn it is, and stands at `place`.
    fn event(&mut self, place: Position) -> (Vec<u8>, usize) {
        let sequence = self.draft.sequence;
        let number = sequence.get().checked_rem(self.heads.len() as u64);
        let mut extensions = EventExtensions::default();
        if let Some(number) = number
            && let Some(head) = usize::try_from(number).ok().and_then(|at| self.heads.get_mut(at))
        {
            let (version, previous) = *head;
            // All first events stand in one frame.
            let index = if version == 1 { number as u16 } else { 0 };
            let version = StreamVersion::new(version + 1);
            extensions.link = Some(Link { version, previous, index });
            *head = (version.get(), place);
        }
        let extensions_len = extensions.encoded_len().expect("it fits");
        let payload = format!("event {sequence}");
        let body = ITEM_HEADER + extensions_len + payload.len();
        let mut frame = vec![0; align_up(FRAME_HEADER + body)];
        let item = ItemHeader {
            len: payload.len() as u32,
            type_number: TypeNumber::new(1),
            flags: ItemFlags { kind: ItemKind::Event, last: false },
            extension_units: (extensions_len / 16) as u8,
            stream: StreamNumber::new(number.map_or(0, |number| number + 1)),
        };
        let start = FRAME_HEADER + ITEM_HEADER;
        frame[FRAME_HEADER..start].copy_from_slice(&item.encode());
        extensions.encode(&mut frame[start..start + extensions_len]);
        frame[start + extensions_len..start + extensions_len + payload.len()]
            .copy_from_slice(payload.as_bytes());
        (frame, body)
    }
}

/// A file of a segment's size with these bytes at these offsets, and holes between.
fn write_sparse(path: &Path, pieces: &[(&[u8], u64)]) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = fs::File::create(path).expect("made");
    file.set_len(1 << BITS).expect("sparse");
    for (bytes, offset) in pieces {
        file.seek(SeekFrom::Start(*offset)).expect("in the file");
        file.write_all(bytes).expect("written");
    }
}
