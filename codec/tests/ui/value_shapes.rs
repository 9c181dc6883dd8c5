#[factlog_codec::value(crate = factlog_codec)]
enum None {}

#[factlog_codec::value(crate = factlog_codec, version = 1)]
struct Versioned {
    by: u8,
}

#[factlog_codec::value(crate = factlog_codec)]
union Either {
    a: u8,
    b: i8,
}

#[factlog_codec::value(crate = factlog_codec)]
struct Taken {
    to_owned: u8,
}

fn main() {}
