//! Values without parts: numbers, truth, text, identifiers, durations.

use core::time::Duration;

use rkyv::boxed::ArchivedBox;
use uuid::Uuid;

use super::description::{DescriptionBuilder, NodeId, Scalar, Shape};
use super::value::{Depth, Value};

macro_rules! scalars {
    ($($type:ty as $shape:ident: |$archived:ident| $view:expr;)*) => {$(
        impl Value for $type {
            const INLINE: bool = true;
            type View<'a> = $type;

            fn describe(builder: &mut DescriptionBuilder) -> NodeId {
                builder.node::<Self>(|_| Shape::Scalar(Scalar::$shape))
            }
            #[inline]
            fn view($archived: &Self::Archived) -> Self {
                $view
            }
            #[inline]
            fn owned(view: Self) -> Self {
                view
            }
        }
    )*};
}

scalars! {
    bool as Bool: |archived| *archived;
    u8 as U8: |archived| *archived;
    i8 as I8: |archived| *archived;
    u16 as U16: |archived| archived.to_native();
    i16 as I16: |archived| archived.to_native();
    u32 as U32: |archived| archived.to_native();
    i32 as I32: |archived| archived.to_native();
    u64 as U64: |archived| archived.to_native();
    i64 as I64: |archived| archived.to_native();
    u128 as U128: |archived| archived.to_native();
    i128 as I128: |archived| archived.to_native();
    f32 as F32: |archived| archived.to_native();
    f64 as F64: |archived| archived.to_native();
    char as Char: |archived| archived.to_native();
    () as Unit: |_archived| ();
    Uuid as Uuid: |archived| *archived;
    // Checked bytes have less than a second of nanoseconds; adding cannot overflow then.
    Duration as Duration: |archived| Duration::from_secs(archived.as_secs())
        .saturating_add(Duration::from_nanos(u64::from(archived.subsec_nanos())));
}

impl Value for String {
    const INLINE: bool = false;
    type View<'a> = &'a str;

    fn describe(builder: &mut DescriptionBuilder) -> NodeId {
        builder.node::<Self>(|_| Shape::Scalar(Scalar::String))
    }
    #[inline]
    fn view(archived: &Self::Archived) -> &str {
        archived.as_str()
    }
    #[inline]
    fn owned(view: &str) -> Self {
        view.into()
    }
    #[inline]
    fn within(&self, levels: u32) -> Depth {
        Depth::pointer(levels, |_| Depth::Within)
    }
}

impl Value for Box<str> {
    const INLINE: bool = false;
    type View<'a> = &'a str;

    fn describe(builder: &mut DescriptionBuilder) -> NodeId {
        builder.node::<Self>(|_| Shape::Scalar(Scalar::Text))
    }
    #[inline]
    fn view(archived: &ArchivedBox<str>) -> &str {
        archived.get()
    }
    #[inline]
    fn owned(view: &str) -> Self {
        view.into()
    }
    #[inline]
    fn within(&self, levels: u32) -> Depth {
        Depth::pointer(levels, |_| Depth::Within)
    }
}
