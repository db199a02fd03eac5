//! Measures that a scenario prints, whether it passes or not.

use std::fmt::Display;

use anyhow::{Context as _, Result};

/// Prints a measure on a line of its own.
pub fn print(what: &str, value: impl Display) {
    println!("measured: {what}: {value}");
}

/// Where the times of many samples lie, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many there are.
    pub samples: usize,
    /// The median: half of them are at most this.
    pub p50: f64,
    /// Ninety-nine in a hundred are at most this.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these samples. Each figure is one of them (nearest rank), and none lies between two.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(mut samples: Vec<f64>) -> Result<Self> {
        samples.sort_by(f64::total_cmp);
        let at_most = |percent: usize| samples.get((samples.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        let figure = |percent| at_most(percent).context("there is no sample");
        Ok(Self { samples: samples.len(), p50: figure(50)?, p99: figure(99)?, max: figure(100)? })
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { samples, p50, p99, max } = self;
        write!(f, "p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms of {samples}", p50 * 1e3, p99 * 1e3, max * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_samples_of_the_nearest_rank() {
        let spread = Spread::of((1..=200).rev().map(|number| f64::from(number) / 1e3).collect()).unwrap();
        assert_eq!(spread.to_string(), "p50 100 ms, p99 198 ms, max 200 ms of 200");
        assert_eq!(Spread::of(vec![0.007]).unwrap().to_string(), "p50 7 ms, p99 7 ms, max 7 ms of 1");
        assert!(Spread::of(vec![]).is_err());
    }
}
