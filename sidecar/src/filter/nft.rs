//! The program nft, which speaks to the kernel.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::FilterError;

/// The folder beside this program that has nft with its loader and its libraries, so that it runs on any node.
pub(crate) const FOLDER: &str = "shekara.d";

/// The bit of `CAP_NET_ADMIN` in a capability set (capabilities(7)).
const NET_ADMIN: u64 = 1 << 12;

/// Runs nft with this input and gives what it prints.
pub(super) fn run(arguments: &[&str], input: &str) -> Result<String, FilterError> {
    let mut command = program();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FilterError::NoProgram,
        _ => FilterError::Run(error),
    })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that fails before it has read everything closes the pipe; what it says is more telling than that.
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(FilterError::Run(error)),
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(FilterError::Run)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let capable = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_net_admin(&status));
    Err(explain(&said, capable))
}

/// Why nft failed, from what it said and whether this process has the capability.
fn explain(said: &str, capable: bool) -> FilterError {
    let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned();
    let kernel = ["No such file or directory", "not supported", "Invalid argument", "Unknown error"];
    if !capable {
        FilterError::NoCapability(first)
    } else if kernel.iter().any(|text| said.contains(text)) {
        FilterError::Kernel(first)
    } else {
        FilterError::Refused(first)
    }
}

/// Whether a `/proc/PID/status` shows the capability as effective.
fn has_net_admin(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & NET_ADMIN != 0)
}

/// The one beside this program, or else the system's.
fn program() -> Command {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(FOLDER)));
    match beside.and_then(|folder| Some((loader(&folder)?, folder))) {
        Some((loader, folder)) => {
            let mut command = Command::new(loader);
            command.arg("--library-path").arg(&folder).arg(folder.join("nft"));
            command
        }
        None => Command::new("nft"),
    }
}

/// The loader of shared libraries (ld.so(8)), whose name differs between machines.
fn loader(folder: &Path) -> Option<PathBuf> {
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-"));
    std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).find(named)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("netlink: Error: cache initialization failed: Operation not permitted", false, "NET_ADMIN")]
    #[case("/dev/stdin:12:1-2: Error: Could not process rule: No such file or directory", true, "kernel")]
    #[case("netlink: Error: Protocol not supported", true, "kernel")]
    #[case("Error: syntax error, unexpected newline", true, "refused")]
    #[case("", true, "it said nothing")]
    fn a_failure_names_its_cause(#[case] said: &str, #[case] capable: bool, #[case] expected: &str) {
        let sentence = explain(said, capable).to_string();
        assert!(sentence.contains(expected), "{sentence}");
    }

    #[test]
    fn the_capability_is_read_from_the_effective_set() {
        assert!(has_net_admin("CapPrm:\t0000000000001000\nCapEff:\t0000000000001000\n"));
        assert!(!has_net_admin("CapPrm:\t0000000000001000\nCapEff:\t0000000000002000\n"));
        assert!(!has_net_admin(""));
    }
}
