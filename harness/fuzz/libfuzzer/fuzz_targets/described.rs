//! Gives what libFuzzer makes up to [`pgdrill_fuzz::described`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgdrill_fuzz::described(bytes));
