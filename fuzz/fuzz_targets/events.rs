#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| windlass_fuzz_targets::run("events", input));
