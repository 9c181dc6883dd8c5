#![no_main]
#![allow(missing_docs, reason = "what the macro makes has none")]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| factlog_tests::fuzz::target("engine", bytes));
