//! Names and keys that nobody can guess.

use std::time::Duration;

use rustls::crypto::ring;
use shekara_policy::signed::SigningKey;

/// The kernel gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the kernel gives no random bytes")]
pub struct RandomError;

/// 128 random bits as 32 hexadecimal digits.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn name() -> Result<String, RandomError> {
    let mut bytes = [0; 16];
    ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

/// A key that nobody else has.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn key() -> Result<SigningKey, RandomError> {
    let mut seed = [0; SigningKey::SEED];
    ring::default_provider().secure_random.fill(&mut seed).map_err(|_| RandomError)?;
    SigningKey::from_seed(&seed).ok_or(RandomError)
}

/// A duration in the upper half of this one, so that those who wait for the same thing do not all come at once.
#[must_use]
pub fn jittered(longest: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without random bytes everybody comes at once, which is slower and not wrong.
    let _ = ring::default_provider().secure_random.fill(&mut bytes);
    let fraction = f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX);
    longest.mul_f64(0.5 + fraction / 2.0)
}

/// A number below this one, or 0.
#[must_use]
pub fn below(bound: u16) -> u16 {
    let mut bytes = [0; 4];
    // Without random bytes it is always the same number, which is easier to guess and not wrong.
    let _ = ring::default_provider().secure_random.fill(&mut bytes);
    u32::from_ne_bytes(bytes).checked_rem(bound.into()).and_then(|number| u16::try_from(number).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let (one, other) = (name().unwrap(), name().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }

    #[test]
    fn numbers_are_below_their_bound_and_differ() {
        let numbers: std::collections::BTreeSet<u16> = (0..1000).map(|_| below(100)).collect();
        assert!(numbers.len() > 50 && numbers.iter().all(|number| *number < 100));
        assert_eq!(below(0), 0);
    }

    #[test]
    fn jitter_stays_in_the_upper_half() {
        let longest = Duration::from_secs(4);
        assert!((0..1000).map(|_| jittered(longest)).all(|wait| (longest / 2..=longest).contains(&wait)));
    }
}
