//! Values that hold others of one type: lists, arrays, options, boxes.

use core::mem::offset_of;

use rkyv::boxed::ArchivedBox;
use rkyv::option::ArchivedOption;
use rkyv::vec::ArchivedVec;

use super::boxed::Boxed;
use super::description::{DescriptionBuilder, NodeId, Shape, offset_u32};
use super::list::List;
use super::value::{Depth, Value};

impl<T: Value> Value for Vec<T> {
    const INLINE: bool = false;
    const SIZED_ELEMENTS: bool = T::SIZED_ELEMENTS && size_of::<T::Archived>() != 0;
    type View<'a> = List<'a, T>;

    fn describe(builder: &mut DescriptionBuilder) -> NodeId {
        const { assert!(Self::SIZED_ELEMENTS) };
        builder.node::<Self>(|builder| Shape::List { element: T::describe(builder) })
    }
    #[inline]
    fn view(archived: &ArchivedVec<T::Archived>) -> List<'_, T> {
        List::new(archived.as_slice())
    }
    #[inline]
    fn owned(view: List<'_, T>) -> Self {
        view.iter().map(T::owned).collect()
    }
    #[inline]
    fn within(&self, levels: u32) -> Depth {
        Depth::pointer(levels, |levels| Depth::of_all(self, levels))
    }
}

impl<T: Value> Value for Box<[T]> {
    const INLINE: bool = false;
    const SIZED_ELEMENTS: bool = <Vec<T> as Value>::SIZED_ELEMENTS;
    type View<'a> = List<'a, T>;

    fn describe(builder: &mut DescriptionBuilder) -> NodeId {
        const { assert!(Self::SIZED_ELEMENTS) };
        builder.node::<Self>(|builder| Shape::List { element: T::describe(builder) })
    }
    #[inline]
    fn view(archived: &ArchivedBox<[T::Archived]>) -> List<'_, T> {
        List::new(archived.get())
    }
    #[inline]
    fn owned(view: List<'_, T>) -> Self {
        view.iter().map(T::owned).collect()
    }
    #[inline]
    fn within(&self, levels: u32) -> Depth {
        Depth::pointer(levels, |levels| Depth::of_all(self, levels))
    }
}

impl<T: Value, const N: usize> Value for [T; N] {
    const INLINE: bool = T::INLINE;
    const SIZED_ELEMENTS: bool = T::SIZED_ELEMENTS && size_of::<T::Archived>() != 0;
    type View<'a> = [T::View<'a>; N];

    fn describe(builder: &mut DescriptionBuilder) -> NodeId {
        const { assert!(Self::SIZED_ELEMENTS) };
        builder.node::<Self>(|builder| Shape::Array {
            element: T::describe(builder),
            count: offset_u32(N),
        })
    }
    // One by one: an array of references would take eight bytes of the stack for each element.
    #[inline]
    #[allow(clippy::indexing_slicing, reason = "both arrays have N elements")]
    fn view(archived: &[T::Archived; N]) -> [T::View<'_>; N] {
        core::array::from_fn(|at| T::view(&archived[at]))
    }
    #[inline]
    fn owned(view: [T::View<'_>; N]) -> Self {
        view.map(T::owned)
    }
    #[inline]
    fn within(&self, levels: u32) -> Depth {
        Depth::of_all(self, levels)
    }
}

/// How an option lies in memory: rkyv's is `repr(u8)`, so its tag comes first, as in C.
#[repr(C)]
struct OptionLayout<T> {
    tag: u8,
    value: T,
}

impl<T: Value> Value for Option<T> {
    const INLINE: bool = T::INLINE;
    const SIZED_ELEMENTS: bool = T::SIZED_ELEMENTS && size_of::<T::Archived>() != 0;
    type View<'a> = Option<T::View<'a>>;

    fn describe(builder: &mut DescriptionBuilder) -> NodeId {
        const { assert!(Self::SIZED_ELEMENTS) };
        builder.node::<Self>(|builder| Shape::Option {
            value: T::describe(builder),
            offset: offset_u32(offset_of!(OptionLayout<T::Archived>, value)),
        })
    }
    #[inline]
    fn view(archived: &ArchivedOption<T::Archived>) -> Option<T::View<'_>> {
        archived.as_ref().map(T::view)
    }
    #[inline]
    fn owned(view: Option<T::View<'_>>) -> Self {
        view.map(T::owned)
    }
    #[inline]
    fn within(&self, levels: u32) -> Depth {
        match self {
            Some(value) if !T::INLINE => value.within(levels),
            _ => Depth::Within,
        }
    }
}

impl<T: Value> Value for Box<T> {
    const INLINE: bool = false;
    const SIZED_ELEMENTS: bool = T::SIZED_ELEMENTS;
    type View<'a> = Boxed<'a, T>;

    fn describe(builder: &mut DescriptionBuilder) -> NodeId {
        builder.node::<Self>(|builder| Shape::Box { target: T::describe(builder) })
    }
    #[inline]
    fn view(archived: &ArchivedBox<T::Archived>) -> Boxed<'_, T> {
        Boxed::new(archived.get())
    }
    #[inline]
    fn owned(view: Boxed<'_, T>) -> Self {
        Box::new(T::owned(view.get()))
    }
    #[inline]
    fn within(&self, levels: u32) -> Depth {
        Depth::pointer(
            levels,
            |levels| {
                if T::INLINE { Depth::Within } else { T::within(self, levels) }
            },
        )
    }
}
