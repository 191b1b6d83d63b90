//! Gives what libFuzzer makes up to [`pgdrill_fuzz::catalog`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgdrill_fuzz::catalog(bytes));
