#[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
struct Moved {
    by: u8,
}

#[factlog_codec::vocabulary(crate = factlog_codec)]
enum Unit {
    Moved,
}

#[factlog_codec::vocabulary(crate = factlog_codec)]
enum Two {
    Moved(Moved, Moved),
}

#[factlog_codec::vocabulary(crate = factlog_codec)]
enum Named {
    Moved { event: Moved },
}

#[factlog_codec::vocabulary(crate = factlog_codec)]
enum Empty {}

#[factlog_codec::vocabulary(crate = factlog_codec)]
enum Generic<T> {
    Moved(T),
}

#[factlog_codec::vocabulary(crate = factlog_codec)]
struct Words {
    moved: Moved,
}

fn main() {}
