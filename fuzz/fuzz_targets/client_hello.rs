#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shekara_sidecar::fuzzing::client_hello(bytes));
