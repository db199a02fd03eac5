#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shekara_policy::fuzzing::host_name(bytes));
