use factlog_codec::__private::rkyv;

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = rkyv)]
struct Foreign {
    by: u8,
}

#[factlog_codec::event(name = "moved", version = 1, crate = factlog_codec)]
struct Moved {
    by: Foreign,
}

fn main() {}
