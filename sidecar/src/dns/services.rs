//! Names under which services of a party are looked for: `_service._protocol` before the party's own name (RFC 2782).

use shekara_policy::HostName;

/// Protocols (RFC 2782; `_tls` is that of SIP, RFC 3263).
const PROTOCOLS: &[&str] = &["_tcp", "_udp", "_tls"];

/// Services that clients look for so, by the names of IANA's registry (RFC 6335) and those that clients use beside it. The list
/// is closed: a word of it is the program's choice and tells little, any other label could carry data.
const SERVICES: &[&str] = &[
    "_amqp",
    "_amqps",
    "_caldav",
    "_caldavs",
    "_carddav",
    "_carddavs",
    "_coap",
    "_coaps",
    "_etcd-client",
    "_etcd-client-ssl",
    "_etcd-server",
    "_etcd-server-ssl",
    "_gc",
    "_grpc",
    "_grpclb",
    "_http",
    "_https",
    "_imap",
    "_imaps",
    "_jmap",
    "_kerberos",
    "_kerberos-adm",
    "_kerberos-master",
    "_kpasswd",
    "_ldap",
    "_ldaps",
    "_mongodb",
    "_mqtt",
    "_mysql",
    "_nats",
    "_ntp",
    "_pop3",
    "_pop3s",
    "_postgresql",
    "_radiustls",
    "_redis",
    "_secure-mqtt",
    "_sieve",
    "_sip",
    "_sips",
    "_stun",
    "_stuns",
    "_submission",
    "_submissions",
    "_turn",
    "_turns",
    "_xmpp-client",
    "_xmpp-server",
    "_xmpps-client",
    "_xmpps-server",
];

/// The party whose service such a name looks for; none where the name is another one.
#[must_use]
pub fn party(name: &HostName) -> Option<HostName> {
    let (service, rest) = name.as_str().split_once('.')?;
    let (protocol, party) = rest.split_once('.')?;
    let known = SERVICES.contains(&service) && PROTOCOLS.contains(&protocol);
    known.then(|| party.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("_mongodb._tcp.cluster.example.kz", Some("cluster.example.kz"))]
    #[case("_SIP._TLS.Example.kz", Some("example.kz"))]
    #[case::another_word("_face-4711._tcp.cluster.example.kz", None)]
    #[case::another_protocol("_mongodb._face.cluster.example.kz", None)]
    #[case::the_other_way_round("_tcp._mongodb.cluster.example.kz", None)]
    #[case::no_underscore("mongodb._tcp.cluster.example.kz", None)]
    #[case::nobody("_mongodb._tcp", None)]
    fn a_party_is_found_behind_words_of_closed_lists_alone(#[case] name: &str, #[case] expected: Option<&str>) {
        assert_eq!(party(&name.parse().unwrap()).as_ref().map(HostName::as_str), expected);
    }
}
