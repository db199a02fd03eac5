//! Measures that a scenario prints, whether it passes or not.

use std::fmt::Display;

/// Prints a measure on a line of its own.
pub fn print(what: &str, value: impl Display) {
    println!("measured: {what}: {value}");
}
