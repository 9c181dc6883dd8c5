#[factlog_codec::event(version = 1, crate = factlog_codec)]
struct NoName {
    by: u8,
}

#[factlog_codec::event(name = "no-version", crate = factlog_codec)]
struct NoVersion {
    by: u8,
}

#[factlog_codec::event(name = "zero", version = 0, crate = factlog_codec)]
struct Zero {
    by: u8,
}

#[factlog_codec::event(name = "large", version = 65536, crate = factlog_codec)]
struct Large {
    by: u8,
}

#[factlog_codec::event(name = "Moved Far", version = 1, crate = factlog_codec)]
struct Letters {
    by: u8,
}

#[factlog_codec::event(name = "", version = 1, crate = factlog_codec)]
struct Empty {
    by: u8,
}

#[factlog_codec::event(name = "$moved", version = 1, crate = factlog_codec)]
struct Reserved {
    by: u8,
}

#[factlog_codec::event(name = "moved", version = 1, colour = "red", crate = factlog_codec)]
struct Unknown {
    by: u8,
}

#[factlog_codec::event(name = "moved", name = "moved", version = 1, crate = factlog_codec)]
struct Twice {
    by: u8,
}

#[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
struct Unnamed(u8);

fn main() {}
