//! Names that would mean something else in what the macros make.

use factlog_codec::value;

#[value(crate = factlog_codec)]
struct Chain {
    next: Option<Box<Self>>,
}

#[value(crate = factlog_codec)]
struct Numbers {
    numbers: [u8; Self::COUNT],
}

#[value(crate = factlog_codec)]
enum Tag {
    Leaf,
    Not(Box<Tag>),
}

#[value(crate = factlog_codec)]
struct VariantTwo(u8);

#[value(crate = factlog_codec)]
enum Kind {
    One,
    Two { all: Vec<(u8, VariantTwo)> },
}

fn main() {}
