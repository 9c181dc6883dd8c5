#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    factlog_tests::fuzz::pages(bytes);
});
