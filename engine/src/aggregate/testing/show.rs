//! Events, side by side.

use std::fmt::Write;

use factlog_codec::types::{Encode, EventType, Scratch, TypeKey, encode_growing, render};
use factlog_codec::{Sequence, StreamKey};

/// Most bytes of an expected event.
const MOST: usize = 16 << 20;
/// Most bytes of one event that are shown.
const SHOWN: usize = 400;

/// An event as it is archived, with what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Archived {
    pub(super) of: Option<TypeKey>,
    pub(super) payload: Vec<u8>,
    /// Further instances that it belongs to.
    further: Vec<StreamKey>,
    /// The earlier event that it corrects.
    corrects: Option<Sequence>,
    /// For people.
    shown: String,
}

impl Archived {
    /// An event that is expected.
    pub(super) fn of(event: &impl Encode) -> Self {
        let (mut space, mut scratch) = (Vec::new(), Scratch::new());
        let len = match encode_growing(&mut space, MOST, |out| event.encode(out, &mut scratch)) {
            Ok(len) => len,
            Err(error) => panic!("an expected event: {error}"),
        };
        let bytes: &[u8] = bytemuck::cast_slice(&space);
        let payload = bytes.get(..len).unwrap_or(&[]);
        Self::read(event.event_type(), payload)
    }

    /// An event that stands in a log.
    pub(super) fn read(of: &EventType, payload: &[u8]) -> Self {
        let mut shown = format!("{} ", of.name());
        let rendered = of.description().map(|description| {
            // Render whole: an event that differs in its tail is shown to its tail or not at all.
            render(description, payload, &mut shown, SHOWN)
        });
        if !matches!(rendered, Some(Ok(()))) {
            let _ = write!(shown, "({} bytes)", payload.len());
        }
        let of = Some(of.key());
        Self { of, payload: payload.to_vec(), further: Vec::new(), corrects: None, shown }
    }

    /// One of a type that nobody knows.
    pub(super) fn unknown(name: &str, payload: &[u8]) -> Self {
        let (further, shown) = (Vec::new(), format!("{name}, an unknown type"));
        Self { of: None, payload: payload.to_vec(), further, corrects: None, shown }
    }

    /// With the further instances that it belongs to, and the event that it corrects.
    pub(super) fn beside(mut self, further: Vec<StreamKey>, corrects: Option<Sequence>) -> Self {
        (self.further, self.corrects) = (further, corrects);
        self
    }

    fn show(&self, whole: bool) -> String {
        let mut text = self.shown.clone();
        if whole {
            for stream in &self.further {
                let _ = write!(text, ", also of {stream}");
            }
            if let Some(corrected) = self.corrects {
                let _ = write!(text, ", corrects event {corrected}");
            }
        }
        text
    }
}

/// What differs between two lists of events, for people; `None` if nothing does. `whole` means: also to
/// which further instances they belong, and what they correct.
pub(super) fn difference(expected: &[Archived], found: &[Archived], whole: bool) -> Option<String> {
    let beside = |one: &Archived, other: &Archived| {
        one.further == other.further && one.corrects == other.corrects
    };
    let same = |one: &Archived, other: &Archived| {
        one.of == other.of && one.payload == other.payload && (!whole || beside(one, other))
    };
    let first = (0..expected.len().max(found.len())).find(|at| {
        match (expected.get(*at), found.get(*at)) {
            (Some(one), Some(other)) => !same(one, other),
            _ => true,
        }
    })?;
    let mut text = format!("event {} differs", first + 1);
    for (title, list) in [("expected", expected), ("found", found)] {
        let _ = write!(text, "\n{title}:");
        if list.is_empty() {
            text.push_str("\n    none");
        }
        for (at, event) in list.iter().enumerate() {
            let mark = if at == first { "->" } else { "  " };
            let _ = write!(text, "\n {mark} {}. {}", at + 1, event.show(whole));
        }
    }
    Some(text)
}
