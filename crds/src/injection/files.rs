//! The ConfigMaps in which holdings keep their signed documents, as pods mount them.

use sha2::{Digest as _, Sha256};

/// The entry of such a ConfigMap, which pods mount under the name of the holding.
pub const ENTRY: &str = "document.json";

/// The longest name of a ConfigMap.
const LONGEST: usize = 253;

/// The name of a holding's ConfigMap: not longer than a name may be, whatever the holding is called.
#[must_use]
pub fn file_name(holding: &str) -> String {
    let name = format!("shekara-policy-{holding}");
    if name.len() <= LONGEST {
        return name;
    }
    Sha256::digest(holding).iter().fold(String::from("shekara-policy-"), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_and_stay_apart() {
        assert_eq!(file_name("faces"), "shekara-policy-faces");
        let (long, longer) = (file_name(&"a".repeat(250)), file_name(&"a".repeat(251)));
        assert!(long != longer && long.len() <= LONGEST && longer.len() <= LONGEST);
    }
}
