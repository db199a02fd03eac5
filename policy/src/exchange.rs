//! What sidecar and operator say to each other, as JSON over HTTPS/2.
//!
//! - `GET /v1/policy?watch`: one [`PolicyEvent`] a line, the first at once, the next whenever the documents of the pod or the
//!   operator's keys change.
//! - `GET /v1/peers?watch`: the sidecar sends a [`PeerQuestion`] a line in the request's body, at first with all addresses that it
//!   uses, then whenever they are others; the operator sends a [`PeerEvent`] a line, at once and whenever an answer is another.
//! - `POST /v1/registrations`: a [`Registration`], before anything else of a start; the answer is 204.
//! - `POST /v1/checkpoints`: a [`Checkpoint`], with a signature of the registered key over the very bytes of the body in the
//!   header [`SIGNATURE_HEADER`]; the answer is 204.
//!
//! All with `Authorization: Bearer` and the pod's projected token of the audience [`AUDIENCE`].

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::category::Category;
use crate::country::Country;
use crate::peer::Peer;
use crate::reason::Reason;
use crate::signed::{PublicKey, SignedDocument, SignedKeySet};

/// The audience of the token by which a sidecar shows which pod it is in.
pub const AUDIENCE: &str = "shekara";

/// The path of the policy watch.
pub const POLICY_PATH: &str = "/v1/policy";

/// The path of the peers watch.
pub const PEERS_PATH: &str = "/v1/peers";

/// How many addresses inside the cluster a pod may watch at once.
pub const PEERS: usize = 1024;

/// The path for checkpoints.
pub const CHECKPOINTS_PATH: &str = "/v1/checkpoints";

/// The path for the keys of sidecars.
pub const REGISTRATIONS_PATH: &str = "/v1/registrations";

/// The header with the signature of a checkpoint.
pub const SIGNATURE_HEADER: &str = "shekara-signature";

/// The key of a start of a sidecar, which it makes and registers before the application runs: its checkpoints count with it alone,
/// so that a token that somebody gets hold of later says nothing in its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    /// The random name of the start, as its checkpoints have it.
    pub instance: String,
    /// When the start was.
    pub started: Timestamp,
    /// The key.
    pub key: PublicKey,
}

/// The documents of a pod, all of them each time: what is not in the newest event no longer allows anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyEvent {
    /// The operator's keys: looked at first, since the documents are verified with them.
    pub keys: SignedKeySet,
    /// One document for each holding of the pod, in the order of namespace and name. Empty where a holding of the pod is gone:
    /// then nothing leaves.
    pub documents: Vec<SignedDocument>,
    /// How often the operator wants a checkpoint, in whole seconds; the first denial of a kind is reported at once.
    pub checkpoint_interval: u32,
}

/// Which addresses inside the cluster a sidecar uses from now on, and which it uses no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerQuestion {
    /// To be watched, at most [`PEERS`] together with those that are watched already. Port 0 asks for whoever has the address itself,
    /// as is needed of a client.
    #[serde(default)]
    pub watch: Vec<SocketAddr>,
    /// To be watched no more.
    #[serde(default)]
    pub forget: Vec<SocketAddr>,
}

/// What is known about addresses inside the cluster: what an event does not name is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerEvent {
    /// The addresses outside the cluster's networks that it takes all the same, all of them each time: external addresses of
    /// Services, and those of nodes. The unspecified address of a family stands for every address of it: there are more than can be
    /// told. Absent where they have not changed.
    #[serde(default)]
    pub captured: Option<BTreeSet<IpAddr>>,
    /// Answers, each in the place of an earlier one.
    #[serde(default)]
    pub peers: Vec<PeerAnswer>,
}

/// Who is at one address and port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PeerAnswer {
    /// The address and port that were asked about.
    pub at: SocketAddr,
    /// Who is there.
    pub peer: Peer,
    /// Where the pod that asked is itself one of the ends of a Service there. Led back to itself it would come from its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<SocketAddr>,
}

/// What a sidecar has done since it started. Numbers stand for all of it, so a checkpoint that is lost or comes twice changes
/// nothing. They only grow, but for bytes that were on their way when a flow was broken off and did not leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkpoint {
    /// A random name of this start of the sidecar; after a restart the numbers begin again under another.
    pub instance: String,
    /// When this start was.
    pub started: Timestamp,
    /// The number of this checkpoint, from 1.
    pub sequence: u64,
    /// The digests of the documents that are enforced now, in the order of the documents.
    pub documents: Vec<String>,
    /// The serials of those documents.
    pub serials: Vec<u64>,
    /// How sure the sidecar is that these are the newest.
    pub standing: Standing,
    /// Why what it was given last was refused; absent once something was accepted.
    pub refused: Option<Reason>,
    /// Whether the packet filter of the pod still proves to leave no other way out.
    #[serde(default, skip_serializing_if = "FilterProof::holds")]
    pub filter: FilterProof,
    /// The digest of the geo table in use.
    pub geo: Option<String>,
    /// Flows by what they have in common; at most 1,000 entries, the rest counted under the same reason with no destination.
    pub totals: Vec<FlowTotal>,
    /// UDP packets that reached the sink.
    pub datagrams_denied: u64,
    /// What was asked of the resolvers; questions that were refused are among the totals, by their reasons.
    #[serde(default)]
    pub questions: QuestionTotals,
}

/// What the last proofs of a pod's packet filter have shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FilterProof {
    /// Every way out that was tried is closed.
    #[default]
    Closed,
    /// Ways out were not seen closed, again and again, and none was seen open: the pod may have nothing left to prove it with.
    Unproven,
    /// A way out was seen open: somebody with the rights of the node has changed the packet filter.
    Open,
}

impl FilterProof {
    /// Whether nothing is open for all that is known.
    #[must_use]
    pub fn holds(&self) -> bool {
        *self == Self::Closed
    }
}

/// What a sidecar has asked the resolvers for its pod since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuestionTotals {
    /// Questions that were asked.
    pub asked: u64,
    /// Labels below listed wildcards that the application chose: distinct ones of each hour.
    pub labels: u64,
    /// The bytes of those labels.
    pub label_bytes: u64,
    /// Names of the cluster that the application asked for and that no document lists: distinct ones of each hour.
    #[serde(default)]
    pub cluster_names: u64,
    /// The bytes of those names, without the cluster's domain.
    #[serde(default)]
    pub cluster_name_bytes: u64,
}

/// How sure a sidecar is of its documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// It has none that it obeys, so nothing leaves.
    #[default]
    Absent,
    /// They were read from the pod's files, and the operator has not confirmed them: an old one may have been put there.
    Unconfirmed,
    /// They came from the operator.
    Confirmed,
}

/// Flows that have recipient, country, data and verdict in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowTotal {
    /// The recipients that the documents name, one a document, without repetition; empty for a denial without one.
    pub recipients: BTreeSet<String>,
    /// The country of the destination; absent where none was judged or it is inside the cluster.
    pub country: Option<Country>,
    /// The categories that the rules say the flows carry.
    pub data: BTreeSet<Category>,
    /// Absent for allowed flows.
    pub reason: Option<Reason>,
    /// They were denied and passed all the same, since the holdings of the pod observed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observed: bool,
    /// They came from clients: what they carried out of the pod was asked for from there, and is counted apart from what the pod
    /// itself sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inbound: bool,
    /// How many flows ended or are open.
    pub flows: u64,
    /// Bytes from the pod to the destination.
    pub bytes_out: u64,
    /// Bytes from the destination to the pod.
    pub bytes_in: u64,
    /// When the latest of them began.
    pub last: Timestamp,
    /// The name, or the address without one, of the latest destination; of flows that came in, the address of the latest client.
    pub last_destination: String,
}
