#[factlog_codec::event(name = "a", version = 1, crate = factlog_codec)]
struct Map {
    seats: HashMap<String, u8>,
}

#[factlog_codec::event(name = "b", version = 1, crate = factlog_codec)]
struct Set {
    seats: Option<Vec<HashSet<u8>>>,
}

#[factlog_codec::event(name = "c", version = 1, crate = factlog_codec)]
struct Sorted {
    seats: BTreeMap<String, u8>,
}

#[factlog_codec::event(name = "d", version = 1, crate = factlog_codec)]
struct Shared {
    seat: Rc<u8>,
}

#[factlog_codec::event(name = "e", version = 1, crate = factlog_codec)]
struct SharedMore {
    seat: (u8, [Arc<u8>; 2]),
}

#[factlog_codec::event(name = "f", version = 1, crate = factlog_codec)]
struct Size {
    seats: usize,
}

#[factlog_codec::event(name = "g", version = 1, crate = factlog_codec)]
struct Borrowed {
    seat: &'static str,
}

#[factlog_codec::event(name = "h", version = 1, crate = factlog_codec)]
struct Perhaps {
    seat: Cow<'static, str>,
}

#[factlog_codec::event(name = "i", version = 1, crate = factlog_codec)]
struct Running {
    seat: fn(u8) -> u8,
}

#[factlog_codec::value(crate = factlog_codec)]
enum InVariant {
    Seat { by: HashMap<u8, u8> },
}

fn main() {}
