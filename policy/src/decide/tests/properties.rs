//! What must hold for every set of documents and every flow.

use super::*;

const NAMES: [&str; 5] = ["a.example.kz", "b.example.kz", "x.b.example.kz", "c.example.de", "cluster.local"];
const PATTERNS: [&str; 5] = ["a.example.kz", "*.example.kz", "*.b.example.kz", "c.example.de", "b.example.kz"];
const ADDRESSES: [&str; 9] = [
    "192.0.2.1",
    "192.0.2.200",
    "198.51.100.1",
    "203.0.113.1",
    "10.0.0.1",
    "10.244.0.1",
    "169.254.169.254",
    "2001:db8::1",
    "::ffff:192.0.2.1",
];
const NETWORKS: [&str; 6] = ["192.0.2.0/24", "198.51.100.0/24", "10.0.0.0/8", "169.254.0.0/16", "2001:db8::/32", "0.0.0.0/0"];
const COUNTRIES: [&str; 3] = ["KZ", "DE", "US"];
const CATEGORIES: [Category; 3] = [Category::BiometricFace, Category::VehicleLocation, Category::VehicleCabinVideo];

fn pick<T: Clone + std::fmt::Debug + 'static>(from: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(from)
}

fn data() -> impl Strategy<Value = BTreeSet<Category>> {
    proptest::collection::btree_set(pick(&CATEGORIES), 0..3)
}

fn time() -> impl Strategy<Value = Timestamp> {
    (0i64..4).prop_map(|day| Timestamp::from_second(1_780_000_000 + day * 86_400).unwrap())
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let target = prop_oneof![
        pick(&PATTERNS).prop_map(|pattern| Target::Host(pattern.parse().unwrap())),
        pick(&NETWORKS).prop_map(|network| Target::Network(network.parse::<IpNet>().unwrap())),
    ];
    const PROTOCOLS: [EndpointProtocol; 4] =
        [EndpointProtocol::Tls, EndpointProtocol::Http, EndpointProtocol::Tcp, EndpointProtocol::Udp];
    (target, proptest::collection::btree_set(pick(&[80u16, 443]), 1..3), pick(&PROTOCOLS))
        .prop_map(|(target, ports, protocol)| Endpoint { target, ports, protocol, shared: false })
}

fn constraint() -> impl Strategy<Value = Constraint> {
    (proptest::collection::btree_set(pick(&COUNTRIES), 0..3), proptest::option::weighted(0.2, Just(TlsVersion::V13))).prop_map(
        |(countries, min_tls)| Constraint {
            standard: "s".into(),
            countries: countries.iter().map(|country| country.parse().unwrap()).collect(),
            min_tls,
            rule: None,
        },
    )
}

fn permit() -> impl Strategy<Value = PermitWindow> {
    (data(), proptest::option::of(time()), proptest::option::of(time()))
        .prop_map(|(data, valid_from, valid_until)| PermitWindow { data, valid_from, valid_until, permit: 0 })
}

fn empty() -> impl Strategy<Value = EmptyRoute> {
    let leave = || pick(&[Leave::Denied, Leave::Bounded(7), Leave::Allowed]);
    let terms =
        (proptest::collection::btree_set(pick(&COUNTRIES), 0..3), leave(), leave()).prop_map(|(home, at_home, abroad)| {
            let home = home.iter().map(|country| country.parse().unwrap()).collect();
            EmptyTerms { standard: "s".into(), home, at_home, abroad }
        });
    (any::<bool>(), proptest::collection::vec(terms, 0..3)).prop_map(|(approved, terms)| EmptyRoute { approved, terms })
}

fn route() -> impl Strategy<Value = Route> {
    (
        data(),
        proptest::collection::vec(endpoint(), 0..4),
        proptest::collection::vec(constraint(), 0..3),
        proptest::option::of(proptest::collection::vec(permit(), 0..3)),
        proptest::option::weighted(0.1, Just(Reason::RouteInvalid)),
        proptest::option::weighted(0.8, empty()),
    )
        .prop_map(|(data, endpoints, constraints, permits, barred, empty)| Route {
            recipient: "r".into(),
            data,
            endpoints,
            constraints,
            permits,
            barred,
            empty,
            max_out_per_day: None,
            emergency: false,
        })
}

fn generated() -> impl Strategy<Value = PolicyDocument> {
    proptest::collection::vec(route(), 0..4).prop_map(|routes| PolicyDocument { routes, ..document("n", "h") })
}

fn any_flow() -> impl Strategy<Value = Flow> {
    const PROTOCOLS: [Protocol; 4] = [Protocol::Tls, Protocol::Http, Protocol::Tcp, Protocol::Udp];
    (
        pick(&PROTOCOLS),
        proptest::option::of(pick(&NAMES)),
        proptest::option::weighted(0.9, pick(&ADDRESSES)),
        pick(&[80u16, 443, 22]),
    )
        .prop_map(|(protocol, name, address, port)| flow(protocol, name.unwrap_or_default(), address.unwrap_or_default(), port))
}

fn judge<'a>(documents: &'a [PolicyDocument], now: Timestamp) -> Judge<'a> {
    Judge { documents, geo: &World, peers: &Archive, now }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    /// The rules of the language, said a second time and as plainly as can be: allowed means that in every document some open
    /// route has an endpoint for this party, port and protocol, and that all its standards allow the address's known country.
    #[test]
    fn nothing_is_allowed_that_no_rule_allows(documents in proptest::collection::vec(generated(), 0..3), flow in any_flow(), now in time()) {
        if decide(judge(&documents, now), &flow).is_allowed() {
            prop_assert!(!documents.is_empty());
            let inside = flow.address.is_some_and(|address| address.ip().to_string().starts_with("10.244."));
            for document in &documents {
                if inside {
                    prop_assert!(document.in_cluster.iter().any(|route| route.service == "vectors"));
                    prop_assert_eq!(flow.port, 5432);
                    continue;
                }
                let open = document.routes.iter().any(|route| {
                    let country = flow.address.map(|address| World.countries(address.ip())[0])
                        .map(|country| if flow.address.unwrap().ip().to_string().starts_with("203.0.113.") { "KZ".parse().unwrap() } else { country });
                    route.barred.is_none()
                        && route.endpoints.iter().any(|endpoint| endpoint.ports.contains(&flow.port) && endpoint.speaks(flow.protocol) && match &endpoint.target {
                            Target::Host(pattern) => flow.name.as_ref().is_some_and(|name| pattern.matches(name))
                                && flow.address.is_none_or(|address| address.scope() == Scope::Global),
                            Target::Network(network) => flow.address.is_some_and(|address| network.contains(&address.ip())),
                        })
                        && route.constraints.iter().all(|constraint| country.is_none_or(|country| constraint.countries.contains(&country)))
                        && country.is_none_or(Country::is_known)
                        && ((!route.data.is_empty() && route.empty.is_none()) || country.is_none_or(|country| route.empty.as_ref().is_some_and(|empty| {
                            !empty.terms.is_empty() && empty.terms.iter().all(|terms| match terms.home.contains(&country) {
                                true => terms.at_home != Leave::Denied,
                                false => terms.abroad != Leave::Denied && empty.approved,
                            })
                        })))
                        && route.permits.as_ref().is_none_or(|permits| route.data.iter().all(|category| permits.iter().any(|permit| {
                            permit.data.contains(category) && permit.valid_from.is_none_or(|from| from <= now) && permit.valid_until.is_none_or(|until| now < until)
                        })))
                });
                prop_assert!(open, "{flow:?} by {document:?}");
            }
        }
    }

    #[test]
    fn another_document_never_allows_more(documents in proptest::collection::vec(generated(), 1..3), more in generated(), flow in any_flow(), now in time()) {
        let mut all = documents.clone();
        all.push(more);
        if decide(judge(&all, now), &flow).is_allowed() {
            prop_assert!(decide(judge(&documents, now), &flow).is_allowed());
        }
    }

    #[test]
    fn another_constraint_bar_or_data_never_allows_more(document in generated(), constraint in constraint(), barred in any::<bool>(), more in data(), flow in any_flow(), now in time()) {
        let mut stricter = document.clone();
        for route in &mut stricter.routes {
            route.constraints.push(constraint.clone());
            // a route of which nobody says whether it may carry nothing is closed while it carries nothing
            if !route.data.is_empty() || route.empty.is_some() { route.data.extend(more.iter().copied()); }
            if barred { route.barred = Some(Reason::RouteInvalid); }
        }
        if decide(judge(&[stricter], now), &flow).is_allowed() {
            prop_assert!(decide(judge(&[document], now), &flow).is_allowed());
        }
    }

    #[test]
    fn what_may_not_be_looked_up_may_not_be_reached_by_name(documents in proptest::collection::vec(generated(), 1..3), flow in any_flow(), now in time()) {
        let without = Flow { address: None, ..flow.clone() };
        let no_networks = documents.iter().flat_map(|d| &d.routes).flat_map(|r| &r.endpoints).all(|e| matches!(e.target, Target::Host(_)));
        let outside = flow.address.is_some_and(|address| !address.ip().to_string().starts_with("10.244."));
        if outside && no_networks && !decide(judge(&documents, now), &without).is_allowed() {
            prop_assert!(!decide(judge(&documents, now), &flow).is_allowed());
        }
    }
}
