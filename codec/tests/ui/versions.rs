#[factlog_codec::event(name = "price-set", version = 1, crate = factlog_codec)]
struct PriceSet {
    cents: u64,
}

#[factlog_codec::vocabulary(crate = factlog_codec)]
enum AnyPrice {
    One(PriceSet),
}

#[factlog_codec::versions]
trait Nothing {
    fn cents(&self) -> u64;
}

#[factlog_codec::versions(AnyPrice { One(old) { cents: 1 } })]
trait NoArrow {
    fn cents(&self) -> u64;
}

#[factlog_codec::versions(AnyPrice { One(_) => { euros: 1 } })]
trait NotAsked {
    fn cents(&self) -> u64;
}

#[factlog_codec::versions(AnyPrice { One(_) => { dear: true } })]
trait HasABody {
    fn cents(&self) -> u64;
    fn dear(&self) -> bool {
        self.cents() > 9
    }
}

#[factlog_codec::versions(AnyPrice { One(_) => { cents: 1, cents: 2 } })]
trait GivenTwice {
    fn cents(&self) -> u64;
}

#[factlog_codec::versions(AnyPrice { One, One })]
trait VersionTwice {
    fn cents(&self) -> u64;
}

#[factlog_codec::versions(AnyPrice { One })]
trait Argument {
    fn cents(&self, rate: u64) -> u64;
}

#[factlog_codec::versions(AnyPrice { One })]
trait Changing {
    fn cents(&mut self) -> u64;
}

#[factlog_codec::versions(AnyPrice { One })]
trait Generic<T> {
    fn cents(&self) -> T;
}

#[factlog_codec::versions(AnyPrice { One })]
trait Associated {
    type Money;
    fn cents(&self) -> u64;
}

#[factlog_codec::versions(AnyPrice { One })]
trait Empty {}

#[factlog_codec::versions(AnyPrice { One })]
struct NoTrait {
    cents: u64,
}

#[factlog_codec::event(name = "lowered", version = 2, earlier(PriceSet), crate = factlog_codec)]
struct Lowered {
    cents: u64,
}

fn main() {}
