#[factlog_codec::event(name = "a", version = 1, crate = factlog_codec)]
struct NoVersion {
    #[fact(opaque = "angle")]
    by: u8,
}

#[factlog_codec::event(name = "b", version = 1, crate = factlog_codec)]
struct NoName {
    #[fact(owned = path)]
    by: u8,
}

#[factlog_codec::event(name = "c", version = 1, crate = factlog_codec)]
struct Unknown {
    #[fact(skip)]
    by: u8,
}

fn main() {}
