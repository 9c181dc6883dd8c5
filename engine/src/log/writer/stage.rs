//! What a transaction has changed beside its bytes, so that it can be taken back: streams' heads,
//! new streams, new types.

use std::collections::HashMap;

use factlog_codec::types::EventType;
use factlog_codec::{Position, Sequence, StreamKey, StreamNumber, TypeNumber};

use crate::log::error::AppendError;
use crate::log::frontier::Frontier;
use crate::log::recovery::Head;
use crate::log::shared::Shared;
use crate::log::stream_table::StreamTable;
use crate::log::type_table::{LogType, TypeTable};

/// Heads of all streams as the transaction sees them, and how they were.
#[derive(Debug)]
pub(in crate::log) struct Stage {
    /// By stream number less one.
    heads: Vec<Head>,
    /// Streams whose heads changed, and how they were, in order.
    touched: Vec<(StreamNumber, Head)>,
    new_streams: Vec<StreamKey>,
    by_name: HashMap<StreamKey, StreamNumber, foldhash::fast::RandomState>,
    /// With the slot of the Rust type, if one brought it.
    new_types: Vec<(Option<usize>, LogType)>,
    /// Type numbers by the slot of the Rust type; 0 if not looked up yet.
    numbers: Vec<u16>,
    /// Bytes that all types take in a SEGOPEN.
    type_bytes: usize,
}

/// A moment in a transaction to go back to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Savepoint {
    touched: usize,
    new_streams: usize,
    new_types: usize,
}

impl Stage {
    pub(in crate::log) fn new(heads: Vec<Head>, type_bytes: usize) -> Self {
        Self {
            heads,
            touched: Vec::new(),
            new_streams: Vec::new(),
            by_name: HashMap::default(),
            new_types: Vec::new(),
            numbers: Vec::new(),
            type_bytes,
        }
    }

    pub(super) fn type_bytes(&self) -> usize {
        self.type_bytes
    }
    pub(super) fn new_types(&self) -> usize {
        self.new_types.len()
    }

    pub(super) fn head(&self, number: StreamNumber) -> Head {
        let index = usize::try_from(number.get()).ok().and_then(|number| number.checked_sub(1));
        index.and_then(|index| self.heads.get(index)).copied().unwrap_or_default()
    }

    pub(in crate::log) fn set_head(&mut self, number: StreamNumber, head: Head) {
        let index = usize::try_from(number.get()).ok().and_then(|number| number.checked_sub(1));
        if let Some(entry) = index.and_then(|index| self.heads.get_mut(index)) {
            self.touched.push((number, *entry));
            *entry = head;
        }
    }

    /// The number of a stream, published or new in this transaction.
    pub(super) fn find_stream(&self, shared: &Shared, name: &StreamKey) -> Option<StreamNumber> {
        let published = shared.streams.find(name);
        if published.is_some() || self.new_streams.is_empty() {
            return published;
        }
        self.by_name.get(name).copied()
    }

    /// The name of a stream that is new in this transaction.
    pub(super) fn new_stream(&self, number: StreamNumber) -> Option<&StreamKey> {
        let known = (self.heads.len() - self.new_streams.len()) as u64;
        let index = number.get().checked_sub(known + 1)?;
        self.new_streams.get(usize::try_from(index).ok()?)
    }

    /// Gives a new stream its number.
    pub(in crate::log) fn add_stream(&mut self, name: &StreamKey) -> StreamNumber {
        let number = StreamNumber::new(self.heads.len() as u64 + 1);
        self.heads.push(Head::default());
        self.new_streams.push(name.clone());
        self.by_name.insert(name.clone(), number);
        number
    }

    /// The number of a type, if it was looked up before.
    #[inline]
    pub(super) fn number_of(&self, event: &EventType) -> Option<TypeNumber> {
        match self.numbers.get(event.slot()) {
            Some(0) | None => None,
            Some(number) => Some(TypeNumber::new(*number)),
        }
    }

    /// The number of a type that this transaction has added under another Rust type.
    pub(super) fn find_new_type(
        &self,
        event: &EventType,
    ) -> Result<Option<TypeNumber>, AppendError> {
        for (_, entry) in &self.new_types {
            if event.matches(entry.key()).map_err(AppendError::Drift)? {
                // Not remembered by slot: going back would forget it only for the first.
                return Ok(Some(entry.number()));
            }
        }
        Ok(None)
    }

    pub(super) fn remember_type(&mut self, event: &EventType, number: TypeNumber) {
        let slot = event.slot();
        if self.numbers.len() <= slot {
            self.numbers.resize(slot + 1, 0);
        }
        self.numbers[slot] = number.get();
    }

    pub(super) fn add_type(&mut self, event: &EventType, entry: LogType, bytes: usize) {
        self.remember_type(event, entry.number());
        self.new_types.push((Some(event.slot()), entry));
        self.type_bytes += bytes;
    }

    /// The same, of a type that stands in another log.
    pub(super) fn add_stored_type(&mut self, entry: LogType, bytes: usize) {
        self.new_types.push((None, entry));
        self.type_bytes += bytes;
    }

    /// The number of a type that this transaction has added, by what it is.
    pub(super) fn find_new(&self, of: &LogType) -> Option<TypeNumber> {
        let found = self.new_types.iter().find(|(_, entry)| entry.item() == of.item());
        found.map(|(_, entry)| entry.number())
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint {
            touched: self.touched.len(),
            new_streams: self.new_streams.len(),
            new_types: self.new_types.len(),
        }
    }

    /// Takes back everything since `point`.
    #[cold]
    pub(super) fn go_back(&mut self, point: Savepoint) {
        for (number, head) in self.touched.drain(point.touched..).rev() {
            let index = usize::try_from(number.get()).ok().and_then(|number| number.checked_sub(1));
            if let Some(entry) = index.and_then(|index| self.heads.get_mut(index)) {
                *entry = head;
            }
        }
        for name in self.new_streams.drain(point.new_streams..) {
            self.by_name.remove(&name);
            self.heads.pop();
        }
        for (slot, entry) in self.new_types.drain(point.new_types..) {
            if let Some(slot) = slot {
                self.numbers[slot] = 0;
            }
            self.type_bytes -= factlog_codec::SegOpen::type_len(&entry.item());
        }
    }

    /// Makes the frame visible that ends at `end`, and all that it changes, in the one order in
    /// which nobody sees what leads to nothing: names first, then the frame, then the heads of
    /// its streams; at last those are woken who wait for it.
    #[inline]
    pub(in crate::log) fn publish(
        &mut self,
        types: &TypeTable,
        streams: &StreamTable,
        frontier: &Frontier,
        (end, next): (Position, Sequence),
    ) {
        if !self.new_types.is_empty() || !self.new_streams.is_empty() {
            self.publish_names(types, streams);
        }
        frontier.publish(end, next);
        for index in 0..self.touched.len() {
            let number = self.touched[index].0;
            let head = self.head(number);
            streams.set_head(number, head.version, head.position);
        }
        self.touched.clear();
        frontier.notify();
    }

    #[cold]
    fn publish_names(&mut self, types: &TypeTable, streams: &StreamTable) {
        for (_, entry) in self.new_types.drain(..) {
            let added = types.add(entry);
            debug_assert!(added);
        }
        let first = self.heads.len() - self.new_streams.len() + 1;
        for (index, name) in self.new_streams.drain(..).enumerate() {
            let added = streams.add(StreamNumber::new((first + index) as u64), name);
            debug_assert!(added);
        }
        self.by_name.clear();
    }
}
