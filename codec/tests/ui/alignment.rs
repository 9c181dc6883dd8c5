use factlog_codec::__private::rkyv;

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = rkyv, attr(repr(align(32))))]
struct Wide {
    by: u8,
}

#[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
struct Moved {
    #[fact(opaque = "wide@1")]
    by: Wide,
}

fn main() {}
