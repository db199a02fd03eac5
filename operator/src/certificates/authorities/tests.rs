use super::*;

const PLAN: Plan = Plan { age: Duration::from_secs(1000), overlap: Duration::from_secs(100) };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

fn own(asked: bool) -> Wanted {
    Wanted::Own { asked }
}

/// Another authority of somebody else.
fn another() -> Arc<Authority> {
    Arc::new(Authority::create(at(0)).unwrap())
}

fn given(authority: &Arc<Authority>) -> Wanted {
    Wanted::Given(Arc::clone(authority))
}

fn first(wanted: &Wanted) -> Authorities {
    Authorities::first(wanted, at(0)).unwrap()
}

fn runs(authorities: &mut Authorities, wanted: &Wanted, second: i64) -> bool {
    authorities.step(&PLAN, wanted, When::Running, at(second)).unwrap()
}

fn starts(authorities: &mut Authorities, wanted: &Wanted, second: i64) -> bool {
    authorities.step(&PLAN, wanted, When::Starting, at(second)).unwrap()
}

fn issuer(authorities: &Authorities, second: i64) -> String {
    authorities.issuer(&PLAN, at(second)).map(|issuer| issuer.certificate_pem().to_owned()).unwrap_or_default()
}

/// What another replica reads, sooner or later.
fn again(authorities: &Authorities) -> Authorities {
    Authorities::read(&authorities.data(), at(1_000_000)).unwrap().unwrap()
}

fn pem(authority: &Arc<Authority>) -> String {
    authority.certificate_pem().to_owned()
}

#[test]
fn one_is_announced_before_it_issues_and_counts_after_it_was_replaced() {
    let mut authorities = first(&own(false));
    let before = authorities.pems();
    assert!(!runs(&mut authorities, &own(false), 999));
    assert!(runs(&mut authorities, &own(false), 1000));
    let both = authorities.pems();
    assert_eq!((both.len(), &both[1]), (2, &before[0]));
    assert_eq!((issuer(&authorities, 1049), issuer(&authorities, 1050)), (before[0].clone(), both[0].clone()));
    assert!(!runs(&mut authorities, &own(true), 1099), "not while the one before still counts");
    let mut authorities = again(&authorities);
    assert_eq!(authorities.pems(), both);
    assert!(runs(&mut authorities, &own(false), 1100));
    assert_eq!(authorities.pems(), both[..1]);
    assert!(runs(&mut authorities, &own(true), 1101), "whoever asks need not wait for its age");
}

#[test]
fn the_path_of_the_webhook_is_that_of_the_key_and_outlives_its_replacement() {
    let mut authorities = first(&own(false));
    let [before] = &authorities.webhook_paths()[..] else { panic!() };
    let before = before.clone();
    assert!(before.starts_with("/mutate/") && before.len() == "/mutate/".len() + 64, "{before}");
    assert_eq!(again(&authorities).webhook_paths()[..], [before.as_str()]);
    runs(&mut authorities, &own(true), 10);
    let both = authorities.webhook_paths();
    assert!(both.len() == 2 && both[0] != before && both[1] == before, "{both:?}");
    // every replica knows it before it is asked for
    assert_eq!(authorities.webhook_path(&PLAN, at(50)), before);
    assert_eq!(authorities.webhook_path(&PLAN, at(60)), both[0]);
}

#[test]
fn half_of_one_is_an_error_and_none_is_none() {
    assert!(Authorities::read(&BTreeMap::new(), at(0)).unwrap().is_none());
    for (wanted, half) in [(own(false), NEWEST.key), (own(false), NEWEST.certificate), (given(&another()), NEWEST.path)] {
        let mut data = first(&wanted).data();
        data.remove(half);
        assert!(matches!(Authorities::read(&data, at(0)), Err(AuthorityError::Incomplete)), "{half}");
    }
}

#[test]
fn one_that_is_given_is_announced_before_it_issues_too_and_does_not_age() {
    let (a, b) = (another(), another());
    let mut authorities = first(&given(&a));
    assert!(!runs(&mut authorities, &given(&a), 5000));
    assert!(runs(&mut authorities, &given(&b), 5000));
    assert_eq!(authorities.pems(), [pem(&b), pem(&a)]);
    assert_eq!((issuer(&authorities, 5049), issuer(&authorities, 5050)), (pem(&a), pem(&b)));
    assert!(runs(&mut authorities, &given(&b), 5100));
    assert_eq!(authorities.pems(), [pem(&b)]);
}

#[test]
fn what_is_kept_of_one_that_is_given_is_not_its_key() {
    let (a, b) = (another(), another());
    let mut authorities = first(&given(&a));
    runs(&mut authorities, &given(&b), 0);
    let text: String = authorities.data().values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    assert!(!text.contains("PRIVATE KEY") && text.contains(&pem(&a)) && text.contains(&pem(&b)), "{text}");
    let mut read = again(&authorities);
    assert_eq!((read.pems(), read.webhook_paths()), (authorities.pems(), authorities.webhook_paths()));
    assert!(read.has_given() && read.issuer(&PLAN, at(10)).is_none());
    // whoever knows the newest alone issues with it, and asks for the path that everybody knows
    read.learn(&given(&b));
    assert_eq!((issuer(&read, 10), read.webhook_path(&PLAN, at(10))), (pem(&b), a.webhook_path().as_str()));
    read.learn_from(&authorities);
    assert_eq!(issuer(&read, 10), pem(&a));
}

#[test]
fn a_third_waits_for_the_end_of_the_first_except_for_who_starts() {
    let (a, b, c) = (another(), another(), another());
    let mut authorities = first(&given(&a));
    runs(&mut authorities, &given(&b), 0);
    let mut started = again(&authorities);
    assert!(!runs(&mut authorities, &given(&c), 99));
    assert!(runs(&mut authorities, &given(&c), 100));
    assert_eq!(authorities.pems(), [pem(&c), pem(&b)]);
    // it knows no other key
    assert!(starts(&mut started, &given(&c), 50));
    assert_eq!((started.pems(), issuer(&started, 50)), (vec![pem(&c), pem(&b)], pem(&c)));
}

#[test]
fn one_that_has_ended_neither_issues_nor_keeps_its_successor_waiting() {
    let years = 11 * 366 * 86_400;
    let (old, new) = (another(), Arc::new(Authority::create(at(years)).unwrap()));
    let mut authorities = first(&given(&another()));
    runs(&mut authorities, &given(&old), years - 1);
    assert!(runs(&mut authorities, &given(&new), years), "what counts has ended");
    assert_eq!((authorities.pems(), issuer(&authorities, years)), (vec![pem(&new), pem(&old)], pem(&new)));
    assert_eq!(authorities.webhook_path(&PLAN, at(years)), new.webhook_path());
}

#[test]
fn one_that_has_ended_leaves_its_place_to_one_that_everybody_has_heard_of() {
    let years = 11 * 366 * 86_400;
    let (ended, [heard, new]) = (another(), [1, 2].map(|ago| Arc::new(Authority::create(at(years - ago)).unwrap())));
    let mut authorities = first(&given(&heard));
    runs(&mut authorities, &given(&ended), years - 1);
    assert!(runs(&mut authorities, &given(&new), years));
    assert_eq!((authorities.pems(), issuer(&authorities, years)), (vec![pem(&new), pem(&heard)], pem(&heard)));
}

#[test]
fn one_that_is_yet_to_be_made_ages_from_now_on() {
    let mut data = first(&own(false)).data();
    data.insert(MADE.into(), at(1_000_000).to_string().into_bytes());
    let mut read = Authorities::read(&data, at(5)).unwrap().unwrap();
    assert!(!runs(&mut read, &own(false), 1004));
    assert!(runs(&mut read, &own(false), 1005));
}

#[test]
fn what_is_missing_changes_nothing_but_the_end_of_the_predecessor() {
    let (a, b) = (another(), another());
    let mut authorities = first(&given(&a));
    runs(&mut authorities, &given(&b), 0);
    assert!(!runs(&mut authorities, &Wanted::Missing, 99));
    assert!(runs(&mut authorities, &Wanted::Missing, 100));
    assert_eq!((authorities.pems(), issuer(&authorities, 100)), (vec![pem(&b)], pem(&b)));
    assert!(matches!(Authorities::first(&Wanted::Missing, at(0)), Err(AuthorityError::NoKey)));
}

#[test]
fn between_the_operators_own_and_one_that_is_given_both_are_trusted() {
    let (mut authorities, a) = (first(&own(false)), another());
    let before = authorities.pems();
    assert!(starts(&mut authorities, &given(&a), 10));
    assert_eq!(authorities.pems(), [pem(&a), before[0].clone()]);
    assert_eq!((issuer(&again(&authorities), 59), issuer(&authorities, 60)), (before[0].clone(), pem(&a)));
    // a replica of the configuration before runs on, and leaves it so
    assert!(!runs(&mut authorities, &own(false), 20));
    // and back: the operator's own is the one from before where it is still known, and a new one elsewhere
    let mut back = again(&authorities);
    assert!(starts(&mut back, &own(false), 30));
    assert_eq!((back.pems(), issuer(&back, 30)), (vec![before[0].clone(), pem(&a)], before[0].clone()));
    assert!(runs(&mut authorities, &given(&a), 110));
    assert!(starts(&mut authorities, &own(false), 120));
    assert!(authorities.pems()[0] != before[0] && authorities.pems()[1] == pem(&a), "{:?}", authorities.pems());
}

#[test]
fn a_start_changes_nothing_of_the_operators_own() {
    let mut authorities = first(&own(false));
    assert!(!starts(&mut authorities, &own(true), 5000));
    runs(&mut authorities, &own(false), 5000);
    assert!(!starts(&mut authorities, &own(false), 5100), "its predecessor is forgotten by the replica that leads");
    assert_eq!(authorities.pems().len(), 2);
}
