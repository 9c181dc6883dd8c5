//! Is what an event corrects there to be corrected?
//!
//! A cold path: it looks the corrected event up, and goes back from the end of its stream to it, so
//! it costs as much as reading what that stream has had since. Nothing is kept in memory for it.

use factlog_codec::layout::FRAME_HEADER;
use factlog_codec::{EventExtensions, Item, ItemKind, Items, Sequence, StreamKey, StreamNumber};

use super::Transaction;
use crate::log::cursor::{Cursor, Start, StreamHistory};
use crate::log::error::{AppendError, CorrectionFault, SeekError};
use crate::log::fault::ItemFault;
use crate::sync::Arc;

impl Transaction<'_> {
    /// Whether an event of `stream` with these extensions may correct `target`: it belongs to all
    /// streams of that one, which nobody has corrected yet.
    #[cold]
    #[inline(never)]
    pub(super) fn check_correction(
        &mut self,
        target: Sequence,
        stream: StreamNumber,
        extensions: &EventExtensions<'_>,
    ) -> Result<(), AppendError> {
        let found = self.may_correct(target, stream, extensions);
        found.map_err(|fault| AppendError::Correction(target, fault))
    }

    fn may_correct(
        &mut self,
        target: Sequence,
        stream: StreamNumber,
        extensions: &EventExtensions<'_>,
    ) -> Result<(), CorrectionFault> {
        let staged = self.look_at_staged(target)?;
        let streams = match staged {
            Some(streams) => streams,
            None => self.streams_of(target)?,
        };
        let Some((own, _)) = streams.split_first() else { return Err(CorrectionFault::NoStream) };
        let further = extensions.further.iter().map(|further| further.stream);
        let mine: Vec<_> = std::iter::once(stream).chain(further).collect();
        if let Some(lacking) = streams.iter().find(|stream| !mine.contains(stream)) {
            return Err(CorrectionFault::OtherStream(self.name_of(*lacking)));
        }
        match self.writer.shared.streams.name(*own) {
            Some(name) => self.look_at_published(target, name),
            // A stream of this transaction, at all of which was looked.
            None => Ok(()),
        }
    }

    /// Looks at what this transaction has so far: the streams of the target if it is here. A
    /// correction of it that is here is an error.
    fn look_at_staged(
        &mut self,
        target: Sequence,
    ) -> Result<Option<Vec<StreamNumber>>, CorrectionFault> {
        let (next, used) = (self.writer.next, self.used());
        let bytes: &[u8] = self.writer.active.space(used);
        let items = Items::new(bytes.get(FRAME_HEADER..).unwrap_or(&[])).filter_map(Result::ok);
        let events = items.filter(|item| item.header.flags.kind == ItemKind::Event);
        let mut found = None;
        for (number, item) in (0..).zip(events) {
            let sequence = next.after(number);
            if sequence == target {
                found = Some(streams_of(&item).map_err(CorrectionFault::Items)?);
            }
            if item.extensions.invalidates().ok().flatten() == Some(target) {
                return Err(CorrectionFault::Already(sequence));
            }
        }
        Ok(found)
    }

    /// The streams of an event in the log, its own first.
    fn streams_of(&self, target: Sequence) -> Result<Vec<StreamNumber>, CorrectionFault> {
        let read = |error| CorrectionFault::Read(Arc::new(error));
        let mut cursor =
            Cursor::place(&self.writer.shared, Start::Sequence(target)).map_err(read)?;
        let found = cursor.next_event().map_err(|error| read(SeekError::Read(error)))?;
        let event = found.filter(|event| event.sequence() == target);
        let event = event.ok_or_else(|| read(SeekError::Lost(target)))?;
        let further = event.further_streams().map_err(ItemFault::Extension);
        let further = further.map_err(CorrectionFault::Items)?.into_iter().map(|(name, _)| name);
        let number = |name| self.writer.shared.streams.find(name);
        Ok(event.stream().into_iter().chain(further).filter_map(number).collect())
    }

    /// Goes back in the stream to the target: nobody on the way has corrected it.
    fn look_at_published(&self, target: Sequence, name: &StreamKey) -> Result<(), CorrectionFault> {
        let read = |error| CorrectionFault::Read(Arc::new(SeekError::Read(error)));
        let mut history = StreamHistory::new(&self.writer.shared, name);
        while let Some(event) = history.next_event().map_err(read)? {
            if event.sequence() <= target {
                break;
            }
            let invalidates = event.invalidates().map_err(ItemFault::Extension);
            if invalidates.map_err(CorrectionFault::Items)? == Some(target) {
                return Err(CorrectionFault::Already(event.sequence()));
            }
        }
        Ok(())
    }

    fn name_of(&self, stream: StreamNumber) -> Option<StreamKey> {
        let published = self.writer.shared.streams.name(stream).cloned();
        published.or_else(|| self.writer.stage.new_stream(stream).cloned())
    }
}

/// The streams of an event, its own first.
fn streams_of(item: &Item<'_>) -> Result<Vec<StreamNumber>, ItemFault> {
    let own = Some(item.header.stream).filter(|stream| *stream != StreamNumber::NONE);
    let further = item.extensions.further().map_err(ItemFault::Extension)?;
    Ok(own.into_iter().chain(further.iter().map(|further| further.stream)).collect())
}
