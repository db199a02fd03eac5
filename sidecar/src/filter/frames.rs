//! What may leave the pod's interfaces besides packets of IP: nothing but the questions of ARP.

use super::{FilterError, nft};

/// The table, as auditors read it.
const FRAMES: &str = include_str!("frames.nft");

/// What it must show when it is read back.
const REQUIRED: [&str; 5] =
    ["chain frames", "policy drop", "meta protocol ip accept", "meta protocol ip6 accept", "meta protocol arp accept"];

/// The interfaces of this network namespace behind two lines of heads, a line each with the name before a colon (proc(5)).
const INTERFACES: &str = "/proc/net/dev";

/// What the kernel answers where it does not know the hook (`EOPNOTSUPP` of `nft_chain_parse_hook` and `__nf_register_net_hook`) or
/// the family (`nf_tables_newtable`).
const UNKNOWN_HOOK: &str = "Operation not supported";

/// Whether frames other than those of IP and ARP are kept in the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// They are.
    Kept,
    /// The kernel has no hook by which they could be.
    UnknownHook,
}

impl Frames {
    /// What whoever reads the log is to know of it.
    #[must_use]
    pub fn warning(self) -> Option<&'static str> {
        let warning = "warning: the kernel of this node has no hook for frames that leave (CONFIG_NETFILTER_EGRESS), so an application \
                       can send frames of PPPoE where the module pppoe can be loaded: keep it from being loaded";
        (self == Self::UnknownHook).then_some(warning)
    }
}

/// Sets it on every interface that there is, in one transaction, and reads it back.
///
/// # Errors
/// When it cannot be set for another reason than that the kernel has no such hook.
pub(super) fn set() -> Result<Frames, FilterError> {
    let interfaces = interfaces()?;
    if interfaces.is_empty() {
        return Ok(Frames::Kept);
    }
    match nft::run(&["-f", "-"], &rules(&interfaces)) {
        Ok(_) => {
            let table = list()?;
            check(&table)?;
            on_each(&table, interfaces).map(|()| Frames::Kept)
        }
        Err(error) if is_unknown_hook(&error) => Ok(Frames::UnknownHook),
        Err(error) => Err(error),
    }
}

/// Looks whether it is there. Interfaces that have come since are not looked for.
///
/// # Errors
/// When it is not, although the kernel has the hook.
pub(super) fn look() -> Result<(), FilterError> {
    let interfaces = interfaces()?;
    if interfaces.is_empty() {
        return Ok(());
    }
    list().and_then(|table| check(&table)).or_else(|missing| {
        // the kernel takes it up to the last moment, and puts it away
        match nft::run(&["--check", "-f", "-"], &rules(&interfaces)) {
            Err(error) if is_unknown_hook(&error) => Ok(()),
            _ => Err(missing),
        }
    })
}

fn list() -> Result<String, FilterError> {
    nft::run(&["list", "table", "netdev", "shekara"], "")
}

fn is_unknown_hook(error: &FilterError) -> bool {
    matches!(error, FilterError::Kernel(said) if said.contains(UNKNOWN_HOOK))
}

fn interfaces() -> Result<Vec<String>, FilterError> {
    names(&std::fs::read_to_string(INTERFACES).map_err(FilterError::Interfaces)?)
}

/// All but loopback.
fn names(table: &str) -> Result<Vec<String>, FilterError> {
    let names = table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
    names
        .filter(|name| name != "lo")
        .map(|name| if is_plain(&name) { Ok(name) } else { Err(FilterError::Interface(name)) })
        .collect()
}

/// Whether a name means itself between quotation marks in the language of nft.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_a_name)
}

fn is_of_a_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_.@".contains(character)
}

fn rules(interfaces: &[String]) -> String {
    let devices: Vec<String> = interfaces.iter().map(|name| format!("\"{name}\"")).collect();
    FRAMES.replace("DEVICES }", &format!("{} }}", devices.join(", ")))
}

fn check(table: &str) -> Result<(), FilterError> {
    let hooked = table.lines().any(is_hook);
    let missing = (!hooked).then_some("type filter hook egress");
    let missing = missing.or_else(|| REQUIRED.into_iter().find(|required| !table.contains(required)));
    missing.map_or(Ok(()), |missing| Err(FilterError::ReadBack(missing)))
}

fn on_each(table: &str, interfaces: Vec<String>) -> Result<(), FilterError> {
    let hook = table.lines().find(|line| is_hook(line)).unwrap_or_default();
    let mut missing =
        interfaces.into_iter().filter(|name| !hook.split(|character| !is_of_a_name(character)).any(|word| word == name));
    missing.next().map_or(Ok(()), |name| Err(FilterError::Uncovered(name)))
}

fn is_hook(line: &str) -> bool {
    line.trim_start().starts_with("type filter hook egress")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HEADS: &str = "Inter-|   Receive    |  Transmit\n face |bytes    packets|bytes\n";
    const HOOK: &str = "type filter hook egress devices = { eth0, net1 } priority filter; policy drop;";

    #[rstest]
    #[case("", &[])]
    #[case("    lo: 0 0\n", &[])]
    #[case("    lo: 0 0\n  eth0: 7 0\neth1.5:123 0\n", &["eth0", "eth1.5"])]
    fn every_interface_but_loopback(#[case] lines: &str, #[case] expected: &[&str]) {
        assert_eq!(names(&format!("{HEADS}{lines}")).unwrap(), expected);
    }

    #[rstest]
    #[case("eth*")]
    #[case("a\"b")]
    fn a_name_that_nft_would_read_otherwise_is_refused(#[case] name: &str) {
        let refused = names(&format!("{HEADS}{name}: 0 0\n")).unwrap_err().to_string();
        assert!(refused.contains(&format!("{name:?}")), "{refused}");
    }

    #[test]
    fn the_interfaces_are_put_into_the_hook() {
        let rules = rules(&["eth0".to_owned(), "net1".to_owned()]);
        assert!(rules.contains("hook egress devices = { \"eth0\", \"net1\" } priority 0; policy drop;"), "{rules}");
        let commands: Vec<&str> = rules.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(commands[..3], ["add table netdev shekara", "delete table netdev shekara", "add table netdev shekara {"]);
    }

    #[test]
    fn each_part_and_each_interface_must_read_back() {
        let whole = format!("{HOOK}\n{}", REQUIRED.join("\n"));
        check(&whole).unwrap();
        for part in REQUIRED.into_iter().chain(["hook egress"]) {
            assert!(check(&whole.replace(part, "")).is_err(), "{part}");
        }
        on_each(&whole, vec!["net1".to_owned(), "eth0".to_owned()]).unwrap();
        assert!(matches!(on_each(&whole, vec!["eth".to_owned()]), Err(FilterError::Uncovered(name)) if name == "eth"));
    }

    #[rstest]
    #[case(FilterError::Kernel("/dev/stdin:10:9-14: Error: Could not process rule: Operation not supported".to_owned()), true)]
    #[case(FilterError::Kernel("/dev/stdin:10:9-14: Error: Could not process rule: No such file or directory".to_owned()), false)]
    #[case(FilterError::Refused("Error: syntax error: Operation not supported".to_owned()), false)]
    fn only_the_lack_of_the_hook_is_no_failure(#[case] error: FilterError, #[case] unknown: bool) {
        assert_eq!(is_unknown_hook(&error), unknown);
    }
}
