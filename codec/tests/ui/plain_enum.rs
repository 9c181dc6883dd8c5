#[factlog_codec::value(crate = factlog_codec)]
enum Class {
    Economy,
    Business,
}

fn main() {}
