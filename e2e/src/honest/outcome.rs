//! What an exchange of a client came to, by what its command wrote.

use anyhow::{Context as _, Result, ensure};

use crate::exec::Ran;

/// What stands before the seconds that an exchange took.
const TOOK: &str = "took ";

/// What an exchange came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How long it took, in seconds, by the pod's clock: without the way to the pod, and the start of a slow program.
    pub took: f64,
    /// The client's own words.
    pub words: String,
    ran: Ran,
}

impl Outcome {
    /// Of a command that ended.
    ///
    /// # Errors
    /// When the command does not say how long it took.
    pub fn of(ran: Ran) -> Result<Self> {
        let (took, words) = read(&ran.stderr).with_context(|| ran.to_string())?;
        Ok(Self { took, words, ran })
    }

    /// What the exchange gave, where it worked.
    ///
    /// # Errors
    /// When it did not.
    pub fn worked(self) -> Result<String> {
        Ok(self.ran.success()?.trim().to_owned())
    }

    /// The outcome itself, where the exchange was refused and the client says so.
    ///
    /// # Errors
    /// When it worked, or the client failed without a word.
    pub fn refused(self) -> Result<Self> {
        ensure!(!self.ran.succeeded(), "it had to be refused: {}", self.ran);
        ensure!(!self.words.is_empty(), "the client does not say that it was refused: {}", self.ran);
        Ok(self)
    }
}

/// The seconds and the words. The script's own count of seconds comes last; that of the program, where there is one, is the last
/// before it.
fn read(stderr: &str) -> Result<(f64, String)> {
    let (took, mut words): (Vec<&str>, Vec<&str>) =
        stderr.lines().map(str::trim).filter(|line| !line.is_empty()).partition(|line| line.starts_with(TOOK));
    words.dedup();
    let seconds = took.get(took.len().saturating_sub(2)).and_then(|line| line.strip_prefix(TOOK));
    let seconds = seconds.context("the command does not say how long it took")?;
    Ok((seconds.parse().with_context(|| format!("{seconds:?} is no number of seconds"))?, words.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_program_goes_before_that_of_the_script() {
        assert_eq!(read("curl: (6) no host\ntook 0.042\n").unwrap(), (0.042, "curl: (6) no host".to_owned()));
        let java = "refused\ntook 0.700000\n\nrefused\ntook 0.010000\ntook 2.100000\n";
        assert_eq!(read(java).unwrap(), (0.01, "refused".to_owned()));
        assert!(read("no host\n").is_err());
    }

    #[test]
    fn a_client_that_fails_without_a_word_was_not_told() {
        let ran = |code, stderr: &str| Ran {
            command: vec![],
            code,
            stdout: "sum\n".into(),
            stderr: stderr.into(),
            took: std::time::Duration::ZERO,
        };
        let outcome = |code, stderr| Outcome::of(ran(code, stderr)).unwrap();
        assert!(outcome(1, "took 0.1").refused().is_err());
        assert!(outcome(0, "reset\ntook 0.1").refused().is_err());
        assert_eq!(outcome(1, "reset\ntook 0.1").refused().unwrap().words, "reset");
        assert!(outcome(1, "reset\ntook 0.1").worked().is_err());
        assert_eq!(outcome(0, "took 0.1").worked().unwrap(), "sum");
    }
}
