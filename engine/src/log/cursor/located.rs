//! Where an event of a stream stands, and how it is found in its frame.

use factlog_codec::{
    Frame, FrameHeader, Item, ItemKind, Items, Link, Position, StreamNumber, StreamVersion,
};

use crate::log::fault::ItemFault;

/// Where an event of a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) version: StreamVersion,
    pub(super) frame: Position,
    /// Index among the events of the frame; unknown for the stream's last event.
    pub(super) index: Option<u16>,
}

/// Where `link` leads.
pub(super) fn previous(link: Link) -> Option<Spot> {
    let version = link.version.previous();
    (version != StreamVersion::NONE && link.previous != Position::ZERO).then_some(Spot {
        version,
        frame: link.previous,
        index: Some(link.index),
    })
}

/// A frame that verifies, and where its events begin in its body: several events of one stream often
/// stand in one frame, and to look for each from the frame's beginning on would take long.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) position: Position,
    pub(super) header: FrameHeader,
    starts: Vec<u32>,
}

/// An event of a stream, in its frame.
#[derive(Debug)]
pub(super) struct Located<'a> {
    pub(super) item: Item<'a>,
    /// Its number among the events of the frame.
    pub(super) index: usize,
    /// Its link in the stream.
    pub(super) link: Link,
}

impl Known {
    /// Goes through a frame that stands at `position`, with the memory of the one before.
    pub(super) fn of(
        position: Position,
        frame: &Frame<'_>,
        before: Option<Self>,
    ) -> Result<Self, ItemFault> {
        let mut starts = before.map(|before| before.starts).unwrap_or_default();
        starts.clear();
        let mut items = Items::new(frame.body);
        loop {
            let start = frame.body.len() - items.remaining();
            match items.next() {
                None => return Ok(Self { position, header: frame.header, starts }),
                Some(item) => {
                    let item = item.map_err(ItemFault::Item)?;
                    if item.header.flags.kind == ItemKind::Event {
                        starts.push(start as u32);
                    }
                }
            }
        }
    }

    /// How many events it has.
    pub(super) fn events(&self) -> usize {
        self.starts.len()
    }

    /// The event that is `spot` of the stream; `body` is that of the frame.
    pub(super) fn find<'a>(
        &self,
        body: &'a [u8],
        number: StreamNumber,
        spot: Spot,
    ) -> Result<Option<Located<'a>>, ItemFault> {
        let candidates = match spot.index {
            Some(index) => usize::from(index)..usize::from(index) + 1,
            // The last event of the stream: it is near the end.
            None => 0..self.starts.len(),
        };
        for index in candidates.rev() {
            let Some(start) = self.starts.get(index) else { break };
            let item = Items::new(body.get(*start as usize..).unwrap_or(&[])).next();
            let Some(item) = item.transpose().map_err(ItemFault::Item)? else { break };
            let link = if item.header.stream == number {
                item.extensions.link().map_err(ItemFault::Extension)?
            } else {
                let further = item.extensions.further().map_err(ItemFault::Extension)?;
                further.iter().find(|further| further.stream == number).map(|further| further.link)
            };
            if let Some(link) = link.filter(|link| link.version == spot.version) {
                return Ok(Some(Located { item, index, link }));
            }
        }
        Ok(None)
    }
}
