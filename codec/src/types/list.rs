//! The view of a list.

use core::fmt;
use core::iter::FusedIterator;
use core::slice;

use super::value::Value;

/// A list in place: its elements are read when asked for.
pub struct List<'a, T: Value> {
    elements: &'a [T::Archived],
}

impl<'a, T: Value> List<'a, T> {
    #[inline]
    pub(super) const fn new(elements: &'a [T::Archived]) -> Self {
        Self { elements }
    }

    /// Number of elements.
    #[inline]
    pub const fn len(self) -> usize {
        self.elements.len()
    }

    /// Whether there are none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.elements.is_empty()
    }

    /// The element at `index`, if there is one.
    #[inline]
    pub fn get(self, index: usize) -> Option<T::View<'a>> {
        self.elements.get(index).map(T::view)
    }

    /// The elements, in order.
    #[inline]
    pub fn iter(self) -> ListIter<'a, T> {
        ListIter { elements: self.elements.iter() }
    }

    /// The number of leading elements for which `is_before` holds, by binary search: in a list
    /// where they all come first.
    pub fn partition_point(self, mut is_before: impl FnMut(T::View<'_>) -> bool) -> usize {
        self.elements.partition_point(|element| is_before(T::view(element)))
    }

    /// The elements as a `Vec` of their own.
    pub fn to_vec(self) -> Vec<T> {
        self.iter().map(T::owned).collect()
    }
}

impl<'a> List<'a, u8> {
    /// The bytes of the list.
    #[inline]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.elements
    }
}

impl<T: Value> Clone for List<'_, T> {
    #[inline]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Value> Copy for List<'_, T> {}

impl<T: Value> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

impl<'a, T: Value> PartialEq for List<'a, T>
where
    T::View<'a>: PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(*other)
    }
}

impl<'a, T: Value> PartialEq<[T]> for List<'a, T>
where
    T::View<'a>: PartialEq<T>,
{
    fn eq(&self, other: &[T]) -> bool {
        self.len() == other.len() && self.iter().zip(other).all(|(a, b)| a == *b)
    }
}

impl<'a, T: Value> PartialEq<Vec<T>> for List<'a, T>
where
    T::View<'a>: PartialEq<T>,
{
    fn eq(&self, other: &Vec<T>) -> bool {
        *self == **other
    }
}

impl<'a, T: Value, const N: usize> PartialEq<[T; N]> for List<'a, T>
where
    T::View<'a>: PartialEq<T>,
{
    fn eq(&self, other: &[T; N]) -> bool {
        *self == *other.as_slice()
    }
}

impl<'a, T: Value> IntoIterator for List<'a, T> {
    type Item = T::View<'a>;
    type IntoIter = ListIter<'a, T>;

    #[inline]
    fn into_iter(self) -> ListIter<'a, T> {
        self.iter()
    }
}

/// The elements of a [`List`].
pub struct ListIter<'a, T: Value> {
    elements: slice::Iter<'a, T::Archived>,
}

impl<T: Value> Clone for ListIter<'_, T> {
    fn clone(&self) -> Self {
        Self { elements: self.elements.clone() }
    }
}

impl<T: Value> fmt::Debug for ListIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

impl<'a, T: Value> Iterator for ListIter<'a, T> {
    type Item = T::View<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.elements.next().map(T::view)
    }
    #[inline]
    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.elements.nth(n).map(T::view)
    }
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.elements.size_hint()
    }
}

impl<T: Value> DoubleEndedIterator for ListIter<'_, T> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.elements.next_back().map(T::view)
    }
}

impl<T: Value> ExactSizeIterator for ListIter<'_, T> {}
impl<T: Value> FusedIterator for ListIter<'_, T> {}
