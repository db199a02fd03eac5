use rstest::rstest;

use super::*;

#[rstest]
#[case("address", address)]
#[case("geo_table", geo_table)]
#[case("host_name", host_name)]
#[case("policy_document", policy_document)]
#[case("signed_bundle", signed_bundle)]
fn seeds_hold(#[case] target: &str, #[case] body: fn(&[u8])) {
    // told at run time: a folder of builds may serve several checkouts
    run_seeds(&std::env::var("CARGO_MANIFEST_DIR").unwrap(), target, body);
}

#[test]
fn a_genuine_seed_is_obeyed_and_a_touched_one_is_not() {
    let seed = |name: &str| {
        let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../fuzz/seeds/signed_bundle/";
        signed_bundle::obeyed(&std::fs::read(folder + name).unwrap()).is_some()
    };
    assert!(seed("genuine.json") && !seed("serial.json") && !seed("unsigned.json"));
}
