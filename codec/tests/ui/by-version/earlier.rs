#[factlog_codec::event(name = "price-set", version = 1, crate = factlog_codec)]
struct PriceSetV1 {
    cents: u64,
}

#[factlog_codec::event(name = "price-set", version = 2, crate = factlog_codec)]
struct PriceSet {
    cents: u64,
}

#[factlog_codec::vocabulary(earlier(PriceSetV1), crate = factlog_codec)]
enum PriceEvent {
    Set(PriceSet),
}

// Nobody writes an earlier version through the vocabulary.
fn written() -> PriceEvent {
    PriceSetV1 { cents: 1 }.into()
}

fn main() {}
