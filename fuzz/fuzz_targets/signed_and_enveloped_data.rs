#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| yanqian_fuzzing::signed_and_enveloped_data(octets));
