//! The record of a flow: one line of JSON on the sidecar's standard output.
//!
//! Names, addresses, sizes and reasons only: no payload, path, query or header value is ever in a record.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::category::Category;
use crate::country::Country;
use crate::flow::Protocol;
use crate::reason::Reason;
use crate::verdict::Rule;

/// What a flow was, what was decided, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlowRecord {
    /// The number of the record since the sidecar started, from 1.
    pub sequence: u64,
    /// When the flow began.
    pub time: Timestamp,
    /// How long it lasted, in milliseconds.
    pub duration_ms: u64,
    /// Whether it left the pod, or came from a client.
    #[serde(skip_serializing_if = "Direction::is_outbound", default)]
    pub direction: Direction,
    /// The address of the client, of a flow that came in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client: Option<IpAddr>,
    /// The protocol as far as it was read.
    pub protocol: Protocol,
    /// The name that the client gave, or the question asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The address that the application chose; absent for DNS questions. Of a flow that came in, the pod's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub destination: Option<IpAddr>,
    /// The port that it chose.
    pub port: u16,
    /// The address that was dialled; absent when none was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dialled: Option<IpAddr>,
    /// The egress proxy that the flow was handed to. It has resolved the name, so the country was not measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub via: Option<SocketAddr>,
    /// The country of the judged address: absent where none was judged or it is inside the cluster.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub country: Option<Country>,
    /// Allow or Deny.
    pub verdict: Decision,
    /// It was denied and passed all the same, since the holdings of the pod observed.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub observed: bool,
    /// Why it was denied, or closed later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Reason>,
    /// The rules that allowed it, one a document.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rules: Vec<Rule>,
    /// The holding whose document denied it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub denied_by: Option<String>,
    /// The standard that did not allow it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub standard: Option<String>,
    /// The categories that the rules say it carried.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub data: BTreeSet<Category>,
    /// The serials of the documents that were in force when it began, in the order of the documents.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub serials: Vec<u64>,
    /// Bytes from the pod to the destination or client.
    pub bytes_out: u64,
    /// Bytes from the destination or client to the pod.
    pub bytes_in: u64,
    /// How it ended.
    pub end: End,
}

/// Which side began a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// The pod.
    #[default]
    Outbound,
    /// A client, which connected to the pod.
    Inbound,
}

impl Direction {
    fn is_outbound(&self) -> bool {
        *self == Self::Outbound
    }
}

/// The verdict in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Decision {
    /// The flow was allowed.
    Allow,
    /// The flow was denied, at its beginning or later.
    Deny,
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum End {
    /// Refused before anything left.
    Refused,
    /// Both sides finished.
    Completed,
    /// A side broke it off.
    Broken,
    /// The destination could not be reached.
    Unreachable,
    /// A new document, or the time, no longer allows it.
    PolicyChanged,
    /// The sidecar stopped.
    Stopped,
}
