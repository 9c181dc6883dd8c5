//! What the macros refuse, and what they say then.
//!
//! Each file of `ui/` must not compile; what the compiler says is in the file beside it. Written
//! anew with `TRYBUILD=overwrite cargo test -p factlog-codec --test ui`.

#[test]
fn is_each_mistake_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
