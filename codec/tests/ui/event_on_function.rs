#[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
fn moved() {}

fn main() {}
