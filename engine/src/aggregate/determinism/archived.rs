//! Events side by side: what they are, byte for byte, and how they are shown.

use std::fmt::Write;

use factlog_codec::types::{
    Decode, Encode, EncodeError, EventType, Scratch, TypeKey, Upcasts, encode_growing, render,
};
use factlog_codec::{Sequence, StreamKey};

use crate::log::{Entry, LogType};

/// Most bytes of one event.
const MOST: usize = 16 << 20;
/// Most bytes of one that are shown.
const SHOWN: usize = 400;

/// An event as it is archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archived {
    pub(super) of: Option<TypeKey>,
    pub(super) payload: Vec<u8>,
    /// Further instances that it belongs to.
    pub(super) further: Vec<StreamKey>,
    /// The earlier event that it corrects.
    pub(super) corrects: Option<Sequence>,
}

/// Where events are archived.
#[derive(Default)]
pub(super) struct Space {
    pub(super) scratch: Scratch,
    pub(super) upcasts: Upcasts,
    space: Vec<u128>,
}

impl Space {
    /// The archive of something.
    pub(super) fn archive(
        &mut self,
        mut encode: impl FnMut(&mut [u8], &mut Scratch) -> Result<usize, EncodeError>,
    ) -> Result<&[u8], EncodeError> {
        let Self { scratch, space, .. } = self;
        let len = encode_growing(space, MOST, |out| encode(out, scratch))?;
        let bytes: &[u8] = bytemuck::cast_slice(space);
        Ok(bytes.get(..len).unwrap_or(&[]))
    }

    /// An aligned copy of bytes, which need not be aligned.
    pub(super) fn aligned(&mut self, bytes: &[u8]) -> &[u8] {
        self.space.resize(bytes.len().div_ceil(16), 0);
        let space: &mut [u8] = bytemuck::cast_slice_mut(&mut self.space);
        let space = space.get_mut(..bytes.len()).unwrap_or(&mut []);
        space.copy_from_slice(bytes);
        space
    }
}

impl Archived {
    /// An event that was decided.
    pub(super) fn of<E: Encode>(
        event: &E,
        (further, corrects): (Vec<StreamKey>, Option<Sequence>),
        space: &mut Space,
    ) -> Result<Self, EncodeError> {
        let payload = space.archive(|out, scratch| event.encode(out, scratch))?.to_vec();
        Ok(Self { of: Some(event.event_type().key()), payload, further, corrects })
    }

    /// An event that stands in the log.
    pub(super) fn read(entry: &Entry<'_>, further: Vec<StreamKey>) -> Self {
        // The log was read, so they can be.
        let corrects = entry.item.extensions.invalidates().unwrap_or_default();
        Self { of: entry.type_key(), payload: entry.item.payload.to_vec(), further, corrects }
    }

    /// As it would be written today: itself, or what it becomes if it is of an earlier version.
    /// `None` if it needs no other form, or cannot be given one.
    pub(super) fn newer<E: Decode>(
        &self,
        today: &[TypeKey],
        space: &mut Space,
    ) -> Option<Vec<Self>> {
        let of = self.of.filter(|of| !today.contains(of))?;
        let mut aligned = vec![0_u128; self.payload.len().div_ceil(16)];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut aligned);
        let bytes = bytes.get_mut(..self.payload.len())?;
        bytes.copy_from_slice(&self.payload);
        let mut became = Vec::new();
        E::decode(of, bytes, &mut space.upcasts, &mut |event| became.push(event)).ok()??;
        // An event is corrected once: of what this one becomes, the first does.
        let archived = became.iter().enumerate().map(|(at, event)| {
            let corrects = self.corrects.filter(|_| at == 0);
            Self::of(event, (self.further.clone(), corrects), space)
        });
        archived.collect::<Result<_, _>>().ok()
    }

    /// For people.
    pub(super) fn show<'t>(
        &self,
        known: &[&'static EventType],
        mut logged: impl Iterator<Item = &'t LogType>,
    ) -> String {
        let mut shown = String::new();
        let mine = known.iter().find(|of| Some(of.key()) == self.of);
        let theirs = logged.find(|of| Some(of.key()) == self.of);
        let (name, version, description) = match (mine, theirs) {
            (Some(of), _) => (of.name(), of.version(), of.description()),
            (None, Some(of)) => (of.name(), of.version(), of.description()),
            (None, None) => ("of an unknown type", 0, None),
        };
        let _ = write!(shown, "{name} (version {version}) ");
        let rendered = description.map(|of| render(of, &self.payload, &mut shown, SHOWN).is_ok());
        if rendered != Some(true) {
            let _ = write!(shown, "({} bytes)", self.payload.len());
        }
        for stream in &self.further {
            let _ = write!(shown, ", also of {stream}");
        }
        if let Some(corrected) = self.corrects {
            let _ = write!(shown, ", corrects event {corrected}");
        }
        shown
    }
}
