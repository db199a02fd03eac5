//! The proposal as a manifest: recipients that the API server refuses until the legal facts are filled in, and the rest as
//! comments.

use shekara_crds::DRAFT_LABEL;
use shekara_policy::Protocol;

use super::draft::{Draft, DraftEndpoint, Proposal};
use crate::words::list;

/// What stands for a fact that nobody but a person can know. No field that has it is valid.
const FILL_IN: &str = "\"FILL IN\"";

/// Writes the manifest.
pub(super) fn write(proposal: &Proposal) -> String {
    if proposal.denied.is_empty() {
        return "# Nothing was denied, so there is nothing to propose.\n".into();
    }
    let mut text = String::from("# What Enforce denies, as it was seen:\n");
    for denied in &proposal.denied {
        let holding = denied.holding.as_deref().unwrap_or("a holding that the record does not name");
        let port = denied.port.map(|port| format!(":{port}")).unwrap_or_default();
        let protocol = denied.protocol.map(|protocol| format!(" {}", protocol.as_str())).unwrap_or_default();
        let country = if denied.countries.is_empty() { String::new() } else { format!(" in {}", list(&denied.countries)) };
        let last = denied.last.map(|last| format!(", last {last}")).unwrap_or_default();
        let line = format!(
            "{holding} to {}{port}{protocol}{country}: {}, {} flows{last}",
            denied.destination, denied.reason, denied.flows
        );
        comment(&mut text, &format!("- {line}"));
        if let Some(sentence) = denied.sentence {
            comment(&mut text, &format!("  {sentence}"));
        }
    }
    if !proposal.recipients.is_empty() {
        text += "#\n# Drafts for the registrar. Every field marked FILL IN is invalid as it stands, so the API server refuses the draft\n\
                 # until a person who knows the facts has filled it in. Listing a party is no permit: leave out whom nobody knows.\n";
    }
    for draft in &proposal.recipients {
        recipient(&mut text, draft);
    }
    if !proposal.endpoints.is_empty() {
        text += "---\n# Endpoints that listed recipients lack, for spec.endpoints:\n";
    }
    for missing in &proposal.endpoints {
        comment(&mut text, &format!("{}: - {}", missing.recipient, endpoint(&missing.endpoint)));
    }
    if !proposal.transfers.is_empty() {
        text +=
            "---\n# Transfers that holdings lack, for spec.transfers. Only the owner knows which data go there and what for.\n";
    }
    for missing in &proposal.transfers {
        let transfer = format!("{{recipient: {}, data: [{FILL_IN}]}}", missing.recipient);
        comment(&mut text, &format!("{}: - {transfer}", missing.holding));
    }
    if !proposal.drafts.is_empty() {
        text += &format!(
            "---\n# Drafts that annotations made: fill in their placeholders too, and take the label {DRAFT_LABEL} off.\n"
        );
    }
    for draft in &proposal.drafts {
        comment(&mut text, &format!("- {draft}"));
    }
    text
}

/// Adds a comment. What others wrote cannot end it.
fn comment(text: &mut String, line: &str) {
    let line: String = line.chars().map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char }).collect();
    *text += &format!("# {line}\n");
}

fn recipient(text: &mut String, draft: &Draft) {
    let holders = draft.holders.iter().map(|holder| format!("{holder:?}")).collect::<Vec<_>>().join(", ");
    *text += &format!("---\napiVersion: shekara.dev/v1alpha1\nkind: Recipient\nmetadata:\n  name: {}\nspec:\n", draft.name);
    *text += "  legalName: \"\" # FILL IN: as the register of legal entities writes it\n";
    *text += &format!("  country: {FILL_IN} # under whose law it is, as KZ\n");
    *text += &format!("  role: {FILL_IN} # Self, Processor, Controller, PublicBody or Emergency\n");
    *text += "  endpoints:\n";
    for seen in &draft.endpoints {
        *text += &format!("  - {}{}\n", endpoint(seen), hint(seen));
    }
    *text += "  # not for the role Self\n  permits:\n";
    *text += &format!("  - data: [{FILL_IN}] # categories, as biometric.face\n");
    *text += &format!("    ground: {FILL_IN} # Law, Contract or Consent\n");
    *text += "    document: {number: \"\"} # FILL IN: the document on which it rests\n";
    if !holders.is_empty() {
        *text += &format!("    holders: [{holders}]\n");
    }
    *text += &format!("    validUntil: {FILL_IN} # RFC 3339; leave it out where there is no end\n");
}

fn endpoint(endpoint: &DraftEndpoint) -> String {
    let target = match (&endpoint.host, endpoint.network) {
        (Some(host), _) => format!("host: {host}"),
        (None, Some(network)) => format!("network: \"{network}\""),
        (None, None) => format!("host: {FILL_IN}"),
    };
    // 0 is no port
    let port = endpoint.port.unwrap_or_default();
    let protocol = endpoint.protocol.map_or(FILL_IN, Protocol::as_str);
    format!("{{{target}, ports: [{port}], protocol: {protocol}}}")
}

fn hint(endpoint: &DraftEndpoint) -> &'static str {
    match (endpoint.protocol, &endpoint.host) {
        (None, _) => " # FILL IN: port and protocol were not seen, but in the records of the sidecars they may be; 0 is no port",
        (Some(Protocol::Tcp), None) => {
            " # no byte was read, since nobody listens on this port: if it is TLS or HTTP, list the host by name"
        }
        (Some(Protocol::Tcp), _) => " # TCPServerFirst where the server speaks first",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use shekara_crds::Recipient;
    use shekara_crds::compile::recipient_problems;

    use super::super::draft::Denied;
    use super::*;

    fn proposal(host: &str) -> Proposal {
        let denied = Denied {
            holding: None,
            destination: host.into(),
            port: Some(443),
            protocol: Some(Protocol::Tls),
            reason: "UnlistedParty\n---\nkind: Secret".into(),
            sentence: None,
            flows: 1,
            last: None,
            countries: BTreeSet::new(),
        };
        let seen = DraftEndpoint { host: Some(host.into()), network: None, port: Some(443), protocol: Some(Protocol::Tls) };
        let draft = Draft { name: "ads".into(), endpoints: vec![seen], holders: BTreeSet::from(["cameras/street".to_owned()]) };
        Proposal { kind: "Proposal", denied: vec![denied], recipients: vec![draft], ..Proposal::default() }
    }

    #[test]
    fn a_draft_means_nothing_until_it_is_filled_in() {
        let text = write(&proposal("ads.example.com"));
        let mut documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        documents.retain(|document| !document.is_null());
        assert_eq!(documents.len(), 1, "what others wrote begins no document:\n{text}");
        assert!(serde_json::from_value::<Recipient>(documents[0].clone()).is_err());
        let filled = text
            .replace("legalName: \"\"", "legalName: Ads")
            .replace("country: \"FILL IN\"", "country: US")
            .replace("role: \"FILL IN\"", "role: Processor")
            .replace("data: [\"FILL IN\"]", "data: [biometric.face]")
            .replace("ground: \"FILL IN\"", "ground: Contract")
            .replace("number: \"\"", "number: 1/2026")
            .replace("validUntil: \"FILL IN\"", "validUntil: \"2030-01-01T00:00:00Z\"");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&filled).unwrap();
        let recipients: Vec<Recipient> =
            documents.into_iter().filter_map(|document| serde_json::from_value(document).ok()).collect();
        assert_eq!(recipient_problems(&recipients[0]), []);
    }
}
