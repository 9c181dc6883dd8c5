//! The view of a boxed value.

use core::fmt;

use super::value::Value;

/// A boxed value in place. It is read when asked for, so that a type may contain itself.
pub struct Boxed<'a, T: Value> {
    archived: &'a T::Archived,
}

impl<'a, T: Value> Boxed<'a, T> {
    pub(super) const fn new(archived: &'a T::Archived) -> Self {
        Self { archived }
    }

    /// The view of what is in the box.
    #[inline]
    pub fn get(self) -> T::View<'a> {
        T::view(self.archived)
    }
}

impl<T: Value> Clone for Boxed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Value> Copy for Boxed<'_, T> {}

impl<T: Value> fmt::Debug for Boxed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
