//! Gives what libFuzzer makes up to [`pgdrill_fuzz::control`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgdrill_fuzz::control(bytes));
