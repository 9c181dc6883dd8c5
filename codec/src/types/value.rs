//! What can be a field of an event.

use core::fmt::Debug;

use super::description::{Description, DescriptionBuilder, NodeId};

/// Most pointers (boxes, lists, strings) behind one another in a payload.
///
/// Only a type that contains itself gets near. Deeper values are refused when they are encoded, and
/// deeper payloads when they are viewed: both would otherwise be bounded by the stack alone.
pub const MAX_POINTERS: u32 = 128;

/// A field type: what its archived form looks like, and how it is read.
///
/// Implemented for the types of `std` that have one archived form on all machines, for `Uuid`, and
/// by [`#[value]`](crate::value) and [`#[event]`](crate::event). To implement it by hand is
/// possible and seldom wanted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of an event",
    label = "has no description that the log could keep",
    note = "a type of your own: put `#[value]` on it",
    note = "a foreign type with rkyv's traits: `#[fact(opaque = \"name@1\")]` on the field"
)]
pub trait Value: rkyv::Archive + Sized + 'static {
    /// Whether the archived form has all its bytes in itself: its size is known beforehand.
    const INLINE: bool;

    /// Whether all elements of lists, arrays and options in it have a size; it does not compile as
    /// a field otherwise. A short payload could claim any number of elements without one, and
    /// reading them would take unbounded time.
    const SIZED_ELEMENTS: bool = true;

    /// The native form of an archived value, borrowing where owning would copy.
    type View<'a>: Copy + Debug;

    /// Describes the archived form.
    fn describe(builder: &mut DescriptionBuilder) -> NodeId;

    /// Reads an archived value.
    fn view(archived: &Self::Archived) -> Self::View<'_>;

    /// The value itself, from its view.
    fn owned(view: Self::View<'_>) -> Self;

    /// Whether the archived form has at most `levels` pointers behind one another.
    #[inline]
    fn within(&self, levels: u32) -> Depth {
        let _ = levels;
        Depth::Within
    }
}

/// What is known of the pointers behind one another in a value, before it is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// There are not too many.
    Within,
    /// There is a foreign value in it, of which only its archived form tells.
    Unknown,
    /// There are too many.
    Beyond,
}

impl Depth {
    /// Of this value and another one beside it.
    #[inline]
    #[must_use]
    pub fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Within => other(),
            Self::Unknown => other().max(self),
            Self::Beyond => self,
        }
    }

    /// Of a pointer, where `levels` are left, and of what stands behind it.
    #[inline]
    pub(super) fn pointer(levels: u32, behind: impl FnOnce(u32) -> Self) -> Self {
        levels.checked_sub(1).map_or(Self::Beyond, behind)
    }

    /// Of elements side by side.
    #[inline]
    pub(super) fn of_all<T: Value>(elements: &[T], levels: u32) -> Self {
        let mut depth = Self::Within;
        if !T::INLINE {
            for element in elements {
                depth = depth.and(|| element.within(levels));
                if depth == Self::Beyond {
                    break;
                }
            }
        }
        depth
    }
}

impl Description {
    /// The description of `T`.
    ///
    /// A type too large to be described (more than 4,096 types in it, or 60 KiB, or values more
    /// than 64 deep) is opaque as a whole, under a name that still changes with its shape.
    pub fn of<T: Value>() -> Self {
        Self::built::<T>(T::describe)
    }
}
