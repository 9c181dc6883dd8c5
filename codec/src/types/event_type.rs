//! The identity of an event type: its name, its version, and the shape that stands behind both.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::OnceLock;

use super::description::Description;
use super::hash::Fnv;
use crate::item::Encoding;

/// Name and version of an event type, and the fingerprint of its shape, as two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TypeKey {
    /// Hash of name and version.
    pub name_version: u64,
    /// Hash of the description.
    pub fingerprint: u64,
}

impl TypeKey {
    /// The key of version `version` of the event `name`, described with `fingerprint`.
    pub fn new(name: &str, version: u16, fingerprint: u64) -> Self {
        // FF is no byte of UTF-8: no name runs into a version.
        let hash = Fnv::new().with(name.as_bytes()).with(&[0xFF]).with(&version.to_le_bytes());
        Self { name_version: hash.finish(), fingerprint }
    }
}

/// What is known of a type once it was described.
#[derive(Debug)]
struct Known {
    description: Option<Description>,
    key: TypeKey,
}

/// An event type of this program; there is one `static` for each, made by
/// [`#[event]`](crate::event).
#[derive(Debug)]
pub struct EventType {
    name: &'static str,
    version: u16,
    /// What describes it; nothing describes opaque bytes.
    describe: Option<fn() -> Description>,
    known: OnceLock<Known>,
    /// One more than the slot; 0 while it has none. Written once, with the value in `assigned`.
    slot: AtomicUsize,
    assigned: OnceLock<usize>,
}

/// Slots given out so far.
static SLOTS: AtomicUsize = AtomicUsize::new(0);

impl EventType {
    /// A type of this name and version, that `describe` describes.
    ///
    /// # Panics
    ///
    /// When the name has not 1 to 128 bytes, or the version is 0: at compile time, for a `static`.
    pub const fn new(name: &'static str, version: u16, describe: fn() -> Description) -> Self {
        Self::with(name, version, Some(describe))
    }

    /// A type whose payloads are bytes that only the application can read: see
    /// [`Opaque`](super::Opaque).
    ///
    /// # Panics
    ///
    /// When the name has not 1 to 128 bytes or begins with `$`, or the version is 0: at compile
    /// time, for a `static`.
    pub const fn opaque(name: &'static str, version: u16) -> Self {
        assert!(!matches!(name.as_bytes(), [b'$', ..]), "names that begin with $ are the engine's");
        Self::with(name, version, None)
    }

    const fn with(name: &'static str, version: u16, describe: Option<fn() -> Description>) -> Self {
        assert!(matches!(name.len(), 1..=128), "the name of an event has 1 to 128 bytes");
        assert!(version > 0, "versions begin with 1");
        Self {
            name,
            version,
            describe,
            known: OnceLock::new(),
            slot: AtomicUsize::new(0),
            assigned: OnceLock::new(),
        }
    }

    /// Name of the event.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Version of the event, from 1.
    pub const fn version(&self) -> u16 {
        self.version
    }

    #[inline]
    fn known(&self) -> &Known {
        self.known.get_or_init(|| self.learn())
    }

    #[cold]
    fn learn(&self) -> Known {
        let description = self.describe.map(|describe| describe());
        let fingerprint = description.as_ref().map_or(0, Description::fingerprint);
        Known { description, key: TypeKey::new(self.name, self.version, fingerprint) }
    }

    /// What the payloads are.
    pub const fn encoding(&self) -> Encoding {
        if self.describe.is_some() { Encoding::Archive } else { Encoding::Opaque }
    }

    /// The type as numbers. Computed at the first call.
    #[inline]
    pub fn key(&self) -> TypeKey {
        self.known().key
    }

    /// Hash of the description; 0 for opaque bytes.
    #[inline]
    pub fn fingerprint(&self) -> u64 {
        self.known().key.fingerprint
    }

    /// What the payloads look like; `None` for opaque bytes. Computed at the first call.
    pub fn description(&self) -> Option<&Description> {
        self.known().description.as_ref()
    }

    /// A small number of this type in this process, for tables: 0, 1, 2, ... as types ask first.
    ///
    /// It is not stored anywhere and differs from run to run.
    #[inline]
    pub fn slot(&self) -> usize {
        // Relaxed: the number itself is all that is communicated.
        match self.slot.load(Ordering::Relaxed).checked_sub(1) {
            Some(slot) => slot,
            None => self.assign(),
        }
    }

    #[cold]
    fn assign(&self) -> usize {
        // The cell makes threads that race agree, and wastes no number.
        let slot = *self.assigned.get_or_init(|| SLOTS.fetch_add(1, Ordering::Relaxed));
        self.slot.store(slot.wrapping_add(1), Ordering::Relaxed);
        slot
    }

    /// Whether `other` is this type: `false` for another name or version.
    ///
    /// # Errors
    ///
    /// It has the same name and version, but another shape.
    #[inline]
    pub fn matches(&self, other: TypeKey) -> Result<bool, SchemaDrift> {
        let key = self.key();
        if key.name_version != other.name_version {
            return Ok(false);
        }
        if key.fingerprint == other.fingerprint { Ok(true) } else { Err(self.drift(other)) }
    }

    #[cold]
    fn drift(&self, stored: TypeKey) -> SchemaDrift {
        SchemaDrift {
            name: self.name,
            version: self.version,
            declared: self.fingerprint(),
            stored: stored.fingerprint,
        }
    }
}

/// A stored event type has the name and version of one of the program, but another shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SchemaDrift {
    /// Name of the event.
    pub name: &'static str,
    /// Version of the event.
    pub version: u16,
    /// Fingerprint of the shape that the program declares.
    pub declared: u64,
    /// Fingerprint of the shape that is stored.
    pub stored: u64,
}

impl fmt::Display for SchemaDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, declared, stored } = self;
        write!(
            f,
            "event `{name}` version {version} is stored with another shape (fingerprint \
             {stored:016x}) than the program declares ({declared:016x}): a changed shape needs a \
             new version. Write `version = {}` on the struct, and keep the struct as it was, as \
             version {version}, to read what is stored",
            version.saturating_add(1)
        )
    }
}

impl core::error::Error for SchemaDrift {}
