//! The demo: the examples on a real cluster, real clients, real destinations, one table.

use std::process::ExitCode;

use shekara_e2e::demo;

#[tokio::main]
async fn main() -> ExitCode {
    match demo::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
