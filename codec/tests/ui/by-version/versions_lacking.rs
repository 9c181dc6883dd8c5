#[factlog_codec::event(name = "price-set", version = 1, crate = factlog_codec)]
struct PriceSetV1 {
    cents: u64,
}

#[factlog_codec::event(name = "price-set", version = 2, crate = factlog_codec)]
struct PriceSet {
    cents: u64,
    currency: String,
}

#[factlog_codec::vocabulary(crate = factlog_codec)]
enum AnyPrice {
    One(PriceSetV1),
    Two(PriceSet),
}

#[factlog_codec::versions(AnyPrice { One, Two })]
trait NeitherFieldNorGiven {
    fn currency(&self) -> &str;
}

#[factlog_codec::versions(AnyPrice { Two })]
trait LeftOut {
    fn cents(&self) -> u64;
}

fn main() {}
