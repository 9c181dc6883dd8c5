#[factlog_codec::event(name = "a", version = 1, crate = factlog_codec)]
struct With {
    #[rkyv(with = Other)]
    by: u8,
}

#[factlog_codec::event(name = "b", version = 1, crate = factlog_codec)]
#[rkyv(archived = Mine)]
struct Named {
    by: u8,
}

#[factlog_codec::event(name = "c", version = 1, crate = factlog_codec)]
#[derive(Debug, rkyv::Archive)]
struct Derived {
    by: u8,
}

#[factlog_codec::event(name = "d", version = 1, crate = factlog_codec)]
#[repr(C)]
struct Laid {
    by: u8,
}

#[factlog_codec::event(name = "e", version = 1, crate = factlog_codec)]
struct Conditional {
    by: u8,
    #[cfg(test)]
    tested: u8,
}

fn main() {}
