//! Why a flow may not leave: a closed list with stable codes.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $sentence:literal,)*) => {
        /// Why a flow was denied. The code (the variant's name) is stable: metrics, records, status and alerts carry it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = $sentence] $(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What happened and what a person can do about it, in one sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

reasons! {
    UnlistedParty: "No transfer of the holding lists this destination on this port and protocol; declare a transfer to a recipient that has it among its endpoints.",
    CrossBorder: "The destination is in a country that a standard does not allow for this data.",
    UnknownCountry: "The country of the address is not known, and unknown is never allowed; the standard's networks can say where the address is.",
    ManyPlaces: "The address is announced from many places at once, as those of anycast services and content networks are, so its country counts as unknown; the standard's networks can say where it is.",
    SourcesDisagree: "The geo sources name different countries for the address, so its country counts as unknown.",
    ForbiddenAddress: "The address is a loopback, link-local, multicast, private, reserved or translated address that no transfer lists as a network.",
    InClusterUnlisted: "The destination is inside the cluster and no holding covers it; cover it with a DataHolding for the same data, or list its Service under inCluster of every holding of this pod.",
    PeerOtherData: "The destination inside the cluster is covered, but not for all data that the holdings of this pod hold; its own holdings must hold them too, or its Service be listed under inCluster.",
    PeerOtherStandards: "The destination inside the cluster is covered for the data, but not bound by every standard that binds this pod; a standard must select its namespace too, or its Service be listed under inCluster.",
    PeerNotEnforcing: "The destination inside the cluster is covered for the data, but its sidecar does not enforce: it is starting, observes, or is to be restarted; the coverage of its holding says which.",
    PeerDenied: "The destination is inside the cluster, and a standard lets the data of this pod go nowhere there.",
    PeerNodeAddress: "The destination is an address of a node, at which anything may listen, node ports and host ports among it; use the pod or the Service behind it, or list the Service under inCluster.",
    PeerUnknown: "The destination is inside the cluster, and no pod and no port of a Service is known there.",
    PeerUnanswered: "The operator did not say within a second who is at this address inside the cluster; the pod's sidecar and the operator's policy API say why.",
    InboundUnlisted: "No standard lists the client as a source of the platform, no holding covers it for the same data, and no client of the holding has its address on this port; list it under clients of the holding, or have the standard list it under inbound.",
    InboundOtherData: "The client is a covered pod, but not for all data that the holdings of this pod hold; its own holdings must hold them too.",
    InboundOtherStandards: "The client is a pod that is covered for the data, but not bound by every standard that binds this pod; a standard must select its namespace too, or have it listed under inbound.",
    InboundNotEnforcing: "The client is a pod that is covered for the data, but its sidecar does not enforce: it is starting, observes, or is to be restarted; the coverage of its holding says which.",
    InboundPeerDenied: "The client is a covered pod, and a standard lets the data of this pod go to none in the cluster.",
    InboundCrossBorder: "The client is in a country that a standard does not allow for the data that it would read, or in another than the holding declares for it.",
    InboundUnknownCountry: "The country of the client's address is not known, its sources disagree, or it is used in many places, and unknown is never allowed; the standard's networks can say where the address is.",
    ClusterAPIDenied: "The destination is the API server of the cluster, and not every holding of this pod is granted it by clusterAPI.",
    SelfConnection: "The application dialled a port of the sidecar itself.",
    NoStandard: "No standard applies to the holding, so nothing says in which countries its data may be; a SovereigntyStandard must select its namespace and data.",
    NoPermit: "The recipient has no permit for a category that this route carries.",
    PermitNotYetValid: "The permit of the recipient is not valid yet.",
    PermitExpired: "The permit of the recipient has expired; the registrar can renew it.",
    GroundNotAllowed: "A standard does not allow the ground on which the recipient's permit rests.",
    EmptyTransferDenied: "A standard does not allow a route to this destination that claims to carry none of the holding's data.",
    NoApproval: "The route claims to carry none of the holding's data and leads abroad, and the transfer names no approval.",
    ObserveEnded: "The flow began while the holding observed and was not read; the holding enforces now, and the flow can begin anew.",
    PurposeNotPermitted: "The recipient's permits are for other purposes than that of the transfer.",
    SharedTenancy: "The endpoint serves many customers, so where its address is does not say where the data go; a network of a standard can say it.",
    BudgetSpent: "The bytes that may leave by this route on one day (UTC) have left this pod; it is open again the next day.",
    RouteInvalid: "The declaration of this route cannot be compiled; the conditions of the holding name the field.",
    NoName: "The connection names no destination: the TLS ClientHello has no server name, or the HTTP request has no Host.",
    UnreadableHello: "The first bytes are neither a TLS ClientHello nor an HTTP request that can be read within bounds.",
    NameTimeout: "The client did not say within the time limit where it wants to go.",
    HelloTooLong: "The client said more than the sidecar reads before it had named its destination.",
    EncryptedClientHello: "The TLS ClientHello has the extension Encrypted ClientHello, in which another server name may be hidden; where the client sends it as a decoy, a standard can take the outer name for it (encryptedClientHello: OuterName).",
    TLSTooOld: "The client does not offer the TLS version that a standard asks for.",
    TLSDowngraded: "The server chose an older TLS version than a standard asks for, or an answer that cannot be read; the server must be set to the newer one.",
    ProtocolMismatch: "The bytes are of another protocol than the recipient's endpoint declares.",
    AmbiguousAuthority: "The HTTP request names more than one destination, or one that cannot be read.",
    LateWebSocket: "A WebSocket handshake came on a connection that had carried other requests, where it could not be known which answer is the one to it; the connection was closed behind the other answers, and the handshake passes as the first request of a connection.",
    AmbiguousLength: "The length of the HTTP request's body can be read in more than one way, so that another request could hide in it; GET, HEAD and TRACE have none.",
    ProxyRequest: "A CONNECT request or an HTTP/2 preface without TLS was sent; neither is passed on unread.",
    UnlistedQuestion: "The DNS question is for a name that no transfer lists, so it was not asked.",
    TooManyLabels: "More distinct names below a listed wildcard, or of the cluster, were asked for than an hour allows, as when data leave in the names themselves; list the names, or raise the limit labelsPerHour or labelBytesPerHour.",
    UnsupportedQuestion: "The DNS message is not a single query of a kind that is answered.",
    LookupFailed: "The name could not be resolved by the cluster's resolvers.",
    NoAddress: "The name resolves to no address of a family that can be dialled.",
    UnlistedDatagram: "UDP other than DNS leaves only to an endpoint that a recipient lists as UDP.",
    NoDocument: "The sidecar has no valid policy document.",
    DocumentMissing: "One of the pod's holdings has no signed policy document; if its DataHolding still exists, look whether the operator runs.",
    DocumentUnreadable: "The policy document is cut off, too long, or not in the form that the operator writes; look who may write the ConfigMaps of this namespace.",
    DocumentUnsigned: "The policy document bears no signature; look who may write the ConfigMaps of this namespace.",
    DocumentUnknownVersion: "The policy document is of a version that this sidecar does not read; replace the pod, so that it gets the present sidecar.",
    DocumentUnknownKey: "The policy document is signed with a key that is not in the key set of the operator, or no longer.",
    DocumentForged: "The signature of the policy document is not genuine: somebody changed it after the operator signed it.",
    DocumentForeign: "The policy document was signed for another namespace or holding; if the holding was deleted and made again, replace the pod.",
    DocumentRolledBack: "The policy document is older than one that this pod has seen or was admitted with.",
    DocumentStale: "The policy document is older than the standards allow and was not issued anew; look whether the operator runs and the pod reaches it.",
    KeySetUnreadable: "The key set of the operator is cut off, too long, or of a form that this sidecar does not read.",
    KeySetForeign: "The key set is of another root key than the one this pod was admitted with; if the operator's keys were lost for good, replace the pod.",
    KeySetForged: "The key set does not bear a genuine signature of the root key.",
    KeySetRolledBack: "The key set is older than one that this pod has seen or was admitted with.",
    LimitReached: "As many flows, or addresses inside the cluster, are in use as the sidecar carries at once; the limit flows can be raised.",
    HalfOpenLimitReached: "As many connections wait to be named or answered, or for the rest of a request, as the sidecar holds at once; the limit halfOpen can be raised.",
    QuestionLimitReached: "As many DNS questions wait for a resolver as the sidecar holds at once; the limit questions can be raised.",
    AssociationLimitReached: "As many UDP associations are open as the sidecar holds at once; the limit associations can be raised.",
    DescriptorsExhausted: "The sidecar has no file descriptor left; the limit of open files of its container is too low for its limits of flows.",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_what_is_written_and_read() {
        for reason in Reason::ALL {
            let json = serde_json::to_string(reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.code()));
            assert_eq!(serde_json::from_str::<Reason>(&json).unwrap(), *reason);
            assert!(reason.sentence().ends_with('.'));
        }
    }
}
