//! The events of one stream, forwards and backwards.
//!
//! Each event of a stream links to the one before it, so going back is following links. Going
//! forwards is going back first, noting every so many links, and then each stretch in turn: the
//! memory it takes is bounded, however long the stream.

use factlog_codec::{FrameHeader, Link, Place, Sequence, StreamKey, StreamNumber, StreamVersion};

use super::corrections::Corrections;
use super::event_ref::EventRef;
use super::frames::Pin;
use super::located::{Known, Located, Spot, previous};
use crate::log::error::ReadError;
use crate::log::shared::Shared;
use crate::sync::Arc;

/// Events of a stream that are noted at once.
const STRETCH: usize = 4096;

/// An event of a stream, found in its frame.
struct FoundEvent<'a> {
    event: EventRef<'a>,
    link: Link,
}

/// What a cursor over one stream needs to find events.
#[derive(Debug)]
struct Finder {
    shared: Arc<Shared>,
    name: StreamKey,
    number: Option<StreamNumber>,
    pin: Option<Pin>,
    /// The frame that was looked at last.
    frame: Option<Known>,
}

impl Finder {
    fn new(shared: &Arc<Shared>, name: &StreamKey) -> Self {
        Self {
            shared: Arc::clone(shared),
            name: name.clone(),
            number: None,
            pin: None,
            frame: None,
        }
    }

    /// The stream's last visible event, if it has begun.
    fn head(&mut self) -> Option<Spot> {
        if self.number.is_none() {
            self.number = self.shared.streams.find(&self.name);
        }
        let (version, frame) = self.shared.streams.head(self.number?);
        (version != StreamVersion::NONE).then_some(Spot { version, frame, index: None })
    }

    /// Whether retention has left the segment of `spot`.
    fn is_kept(&self, spot: Spot) -> bool {
        spot.frame.segment(self.shared.bits) >= self.shared.segments.floor()
    }

    /// The event at `spot`.
    fn find(&mut self, spot: Spot) -> Result<FoundEvent<'_>, ReadError> {
        let shared = &*self.shared;
        let bits = shared.bits;
        let number = self.number.unwrap_or(StreamNumber::NONE);
        // Heads are published after their frames, so this is not behind.
        let visible = shared.frontier.visible();
        let frame = shared.frame(&mut self.pin, visible, spot.frame)?;
        let place = Place::of(spot.frame, bits);
        let fault = |fault| ReadError::Items(place, fault);
        let known = match &mut self.frame {
            Some(known) if known.position == spot.frame => known,
            other => {
                let before = other.take();
                other.insert(Known::of(spot.frame, &frame, before).map_err(fault)?)
            }
        };
        let Some(found) = known.find(frame.body, number, spot).map_err(fault)? else {
            return Err(ReadError::Link {
                stream: self.name.clone(),
                version: spot.version,
                place,
            });
        };
        let Located { item, index, link } = found;
        let FrameHeader { sequence, ts, epoch, .. } = frame.header;
        let event = EventRef::new(shared, item, sequence.after(index as u64), ts, epoch);
        Ok(FoundEvent { event, link })
    }

    /// The spot before `spot`, if it is not the first.
    fn before(&mut self, spot: Spot) -> Result<Option<Spot>, ReadError> {
        let link = self.find(spot)?.link;
        Ok(previous(link))
    }
}

/// The events of one stream from a version on, as they come.
#[derive(Debug)]
pub struct StreamCursor {
    finder: Finder,
    next: StreamVersion,
    /// It begins with the oldest event that retention has left when it first looks.
    from_oldest: bool,
    /// The next spots, the last one first.
    stretch: Vec<Spot>,
    /// The last spots of later stretches, the nearest last.
    later: Vec<Spot>,
    failed: Option<ReadError>,
}

impl StreamCursor {
    pub(super) fn new(shared: &Arc<Shared>, name: &StreamKey, from: StreamVersion) -> Self {
        Self {
            finder: Finder::new(shared, name),
            next: from.max(StreamVersion::NONE.next()),
            from_oldest: from == StreamVersion::NONE,
            stretch: Vec::new(),
            later: Vec::new(),
            failed: None,
        }
    }

    /// The version that comes next.
    pub fn next_version(&self) -> StreamVersion {
        self.next
    }

    /// The next event of the stream, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn next_event(&mut self) -> Result<Option<EventRef<'_>>, ReadError> {
        if self.stretch.is_empty()
            && self.failed.is_none()
            && let Err(error) = self.plan()
        {
            self.failed = Some(error);
        }
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some(spot) = self.stretch.pop() else { return Ok(None) };
        match self.finder.find(spot) {
            Ok(found) => {
                self.next = spot.version.next();
                // From here on nothing is left out that it has not said.
                self.from_oldest = false;
                Ok(Some(found.event))
            }
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Notes where the next stretch of events stands.
    fn plan(&mut self) -> Result<(), ReadError> {
        let top = match self.later.pop() {
            Some(spot) => spot,
            None => match self.finder.head() {
                // Nothing of it is left.
                Some(head) if self.from_oldest && !self.finder.is_kept(head) => {
                    self.next = head.version.next();
                    self.from_oldest = false;
                    return Ok(());
                }
                Some(head) if head.version >= self.next => head,
                _ => return Ok(()),
            },
        };
        let stretch = STRETCH as u64;
        let mut spot = top;
        loop {
            let ahead = spot.version.get() - self.next.get();
            if ahead < stretch {
                self.stretch.push(spot);
            } else if (ahead + 1).is_multiple_of(stretch) && spot != top {
                self.later.push(spot);
            } else if spot == top {
                // Whatever is above the last whole stretch begins here.
                self.later.push(spot);
            }
            if ahead == 0 {
                // Pushed from the newest to the oldest: the oldest is taken first.
                return Ok(());
            }
            match self.finder.before(spot)? {
                Some(before) if !self.from_oldest || self.finder.is_kept(before) => spot = before,
                // Retention has dropped what is before: the stream begins here.
                Some(_) if spot.version > self.next => {
                    self.next = spot.version;
                    self.stretch.clear();
                    self.later.clear();
                    return self.plan();
                }
                _ => return Ok(()),
            }
        }
    }
}

/// The events of one stream as of a moment, the newest first.
#[derive(Debug)]
pub struct StreamHistory {
    finder: Finder,
    spot: Option<Spot>,
    corrections: Corrections,
}

impl StreamHistory {
    pub(in crate::log) fn new(shared: &Arc<Shared>, name: &StreamKey) -> Self {
        let mut finder = Finder::new(shared, name);
        let spot = finder.head();
        Self { finder, spot, corrections: Corrections::default() }
    }

    /// The event before the last one given, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn next_event(&mut self) -> Result<Option<EventRef<'_>>, ReadError> {
        let Some(spot) = self.spot else { return Ok(None) };
        let found = self.finder.find(spot)?;
        self.spot = previous(found.link);
        Ok(Some(found.event))
    }

    /// What it has come across.
    pub(super) fn into_corrections(self) -> Corrections {
        self.corrections
    }

    /// The same, and which later event of the stream corrects it, if one does (that stands in the
    /// stream as of now).
    ///
    /// # Errors
    ///
    /// It cannot be read, or not what stands beside it.
    pub fn next_marked(&mut self) -> Result<Option<(EventRef<'_>, Option<Sequence>)>, ReadError> {
        let Some(spot) = self.spot else { return Ok(None) };
        let place = Place::of(spot.frame, self.finder.shared.bits);
        let found = self.finder.find(spot)?;
        let by = self.corrections.note(&found.event, place)?;
        self.spot = previous(found.link);
        Ok(Some((found.event, by)))
    }
}
