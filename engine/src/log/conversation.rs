//! What has come of an event: all that names it as the root of its conversation, as a tree of causes.

use std::collections::BTreeMap;
use std::fmt;

use factlog_codec::{ItemKind, Items, Place, Position, Sequence, StreamKey};

use super::cursor::{Cursor, Log, Pin, Start};
use super::error::{ReadError, SeekError};
use super::fault::ItemFault;
use super::frontier::Visible;
use super::postings::frames_of;
use super::shared::Shared;

/// An event of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caused {
    /// Its number in the log.
    pub sequence: Sequence,
    /// The event that caused it.
    pub cause: Option<Sequence>,
    /// When it was committed: nanoseconds since the Unix epoch.
    pub ts: u64,
    /// Name of its type.
    pub name: String,
    /// Version of its type.
    pub version: u16,
    /// The stream that it belongs to.
    pub stream: Option<StreamKey>,
}

/// The events of a conversation: its root, and all whose correlation is that root, each below the
/// event that caused it. What [`Log::conversation`] gives.
///
/// It is shown as an indented tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    root: Sequence,
    events: BTreeMap<Sequence, Caused>,
    /// By the cause.
    children: BTreeMap<Sequence, Vec<Sequence>>,
    whole: bool,
}

impl Conversation {
    /// The event at its root.
    pub fn root(&self) -> Sequence {
        self.root
    }

    /// All events, the root among them (if retention has left it), in their order.
    pub fn events(&self) -> impl Iterator<Item = &Caused> {
        self.events.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// One of them.
    pub fn get(&self, sequence: Sequence) -> Option<&Caused> {
        self.events.get(&sequence)
    }

    /// What an event has caused, in order. The root also has those that name no cause, or one
    /// that is not in the conversation.
    pub fn caused_by(&self, sequence: Sequence) -> impl Iterator<Item = &Caused> {
        let children = self.children.get(&sequence).into_iter().flatten();
        children.filter_map(|child| self.events.get(child))
    }

    /// Whether that is all: neither has retention dropped the root, nor are there more events than
    /// were asked for.
    pub fn is_whole(&self) -> bool {
        self.whole
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not by recursion: each may have caused the next.
        let mut open = vec![(0_usize, self.root)];
        while let Some((depth, sequence)) = open.pop() {
            if depth > 0 || self.events.contains_key(&sequence) {
                writeln!(
                    f,
                    "{:indent$}{}",
                    "",
                    Line(self.events.get(&sequence)),
                    indent = 2 * depth
                )?;
            } else {
                writeln!(f, "{sequence} (dropped)")?;
            }
            let children = self.children.get(&sequence).into_iter().flatten();
            open.extend(children.rev().map(|child| (depth + 1, *child)));
        }
        Ok(())
    }
}

/// One event in a line.
struct Line<'a>(Option<&'a Caused>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Caused { sequence, name, stream, .. }) = self.0 else { return Ok(()) };
        write!(f, "{sequence} {name}")?;
        match stream {
            Some(stream) => write!(f, " of {stream}"),
            None => Ok(()),
        }
    }
}

impl Log {
    /// What has come of an event: the conversation that it belongs to, from its root on, as far as is
    /// visible. With more than `most` events the earliest so many are given.
    ///
    /// Segments that have ended are looked up in an index that is made once for each, when somebody
    /// first asks; the one in use is gone through. Events that name a cause and no correlation are
    /// not found: see [`Meta::caused_by`](crate::Meta::caused_by).
    ///
    /// # Errors
    ///
    /// The event is not in the log, or what came after the root cannot be read.
    pub fn conversation(&self, event: Sequence, most: usize) -> Result<Conversation, SeekError> {
        let shared = self.shared();
        let root = self.with_event(event, |event| event.conversation());
        let unreadable = |error| SeekError::Read(error);
        let root = root?.map_err(|error| {
            let place = Place { segment: shared.segments.floor(), offset: 0 };
            unreadable(ReadError::Items(place, ItemFault::Extension(error)))
        })?;
        // It holds what is about to be looked at.
        let (_held, first, whole) = match Cursor::place(shared, Start::Sequence(root)) {
            Ok(cursor) => {
                let segment = cursor.segment();
                (cursor, segment, true)
            }
            Err(SeekError::BeforeOldest(_)) => {
                let cursor = Cursor::place(shared, Start::Oldest)?;
                let segment = cursor.segment();
                (cursor, segment, false)
            }
            Err(error) => return Err(error),
        };
        let (mut events, mut whole) = (BTreeMap::new(), whole);
        if whole {
            let found = self.with_event(root, |event| Caused {
                sequence: root,
                cause: event.cause().ok().flatten(),
                ts: event.ts(),
                name: event.event_type().map_or_else(String::new, |of| of.name().to_owned()),
                version: event.event_type().map_or(0, |of| of.version()),
                stream: event.stream().cloned(),
            })?;
            events.insert(root, found);
        }
        let visible = shared.frontier.visible();
        let mut pin = None;
        'all: for segment in shared.segments.in_use() {
            if segment.id() < first {
                continue;
            }
            for offset in frames_of(shared, &segment, visible, root).map_err(unreadable)? {
                let position = Position::new(segment.id(), offset, shared.bits);
                let frame = events_of(shared, &mut pin, (visible, position), root);
                for caused in frame.map_err(unreadable)? {
                    if events.len() >= most {
                        whole = false;
                        break 'all;
                    }
                    events.insert(caused.sequence, caused);
                }
            }
        }
        let mut children: BTreeMap<Sequence, Vec<Sequence>> = BTreeMap::new();
        for caused in events.values().filter(|caused| caused.sequence != root) {
            let cause = caused.cause.filter(|cause| events.contains_key(cause)).unwrap_or(root);
            children.entry(cause).or_default().push(caused.sequence);
        }
        Ok(Conversation { root, events, children, whole })
    }
}

/// The events in a frame that belong to a conversation.
fn events_of(
    shared: &Shared,
    pin: &mut Option<Pin>,
    (visible, position): (Visible, Position),
    root: Sequence,
) -> Result<Vec<Caused>, ReadError> {
    let frame = shared.frame(pin, visible, position)?;
    let fault = |fault| ReadError::Items(Place::of(position, shared.bits), fault);
    let (mut found, mut sequence) = (Vec::new(), frame.header.sequence);
    for item in Items::new(frame.body) {
        let item = item.map_err(|error| fault(ItemFault::Item(error)))?;
        if item.header.flags.kind != ItemKind::Event {
            continue;
        }
        let extension = |error| fault(ItemFault::Extension(error));
        if item.extensions.correlation().map_err(extension)? == Some(root) {
            let of = shared.types.get(item.header.type_number);
            found.push(Caused {
                sequence,
                cause: item.extensions.cause().map_err(extension)?,
                ts: frame.header.ts,
                name: of.map_or_else(String::new, |of| of.name().to_owned()),
                version: of.map_or(0, super::type_table::LogType::version),
                stream: shared.streams.name(item.header.stream).cloned(),
            });
        }
        sequence = sequence.after(1);
    }
    Ok(found)
}
