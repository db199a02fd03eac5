//! x
fn main() -> std::process::ExitCode {
    shekara_e2e::harness::run(vec![])
}
