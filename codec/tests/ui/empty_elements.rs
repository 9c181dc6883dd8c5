#[factlog_codec::event(name = "a", version = 1, crate = factlog_codec)]
struct Listed {
    by: Vec<()>,
}

#[factlog_codec::value(crate = factlog_codec)]
struct Empty;

#[factlog_codec::event(name = "b", version = 1, crate = factlog_codec)]
struct Nested {
    by: Option<(u8, [Empty; 3])>,
}

fn main() {}
