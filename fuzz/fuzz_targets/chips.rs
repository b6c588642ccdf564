#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| yanqian_fuzzing::chips(octets));
