//! Tuples of up to six values.

use core::mem::offset_of;

use super::description::{DescriptionBuilder, FieldDraft, NodeId};
use super::value::{Depth, Value};

macro_rules! tuple {
    ($($type:ident $index:tt $name:literal),*) => {
        impl<$($type: Value),*> Value for ($($type,)*) {
            const INLINE: bool = true $(&& $type::INLINE)*;
            const SIZED_ELEMENTS: bool = true $(&& $type::SIZED_ELEMENTS)*;
            type View<'a> = ($($type::View<'a>,)*);

            fn describe(builder: &mut DescriptionBuilder) -> NodeId {
                builder.structure::<Self>("", &[$(FieldDraft {
                    name: $name,
                    offset: offset_of!(Self::Archived, $index),
                    describe: $type::describe,
                }),*])
            }
            #[inline]
            fn view(archived: &Self::Archived) -> Self::View<'_> {
                ($($type::view(&archived.$index),)*)
            }
            #[inline]
            fn owned(view: Self::View<'_>) -> Self {
                ($($type::owned(view.$index),)*)
            }
            #[inline]
            fn within(&self, levels: u32) -> Depth {
                Depth::Within $(.and(|| self.$index.within(levels)))*
            }
        }
    };
}

tuple!(A 0 "0");
tuple!(A 0 "0", B 1 "1");
tuple!(A 0 "0", B 1 "1", C 2 "2");
tuple!(A 0 "0", B 1 "1", C 2 "2", D 3 "3");
tuple!(A 0 "0", B 1 "1", C 2 "2", D 3 "3", E 4 "4");
tuple!(A 0 "0", B 1 "1", C 2 "2", D 3 "3", E 4 "4", F 5 "5");
