use rstest::rstest;
use shekara_policy::fuzzing::run_seeds;

use super::*;

#[rstest]
#[case("client_hello", client_hello)]
#[case("dns_message", dns_message)]
#[case("http_head", http_head)]
fn seeds_hold(#[case] target: &str, #[case] body: fn(&[u8])) {
    // told at run time: a folder of builds may serve several checkouts
    run_seeds(&std::env::var("CARGO_MANIFEST_DIR").unwrap(), target, body);
}
