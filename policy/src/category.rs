//! Categories of data: what a holding holds, and what a route carries.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A kind of data whose leaving is controlled, in two words as `biometric.face`.
///
/// Biometric modalities follow ISO/IEC 19785-3; the vehicle categories follow the request of the parliament of Kazakhstan of
/// 26 November 2025 (cameras, microphones and telematics: place, behaviour, voice).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[allow(missing_docs, reason = "the names are those of the standards, and `NAMES` spells them")]
pub enum Category {
    BiometricFace,
    BiometricFinger,
    BiometricIris,
    BiometricRetina,
    BiometricVoice,
    BiometricVein,
    BiometricHand,
    BiometricGait,
    BiometricSignature,
    BiometricKeystroke,
    BiometricDna,
    VehicleExteriorVideo,
    VehicleCabinVideo,
    VehicleCabinAudio,
    VehicleLocation,
    VehicleTrajectory,
    VehicleIdentity,
    VehicleDriverBehaviour,
    VehicleDriverHealth,
    VehicleOperation,
}

const NAMES: [(Category, &str); 20] = [
    (Category::BiometricFace, "biometric.face"),
    (Category::BiometricFinger, "biometric.finger"),
    (Category::BiometricIris, "biometric.iris"),
    (Category::BiometricRetina, "biometric.retina"),
    (Category::BiometricVoice, "biometric.voice"),
    (Category::BiometricVein, "biometric.vein"),
    (Category::BiometricHand, "biometric.hand"),
    (Category::BiometricGait, "biometric.gait"),
    (Category::BiometricSignature, "biometric.signature"),
    (Category::BiometricKeystroke, "biometric.keystroke"),
    (Category::BiometricDna, "biometric.dna"),
    (Category::VehicleExteriorVideo, "vehicle.exterior-video"),
    (Category::VehicleCabinVideo, "vehicle.cabin-video"),
    (Category::VehicleCabinAudio, "vehicle.cabin-audio"),
    (Category::VehicleLocation, "vehicle.location"),
    (Category::VehicleTrajectory, "vehicle.trajectory"),
    (Category::VehicleIdentity, "vehicle.identity"),
    (Category::VehicleDriverBehaviour, "vehicle.driver-behaviour"),
    (Category::VehicleDriverHealth, "vehicle.driver-health"),
    (Category::VehicleOperation, "vehicle.operation"),
];

/// The text is not a category.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a category of data: one such as biometric.face or vehicle.location is expected")]
pub struct CategoryError(pub String);

impl Category {
    /// Every category, in the order of its name's declaration.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(category, _)| *category)
    }

    /// The name, as `biometric.face`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES.iter().find(|(category, _)| *category == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Category {
    type Err = CategoryError;

    fn from_str(text: &str) -> Result<Self, CategoryError> {
        NAMES.iter().find(|(_, name)| *name == text).map(|(category, _)| *category).ok_or_else(|| CategoryError(text.to_owned()))
    }
}

impl TryFrom<String> for Category {
    type Error = CategoryError;

    fn try_from(text: String) -> Result<Self, CategoryError> {
        text.parse()
    }
}

impl From<Category> for String {
    fn from(category: Category) -> Self {
        category.as_str().to_owned()
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which categories a rule is about: one, or all of a family as `biometric.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CategoryPattern {
    /// Exactly this one.
    One(Category),
    /// Every biometric category: `biometric.*`.
    Biometric,
    /// Every vehicle category: `vehicle.*`.
    Vehicle,
}

impl CategoryPattern {
    /// Whether the rule is about this category.
    #[must_use]
    pub fn matches(self, category: Category) -> bool {
        match self {
            Self::One(one) => one == category,
            Self::Biometric => category.as_str().starts_with("biometric."),
            Self::Vehicle => category.as_str().starts_with("vehicle."),
        }
    }
}

impl FromStr for CategoryPattern {
    type Err = CategoryError;

    fn from_str(text: &str) -> Result<Self, CategoryError> {
        match text {
            "biometric.*" => Ok(Self::Biometric),
            "vehicle.*" => Ok(Self::Vehicle),
            _ => text.parse().map(Self::One),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_is_written_and_read_as_the_same() {
        for category in Category::all() {
            assert_eq!(category.as_str().parse::<Category>().unwrap(), category);
        }
        assert!("biometric.".parse::<Category>().is_err());
    }

    #[test]
    fn a_family_covers_its_own_and_no_other() {
        let biometric: CategoryPattern = "biometric.*".parse().unwrap();
        assert!(biometric.matches(Category::BiometricDna));
        assert!(!biometric.matches(Category::VehicleLocation));
        assert!("*".parse::<CategoryPattern>().is_err());
    }
}
