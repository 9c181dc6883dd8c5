//! What a node can be.

/// The number of a node in its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u16);

impl NodeId {
    /// The node with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// One archived type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Bytes of the archived form, without what is behind pointers.
    pub size: u32,
    /// Alignment of the archived form, in bytes.
    pub align: u8,
    /// What these bytes are.
    pub shape: Shape,
}

/// What the bytes of a node are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// A value without described parts.
    Scalar(Scalar),
    /// Nothing or a value.
    Option {
        /// The value.
        value: NodeId,
        /// Where it starts, in bytes.
        offset: u32,
    },
    /// A fixed number of elements, one behind the other.
    Array {
        /// An element.
        element: NodeId,
        /// How many there are.
        count: u32,
    },
    /// A pointer to any number of elements, and their number.
    List {
        /// An element.
        element: NodeId,
    },
    /// A pointer to a value.
    Box {
        /// The value.
        target: NodeId,
    },
    /// Fields at their offsets.
    Struct {
        /// Name of the type; empty for the root and for tuples.
        name: Box<str>,
        /// The fields, in memory order.
        fields: Box<[Field]>,
    },
    /// One of several variants.
    Enum {
        /// Name of the type; empty for the root.
        name: Box<str>,
        /// The variants, in declared order.
        variants: Box<[Variant]>,
    },
    /// Bytes that the description does not explain.
    Opaque {
        /// What the program calls them.
        name: Box<str>,
    },
}

/// A field of a struct or of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; `0`, `1`, ... in tuples.
    pub name: Box<str>,
    /// Where it starts in the struct, or in the enum, in bytes.
    pub offset: u32,
    /// What it is.
    pub node: NodeId,
}

/// A variant of an enum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Its name.
    pub name: Box<str>,
    /// The first byte of an enum that is this variant.
    pub discriminant: u8,
    /// Its fields, in memory order.
    pub fields: Box<[Field]>,
}

macro_rules! scalars {
    ($($(#[$doc:meta])* $name:ident = $tag:literal, $size:literal, $align:literal, $type:ty;)*) => {
        /// A value without described parts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Scalar {
            $($(#[$doc])* $name,)*
        }

        impl Scalar {
            /// The tag of its nodes.
            pub const fn tag(self) -> u8 {
                match self {
                    $(Self::$name => $tag,)*
                }
            }

            /// Bytes and alignment of the archived form.
            pub const fn layout(self) -> (u32, u8) {
                match self {
                    $(Self::$name => ($size, $align),)*
                }
            }

            /// The scalar with this tag.
            pub const fn from_tag(tag: u8) -> Option<Self> {
                match tag {
                    $($tag => Some(Self::$name),)*
                    _ => None,
                }
            }
        }

        // The description says what rkyv does.
        $(const _: () = assert!(
            size_of::<<$type as rkyv::Archive>::Archived>() == $size
                && align_of::<<$type as rkyv::Archive>::Archived>() == $align
        );)*
    };
}

scalars! {
    /// `bool`.
    Bool = 1, 1, 1, bool;
    /// `u8`.
    U8 = 2, 1, 1, u8;
    /// `i8`.
    I8 = 3, 1, 1, i8;
    /// `u16`.
    U16 = 4, 2, 2, u16;
    /// `i16`.
    I16 = 5, 2, 2, i16;
    /// `u32`.
    U32 = 6, 4, 4, u32;
    /// `i32`.
    I32 = 7, 4, 4, i32;
    /// `u64`.
    U64 = 8, 8, 8, u64;
    /// `i64`.
    I64 = 9, 8, 8, i64;
    /// `u128`.
    U128 = 10, 16, 16, u128;
    /// `i128`.
    I128 = 11, 16, 16, i128;
    /// `f32`.
    F32 = 12, 4, 4, f32;
    /// `f64`.
    F64 = 13, 8, 8, f64;
    /// `char`.
    Char = 14, 4, 4, char;
    /// `()`.
    Unit = 15, 0, 1, ();
    /// `String`: in place if short, else behind a pointer.
    String = 16, 8, 4, String;
    /// `Uuid`.
    Uuid = 17, 16, 1, uuid::Uuid;
    /// `Duration`.
    Duration = 18, 16, 8, core::time::Duration;
    /// `Box<str>`: always behind a pointer.
    Text = 19, 8, 4, Box<str>;
}

/// Bytes and alignment of a list: a pointer and a length.
pub(super) const LIST: (u32, u8) = (8, 4);
/// Bytes and alignment of a box: a pointer.
pub(super) const BOX: (u32, u8) = (4, 4);

const _: () = {
    assert!(size_of::<<Vec<u64> as rkyv::Archive>::Archived>() == 8);
    assert!(align_of::<<Vec<u64> as rkyv::Archive>::Archived>() == 4);
    assert!(size_of::<<Box<[u64]> as rkyv::Archive>::Archived>() == 8);
    assert!(align_of::<<Box<[u64]> as rkyv::Archive>::Archived>() == 4);
    assert!(size_of::<<Box<u64> as rkyv::Archive>::Archived>() == 4);
    assert!(align_of::<<Box<u64> as rkyv::Archive>::Archived>() == 4);
};

impl Node {
    /// A node of the archived form of `T`.
    pub(super) fn of<T: rkyv::Archive>(shape: Shape) -> Self {
        Self::sized::<T::Archived>(shape)
    }

    /// A node of the archived form `A`.
    pub(super) fn sized<A>(shape: Shape) -> Self {
        Self {
            size: offset_u32(size_of::<A>()),
            align: u8::try_from(align_of::<A>()).unwrap_or(u8::MAX),
            shape,
        }
    }
}

/// A size or an offset in the archived form. Those of types that can be stored have fewer bits.
pub(in super::super) fn offset_u32(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}
