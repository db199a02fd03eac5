use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

#[rstest]
#[case("API.Clinic.Example.KZ", "api.clinic.example.kz")]
#[case("api.clinic.example.kz.", "api.clinic.example.kz")]
#[case("денсаулық.қаз", "xn--80ahdziyp9dx5b.xn--80ao21a")]
#[case("XN--80AO21A", "xn--80ao21a")]
#[case("_mqtt._tcp.example.kz", "_mqtt._tcp.example.kz")]
fn one_spelling_for_each_name(#[case] written: &str, #[case] canonical: &str) {
    assert_eq!(name(written).as_str(), canonical);
}

#[rstest]
#[case("", HostNameProblem::Empty)]
#[case(".", HostNameProblem::Empty)]
#[case("a..kz", HostNameProblem::Label)]
#[case("a.kz..", HostNameProblem::Label)]
#[case("-a.kz", HostNameProblem::Label)]
#[case("a b.kz", HostNameProblem::Label)]
#[case("a\0.kz", HostNameProblem::Label)]
#[case("a.kz:443", HostNameProblem::Label)]
#[case("192.0.2.1", HostNameProblem::Address)]
#[case("127.1", HostNameProblem::Address)]
#[case("2130706433", HostNameProblem::Address)]
#[case("a.0x7f", HostNameProblem::Address)]
#[case("xn--a.kz", HostNameProblem::Idna)]
fn what_is_not_a_name_is_refused(#[case] written: &str, #[case] problem: HostNameProblem) {
    assert_eq!(written.parse::<HostName>().unwrap_err().problem, problem);
}

#[test]
fn a_wildcard_is_exactly_one_label() {
    let pattern: HostPattern = "*.clinic.example.kz".parse().unwrap();
    assert!(pattern.matches(&name("api.clinic.example.kz")));
    assert!(!pattern.matches(&name("clinic.example.kz")));
    assert!(!pattern.matches(&name("a.b.clinic.example.kz")));
    assert!(!pattern.matches(&name("a.evilclinic.example.kz")));
    for wrong in ["*", "*.kz", "a.*.kz", "*a.example.kz", "**.example.kz", "*.*.example.kz"] {
        assert!(wrong.parse::<HostPattern>().is_err(), "{wrong}");
    }
}

#[test]
fn within_a_zone_is_by_whole_labels() {
    assert!(name("a.cluster.local").is_within(&name("cluster.local")));
    assert!(name("cluster.local").is_within(&name("cluster.local")));
    assert!(!name("evilcluster.local").is_within(&name("cluster.local")));
}

proptest! {
    #[test]
    fn reading_any_text_gives_a_name_that_reads_as_itself(text in "\\PC{0,80}") {
        if let Ok(name) = text.parse::<HostName>() {
            prop_assert_eq!(name.as_str().parse::<HostName>().unwrap(), name.clone());
            prop_assert_eq!(text.to_uppercase().parse::<HostName>().ok().map(|upper| upper == name).unwrap_or(true), true);
        }
    }
}
