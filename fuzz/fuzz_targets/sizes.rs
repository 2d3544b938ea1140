#![no_main]

#[path = "../sizes.rs"]
mod sizes;

libfuzzer_sys::fuzz_target!(|input: &[u8]| sizes::sizes(input));
