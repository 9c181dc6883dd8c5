//! How the instances of a kind of state are stored.

use std::fmt;
use std::panic::catch_unwind;

use factlog_codec::types::{Description, EncodeError, Scratch, Stored, ViewError, encode_growing};

/// How the instances of a kind of state are stored in snapshots: see [`State::STORED`].
///
/// [`State::STORED`]: crate::State::STORED
pub struct StoredState<S> {
    logic: u32,
    fingerprint: fn() -> u64,
    store: fn(&S, &mut [u8], &mut Scratch) -> Result<usize, EncodeError>,
    restore: fn(&[u8]) -> Result<S, ViewError>,
    describe: fn() -> Option<Description>,
}

impl<S> Clone for StoredState<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for StoredState<S> {}

impl<S> fmt::Debug for StoredState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredState").field("logic", &self.logic).finish_non_exhaustive()
    }
}

impl<S: Stored> StoredState<S> {
    /// As the state is: a struct under [`#[value]`](crate::value), or a type that is
    /// [`Stored`] by hand. `logic` is the version of what `evolve` makes of events: raise it when
    /// that changes, and snapshots of the earlier one are passed over. A change of the struct itself
    /// is noticed anyway.
    #[allow(clippy::unnecessary_wraps, reason = "it is what `State::STORED` is set to")]
    pub const fn new(logic: u32) -> Option<Self> {
        Some(Self {
            logic,
            fingerprint: S::fingerprint,
            store: S::store,
            restore: S::restore,
            describe: S::description,
        })
    }
}

impl<S> StoredState<S> {
    /// What is stored looks like this.
    pub(crate) fn description(&self) -> Option<Description> {
        (self.describe)()
    }

    /// The version of what `evolve` makes of events.
    pub(crate) const fn logic(&self) -> u32 {
        self.logic
    }

    /// Tells what is stored from what another program has stored.
    pub(crate) fn fingerprint(&self) -> u64 {
        // FNV-1a (Fowler, Noll, Vo), over the version behind the shape.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        self.logic.to_le_bytes().into_iter().fold((self.fingerprint)(), step)
    }

    /// The archive of a state, in `space`, which grows as is needed; `None` if it takes more than a
    /// snapshot has room for, or is nested too deeply.
    pub(crate) fn store<'a>(
        &self,
        state: &S,
        space: &'a mut Vec<u128>,
        scratch: &mut Scratch,
    ) -> Option<&'a [u8]> {
        let store = |out: &mut [u8]| {
            // Lists of what is no plain number need some bytes beside it for each element.
            scratch.grow(out.len().saturating_mul(4).min(MOST_SCRATCH));
            (self.store)(state, out, scratch)
        };
        let len = encode_growing(space, MOST, store).ok()?;
        let bytes: &[u8] = bytemuck::cast_slice(space);
        bytes.get(..len)
    }

    /// A state from its archive, if it can be read: a panic of the user's code says that it cannot.
    pub(crate) fn restore(&self, bytes: &[u8]) -> Result<S, Unrestored> {
        let restored = catch_unwind(|| (self.restore)(bytes));
        restored.map_err(|_| Unrestored)?.map_err(|_| Unrestored)
    }
}

/// The archive of a state cannot be read. Who has it folds the instance from elsewhere.
#[derive(Debug)]
pub(crate) struct Unrestored;

/// Most bytes of one state.
const MOST: usize = 1 << 28;
/// Most bytes of working space for one: of the address space, not of memory before it is used.
const MOST_SCRATCH: usize = 1 << 30;
