mod earlier {
    #[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
    pub struct Moved {
        pub by: u8,
    }
}

#[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
struct Moved {
    by: u8,
}

impl factlog_codec::types::Upcast<Moves> for earlier::Moved {
    fn upcast(old: &earlier::MovedView, newer: &mut factlog_codec::types::Newer<'_, Moves>) {
        newer.push(Moved { by: old.by() });
    }
}

#[factlog_codec::vocabulary(earlier(earlier::Moved), crate = factlog_codec)]
enum Moves {
    Moved(Moved),
}

fn main() {}
