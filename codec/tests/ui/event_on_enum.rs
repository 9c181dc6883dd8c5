#[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
enum Moved {
    Up,
    Down,
}

fn main() {}
