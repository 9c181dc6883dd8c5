//! Events that stand in another log: appended as they are, byte for byte.

use factlog_codec::layout::{FRAME_HEADER, MAX_EVENTS, max_type_table};
use factlog_codec::types::{Encode, EncodeError, EventType, Scratch};
use factlog_codec::{ItemKind, SegOpen, Sequence, StreamNumber, TypeNumber};

use super::put::check_causes;
use super::{Meta, Transaction};
use crate::log::error::AppendError;
use crate::log::type_table::LogType;

/// A payload as it stands elsewhere. Its type is given beside it.
struct Payload<'p>(&'p [u8]);

static ELSEWHERE: EventType = EventType::opaque("elsewhere", 1);

impl Encode for Payload<'_> {
    fn event_type(&self) -> &'static EventType {
        &ELSEWHERE
    }

    fn fixed_size(&self) -> Option<usize> {
        None
    }

    fn encode(&self, out: &mut [u8], _: &mut Scratch) -> Result<usize, EncodeError> {
        let out = out.get_mut(..self.0.len()).ok_or(EncodeError::NoSpace)?;
        out.copy_from_slice(self.0);
        Ok(self.0.len())
    }
}

impl Transaction<'_> {
    /// Adds an event whose payload is given, of a type that may stand in another log only so far.
    ///
    /// After an error it is not in the transaction.
    pub(in crate::log) fn append_stored(
        &mut self,
        of: &LogType,
        payload: &[u8],
        meta: Meta<'_>,
    ) -> Result<Sequence, AppendError> {
        let mut adding = self.adding();
        let put = adding.put_stored(of, payload, &meta);
        if put.is_ok() {
            adding.keep();
        }
        put.map_err(|error| *error)
    }

    fn put_stored(
        &mut self,
        of: &LogType,
        payload: &[u8],
        meta: &Meta<'_>,
    ) -> Result<Sequence, Box<AppendError>> {
        if self.count >= MAX_EVENTS {
            return Err(AppendError::TooManyEvents.into());
        }
        let sequence = self.writer.next.after(self.count as u64);
        check_causes(meta, sequence)?;
        let number = self.find_or_add_stored(of)?;
        let meta = Some(meta).filter(|meta| !meta.is_empty());
        self.put_of(&Payload(payload), number, meta)?;
        Ok(sequence)
    }

    /// The number of a type here: that which it has, or the next one.
    fn find_or_add_stored(&mut self, of: &LogType) -> Result<TypeNumber, AppendError> {
        let writer = &mut *self.writer;
        for entry in writer.shared.types.iter() {
            if entry.item() == of.item() {
                return Ok(entry.number());
            }
            // The same name and version with another shape is never in one log.
            if entry.key().name_version == of.key().name_version {
                return Err(AppendError::Shape(of.name().into(), of.version()));
            }
        }
        if let Some(number) = writer.stage.find_new(of) {
            return Ok(number);
        }
        let next = writer.shared.types.len() + writer.stage.new_types() + 1;
        let number = u16::try_from(next).map_err(|_| AppendError::Exhausted)?;
        let number = TypeNumber::new(number);
        let entry = LogType::from_item(number, &of.item());
        let bytes = SegOpen::type_len(&entry.item());
        let table = writer.stage.type_bytes() + bytes + SegOpen::LEN + FRAME_HEADER;
        if table > max_type_table(writer.shared.bits) {
            return Err(AppendError::TypeTableFull);
        }
        let item = entry.item();
        let kind = (ItemKind::Type, number, StreamNumber::NONE);
        self.put_item(kind, item.encoded_len(), |payload| item.encode(payload))?;
        self.writer.stage.add_stored_type(entry, bytes);
        Ok(number)
    }
}
