//! The program as people call it, on an export of a cluster: what it prints, and its exit codes. `TRYCMD=overwrite` writes what
//! it prints anew.

#[test]
fn commands_print_what_is_written() {
    trycmd::TestCases::new().case("tests/commands/*.trycmd");
}
