#[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
struct Moved<T> {
    by: T,
}

#[factlog_codec::value(crate = factlog_codec)]
struct Name<'a> {
    text: &'a str,
}

#[factlog_codec::value(crate = factlog_codec)]
enum Maybe<T> {
    Not,
    Is(T),
}

fn main() {}
