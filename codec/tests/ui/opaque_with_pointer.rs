#[factlog_codec::event(name = "a", version = 1, crate = factlog_codec)]
struct Labelled {
    #[fact(opaque = "label@1")]
    label: Vec<u8>,
}

fn main() {}
