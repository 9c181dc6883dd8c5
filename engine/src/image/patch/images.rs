//! What differs between two images, instance by instance, in the order of kinds and keys.

use std::cmp::Ordering;

use factlog_codec::{BlockError, Key};

use super::change::{Change, Patch};
use super::compare::{compare, descend};
use super::states::{DiffError, Shown};
use crate::image::images::Images;
use crate::image::kind::{Archived, Kind};
use crate::image::ordered::{One, Ordered};

/// Whether an instance is in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It has no event.
    Absent,
    /// It has a state.
    There,
    /// It is suspended: in the JSON of its image it is not there.
    Suspended,
}

/// What differs of one instance between two images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceDiff {
    /// The kind of state.
    pub kind: &'static str,
    /// Which instance.
    pub key: Key,
    /// Whether it is in the first image.
    pub before: Presence,
    /// Whether it is in the second one.
    pub after: Presence,
    /// What differs. The JSON of an image is `{"kind":{"key":state}}`, so paths begin with kind and
    /// key: `/account/7/cents`. Empty if an instance is only suspended in one and absent in the other.
    pub patch: Patch,
}

/// The next instance of an image, held.
struct Held {
    key: Vec<u8>,
    version: u64,
    presence: Presence,
    archive: Vec<u128>,
    len: usize,
}

/// The instances of one side.
struct Side<'a> {
    all: Ordered<'a>,
    kind: &'static str,
    held: Option<Held>,
}

impl<'a> Side<'a> {
    fn of(kind: &'a dyn Kind) -> Result<Self, DiffError> {
        let mut side = Self { all: Ordered::of(kind), kind: kind.name(), held: None };
        side.advance()?;
        Ok(side)
    }

    fn advance(&mut self) -> Result<(), DiffError> {
        let kind = self.kind;
        let damaged = |error: BlockError| DiffError::Damaged(kind, error);
        let mut space = self.held.take().map(|held| held.archive).unwrap_or_default();
        let Some(One { key, version, state }) = self.all.next().map_err(damaged)? else {
            return Ok(());
        };
        let (presence, len) = match state {
            Archived::Stored(archive) => {
                // Archives begin at a multiple of 16.
                space.clear();
                space.resize(archive.len().div_ceil(16), 0);
                let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
                if let Some(into) = bytes.get_mut(..archive.len()) {
                    into.copy_from_slice(archive);
                }
                (Presence::There, archive.len())
            }
            Archived::Suspended => (Presence::Suspended, 0),
            Archived::Unstorable => return Err(DiffError::TooLarge(kind)),
        };
        let (key, version) = (key.to_vec(), version.get());
        self.held = Some(Held { key, version, presence, archive: space, len });
        Ok(())
    }
}

impl Held {
    fn archive(&self) -> &[u8] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.archive);
        bytes.get(..self.len).unwrap_or(&[])
    }
}

/// Gives every instance that differs to `see`. What it costs in memory: the keys of both images, and
/// one instance of each.
pub(crate) fn differences(
    before: &Images,
    after: &Images,
    mut see: impl FnMut(InstanceDiff),
) -> Result<(), DiffError> {
    let mut kinds: Vec<&dyn Kind> = before.kinds().collect();
    kinds.sort_unstable_by_key(|kind| kind.name());
    if let Some(lacking) =
        after.kinds().find(|kind| !kinds.iter().any(|one| one.name() == kind.name()))
    {
        return Err(DiffError::NoKind(lacking.name()));
    }
    for kind in kinds {
        let name = kind.name();
        let other = after.kinds().find(|other| other.name() == name);
        let other = other.ok_or(DiffError::NoKind(name))?;
        if kind.fingerprint().is_none() {
            return Err(DiffError::NotStored(name));
        }
        let description = kind.description().ok_or(DiffError::NotDescribed(name))?;
        let shown = Shown { kind: name, description };
        let (mut one, mut other) = (Side::of(kind)?, Side::of(other)?);
        loop {
            let order = match (&one.held, &other.held) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.key.cmp(&other.key),
            };
            let left = one.held.as_ref().filter(|_| order != Ordering::Greater);
            let right = other.held.as_ref().filter(|_| order != Ordering::Less);
            if let Some(found) = difference(&shown, left, right)? {
                see(found);
            }
            if order != Ordering::Greater {
                one.advance()?;
            }
            if order != Ordering::Less {
                other.advance()?;
            }
        }
    }
    Ok(())
}

fn difference(
    shown: &Shown,
    before: Option<&Held>,
    after: Option<&Held>,
) -> Result<Option<InstanceDiff>, DiffError> {
    let presence = |held: Option<&Held>| held.map_or(Presence::Absent, |held| held.presence);
    let (was, is) = (presence(before), presence(after));
    let there = |held: &Held| held.presence == Presence::There;
    let archives = [before, after].map(|held| held.filter(|held| there(held)).map(Held::archive));
    let same_version = before.map(|held| held.version) == after.map(|held| held.version);
    if was == is && archives[0] == archives[1] && (same_version || was == Presence::There) {
        return Ok(None);
    }
    let key = before.or(after).map_or(&[][..], |held| &held.key);
    let Some(key) = Key::from_ordered(key) else { return Ok(None) };
    let mut path = String::new();
    descend(&mut path, shown.kind);
    descend(&mut path, &name_of(&key));
    let mut texts = [None, None];
    for (text, archive) in texts.iter_mut().zip(archives) {
        if let Some(archive) = archive {
            shown.put(archive, text.get_or_insert_default())?;
        }
    }
    let patch = match texts {
        [Some(before), Some(after)] => compare(&path, &before, &after),
        [Some(_), None] => Patch { changes: vec![Change::Remove { path }] },
        [None, Some(value)] => Patch { changes: vec![Change::Add { path, value }] },
        [None, None] => Patch::default(),
    };
    // Bytes that nobody sees may differ: what is not shown is no difference.
    let none = patch.is_empty() && was == is && was == Presence::There;
    Ok((!none).then_some(InstanceDiff { kind: shown.kind, key, before: was, after: is, patch }))
}

/// What a key is called in the JSON of an image.
fn name_of(key: &Key) -> String {
    match key {
        // As it is: displayed, it would be escaped.
        Key::Text(key) => key.as_ref().to_owned(),
        key => key.to_string(),
    }
}
