//! The handle that cursors are made from.

use std::path::Path;

use factlog_codec::layout::FIRST_FRAME;
use factlog_codec::{Ancestor, LogId, Position, Sequence, StreamKey, StreamNumber, StreamVersion};

use super::corrections::Corrections;
use super::forward::Cursor;
use super::start::Start;
use super::stream::{StreamCursor, StreamHistory};
use crate::log::error::{ReadError, SeekError};
use crate::log::frontier::Activity;
use crate::log::report::RecoveryReport;
use crate::log::shared::Shared;
use crate::log::type_table::LogType;
use crate::sync::Arc;

/// A log for readers: clone it, send it to any thread.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

impl Log {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(in crate::log) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// A cursor that gives every event from `start` on.
    ///
    /// # Errors
    ///
    /// The place is outside the log, or cannot be read.
    pub fn cursor(&self, start: Start) -> Result<Cursor, SeekError> {
        Cursor::place(&self.shared, start)
    }

    /// A cursor that gives the events of one stream, from a version on, as they come. The stream
    /// need not have begun.
    ///
    /// From [`StreamVersion::NONE`] on means from the oldest event that retention has left; any
    /// other version must be there when it is read.
    pub fn stream(&self, stream: &StreamKey, from: StreamVersion) -> StreamCursor {
        StreamCursor::new(&self.shared, stream, from)
    }

    /// The events of one stream as of now, the newest first.
    pub fn stream_backwards(&self, stream: &StreamKey) -> StreamHistory {
        StreamHistory::new(&self.shared, stream)
    }

    /// Which events of a stream were corrected, and by which: by going through the stream once, from
    /// its end to what retention has left of it. Memory for each correction, none for the others.
    ///
    /// ```
    /// # use factlog::{Expected, Meta, Options, StreamKey};
    /// # #[factlog::event(name = "price-set", version = 1)]
    /// # pub struct PriceSet { pub cents: u64 }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let mut writer = Options::new().open(directory.path())?;
    /// let price = StreamKey::new("price", 7_u64)?;
    /// let of = || Meta::new().stream(&price, Expected::Any);
    /// let wrong = writer.append_with(&PriceSet { cents: 10 }, of())?;
    /// let right = writer.append_with(&PriceSet { cents: 12 }, of().invalidates(wrong))?;
    ///
    /// let corrections = writer.log().corrections(&price)?;
    /// assert_eq!(corrections.of(wrong), Some(right));
    /// assert_eq!(corrections.of(right), None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The stream cannot be read.
    pub fn corrections(&self, stream: &StreamKey) -> Result<Corrections, ReadError> {
        let mut history = self.stream_backwards(stream);
        loop {
            match history.next_marked() {
                Ok(Some(_)) => {}
                // What is farther back is gone, and needs no marks.
                Ok(None) | Err(ReadError::BehindFloor(_)) => return Ok(history.into_corrections()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Version of a stream's last visible event; [`StreamVersion::NONE`] if it has none.
    pub fn stream_version(&self, stream: &StreamKey) -> StreamVersion {
        let number = self.shared.streams.find(stream);
        number.map_or(StreamVersion::NONE, |number| self.shared.streams.head(number).0)
    }

    /// The number of a stream.
    pub(crate) fn stream_number(&self, stream: &StreamKey) -> Option<StreamNumber> {
        self.shared.streams.find(stream)
    }

    /// The key that a number stands for.
    pub(crate) fn stream_key(&self, number: StreamNumber) -> Option<StreamKey> {
        self.shared.streams.name(number).cloned()
    }

    /// The number of the first stream that began in what retention has left.
    pub(crate) fn first_whole_stream(&self) -> Result<StreamNumber, ReadError> {
        let Some(first) = self.shared.segments.first() else { return Ok(StreamNumber::new(1)) };
        let mapping = self.shared.map(&first)?;
        let bytes = first.frozen(&mapping, self.shared.frontier.visible());
        if bytes.len() <= FIRST_FRAME as usize {
            return Ok(StreamNumber::new(1));
        }
        Ok(first.opening(bytes)?.0.next_stream)
    }

    /// Whether this process is a forked child of the one that opened the log: its threads are not
    /// here.
    pub(crate) fn is_forked(&self) -> bool {
        self.shared.fork.is_child()
    }

    /// Number of streams.
    pub fn streams(&self) -> u64 {
        self.shared.streams.len()
    }

    /// The types that stand in the log, in the order of their numbers.
    pub fn types(&self) -> impl Iterator<Item = &LogType> {
        self.shared.types.iter()
    }

    /// The sequence of the last visible event, and the position behind it: a consistent pair.
    pub fn visible(&self) -> (Sequence, Position) {
        let (end, next) = self.shared.frontier.visible_pair();
        (next.before(), end.position())
    }

    /// The sequence of the last durable event, and the position behind it: a consistent pair.
    pub fn durable(&self) -> (Sequence, Position) {
        let (end, next) = self.shared.frontier.durable_pair();
        (next.before(), end)
    }

    /// Whether the writer is gone, so that nothing more will come.
    pub fn is_closed(&self) -> bool {
        self.shared.frontier.activity() != Activity::Open
    }

    /// Identity of the log.
    pub fn log_id(&self) -> LogId {
        self.shared.log
    }

    /// The logs that it was forked from, each of which it has up to some event; the nearest last.
    pub fn lineage(&self) -> &[Ancestor] {
        &self.shared.lineage
    }

    /// The log that wrote an event: this one, or that of its ancestors which it was taken from. With
    /// its history and its sequence it is the event's identity.
    pub fn written_by(&self, sequence: Sequence) -> LogId {
        let taken = self.shared.lineage.iter().find(|ancestor| sequence <= ancestor.last_sequence);
        taken.map_or(self.shared.log, |ancestor| ancestor.log)
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.shared.directory.root()
    }

    /// What opening found, cut and kept.
    pub fn recovery(&self) -> &RecoveryReport {
        &self.shared.report
    }

    /// One event by its sequence, given to `look`.
    ///
    /// # Errors
    ///
    /// The sequence is outside the log, was lost to damage, or cannot be read.
    pub fn with_event<T>(
        &self,
        sequence: Sequence,
        look: impl FnOnce(super::EventRef<'_>) -> T,
    ) -> Result<T, SeekError> {
        let mut cursor = self.cursor(Start::Sequence(sequence))?;
        match cursor.next_event()? {
            Some(event) if event.sequence() > sequence => Err(SeekError::Lost(sequence)),
            Some(event) => Ok(look(event)),
            None if sequence <= self.visible().0 => Err(SeekError::Lost(sequence)),
            None => Err(SeekError::BeyondEnd(sequence)),
        }
    }
}

impl From<ReadError> for std::io::Error {
    fn from(error: ReadError) -> Self {
        Self::other(error)
    }
}
