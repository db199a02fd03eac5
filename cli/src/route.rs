//! A route of a document as people read it: to whom, what, where, by which standards and permits, and whether it is open now.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;
use shekara_crds::Recipient;
use shekara_crds::recipient::Permit;
use shekara_policy::decide::closed;
use shekara_policy::document::{Endpoint, EndpointProtocol, PermitWindow, Route, Target};
use shekara_policy::flow::TlsVersion;
use shekara_policy::{Category, Country, Reason};

use crate::text::{Cell, Tone};
use crate::words::list;

/// A route.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RouteView {
    pub(crate) recipient: String,
    legal_name: Option<String>,
    /// The country of the recipient itself.
    recipient_country: Option<String>,
    pub(crate) data: BTreeSet<Category>,
    endpoints: Vec<String>,
    pub(crate) standards: BTreeSet<String>,
    /// The countries that all standards allow.
    countries: BTreeSet<Country>,
    #[serde(rename = "minTLS")]
    min_tls: Option<TlsVersion>,
    pub(crate) permits: Vec<PermitView>,
    /// When the first of the permits in use ends.
    until: Option<Timestamp>,
    /// Why the route is closed at this time; null where it is open.
    closed: Option<Reason>,
}

/// A permit that a route may use.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PermitView {
    data: Vec<String>,
    ground: String,
    document: Option<String>,
    valid_from: Option<Timestamp>,
    valid_until: Option<Timestamp>,
}

impl RouteView {
    pub(crate) fn of(route: &Route, recipient: Option<&Recipient>, now: Timestamp) -> Self {
        let spec = recipient.map(|recipient| &recipient.spec);
        let sets = || route.constraints.iter().map(|constraint| &constraint.countries);
        let everywhere: BTreeSet<Country> = sets().flatten().copied().collect();
        let windows: Vec<&PermitWindow> = route.permits.iter().flatten().filter(|window| serves(window, route)).collect();
        let now_valid = windows.iter().filter(|window| window.valid_until.is_none_or(|until| now < until));
        Self {
            recipient: route.recipient.clone(),
            legal_name: spec.map(|spec| spec.legal_name.clone()),
            recipient_country: spec.map(|spec| spec.country.clone()),
            data: route.data.clone(),
            endpoints: route.endpoints.iter().map(endpoint).collect(),
            standards: route.constraints.iter().map(|constraint| constraint.standard.clone()).collect(),
            countries: everywhere.into_iter().filter(|country| sets().all(|set| set.contains(country))).collect(),
            min_tls: route.constraints.iter().filter_map(|constraint| constraint.min_tls).max(),
            permits: windows.iter().map(|window| permit(window, spec.map(|spec| &*spec.permits).unwrap_or_default())).collect(),
            until: now_valid.filter_map(|window| window.valid_until).min(),
            closed: closed(route, now),
        }
    }

    pub(crate) const HEAD: [&str; 7] = ["RECIPIENT", "DATA", "ENDPOINTS", "COUNTRIES", "TLS", "PERMIT UNTIL", "NOW"];

    pub(crate) fn row(&self) -> Vec<Cell> {
        let until = self.until.map(|until| until.to_string());
        let now = match self.closed {
            None => Cell::new("open", Tone::Good),
            Some(reason) => Cell::new(format!("closed: {reason}"), Tone::Bad),
        };
        vec![
            self.recipient.clone().into(),
            list(self.data.iter().map(|category| category.as_str())).into(),
            list(&self.endpoints).into(),
            list(&self.countries).into(),
            self.min_tls.map_or("-", tls).into(),
            until.unwrap_or_else(|| "-".into()).into(),
            now,
        ]
    }

    /// The permits in words.
    pub(crate) fn permits(&self) -> String {
        self.permits.iter().map(PermitView::text).collect::<Vec<_>>().join("; ")
    }
}

impl PermitView {
    fn text(&self) -> String {
        let document = self.document.as_deref().unwrap_or("without a document");
        let until = self.valid_until.map(|until| format!(" until {until}")).unwrap_or_default();
        format!("{document} ({}){until}", self.ground)
    }
}

fn serves(window: &PermitWindow, route: &Route) -> bool {
    window.data.iter().any(|category| route.data.contains(category))
}

/// A permit of a document, with what the recipient says of it besides.
fn permit(window: &PermitWindow, permits: &[Permit]) -> PermitView {
    let same = |text: &Option<String>, instant: Option<Timestamp>| text.as_ref().and_then(|text| text.parse().ok()) == instant;
    let said = permits.iter().find(|permit| {
        let covers = |category: &Category| permit.data.iter().any(|said| said == category.as_str());
        same(&permit.valid_from, window.valid_from)
            && same(&permit.valid_until, window.valid_until)
            && window.data.iter().all(covers)
    });
    PermitView {
        data: window.data.iter().map(|category| category.as_str().to_owned()).collect(),
        ground: said.map(|permit| format!("{:?}", permit.ground)).unwrap_or_default(),
        document: said.and_then(|permit| permit.document.as_ref()).map(|document| document.number.clone()),
        valid_from: window.valid_from,
        valid_until: window.valid_until,
    }
}

/// A version of TLS as people write it.
pub(crate) fn tls(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::V12 => "1.2",
        TlsVersion::V13 => "1.3",
    }
}

fn endpoint(endpoint: &Endpoint) -> String {
    let target = match &endpoint.target {
        Target::Host(pattern) => pattern.to_string(),
        Target::Network(network) => network.to_string(),
    };
    let protocol = match endpoint.protocol {
        EndpointProtocol::Tls => "TLS",
        EndpointProtocol::Http => "HTTP",
        EndpointProtocol::Tcp => "TCP",
        EndpointProtocol::TcpServerFirst => "TCPServerFirst",
        EndpointProtocol::Udp => "UDP",
    };
    format!("{target}:{}/{protocol}", list(&endpoint.ports))
}
