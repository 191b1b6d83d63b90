//! Gives what libFuzzer makes up to [`pgdrill_fuzz::incremental_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pgdrill_fuzz::incremental_file(bytes));
