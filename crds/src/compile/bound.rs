//! A document that is longer than a pod reads. Nobody could hold a part of it, so it opens nothing, and the holding says so.

use shekara_policy::PolicyDocument;
use shekara_policy::document::{Inbound, StandardNetworks};
use shekara_policy::signed::{LONGEST_DOCUMENT, SignedDocument};

use super::problem::{ProblemCode, Problems};

/// The document, or one in its place that a pod can read and that opens nothing.
pub(super) fn bounded(document: PolicyDocument, problems: &mut Problems) -> PolicyDocument {
    let length = SignedDocument::length(&document);
    if length <= LONGEST_DOCUMENT {
        return document;
    }
    let message = format!(
        "what the holding, its recipients and its standards say together takes {length} bytes, and a pod reads {LONGEST_DOCUMENT}, so \
         nothing is open: declare fewer transfers in one holding, or recipients with fewer endpoints and networks"
    );
    problems.add("spec", ProblemCode::DocumentTooLong, message);
    closed(document)
}

fn closed(document: PolicyDocument) -> PolicyDocument {
    let bare = |standard: StandardNetworks| StandardNetworks { networks: vec![], egress_via: vec![], ..standard };
    PolicyDocument {
        standards: document.standards.into_iter().map(bare).collect(),
        routes: vec![],
        in_cluster: vec![],
        peers_denied: true,
        inbound: Some(Inbound { standards: vec![], clients: vec![] }),
        cluster_api: false,
        observe_until: None,
        ..document
    }
}
