//! What a draft is called.

use std::collections::BTreeSet;

/// Before the name of the workload.
const BEGIN: &str = "draft-";
/// The longest label of DNS.
const LONGEST: usize = 63;

/// `draft-` and the name of the workload as a label of DNS; with a number behind it where another holding has that name.
pub(super) fn free(workload: &str, taken: &BTreeSet<String>) -> String {
    let first = numbered(workload, "");
    // more names than there are holdings, of which two may be the same where the name is cut
    let others = (2..=taken.len().saturating_add(3)).map(|number| numbered(workload, &format!("-{number}")));
    let free = std::iter::once(first.clone()).chain(others).find(|name| !taken.contains(name));
    free.unwrap_or(first)
}

fn numbered(workload: &str, end: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' };
    let room = LONGEST.saturating_sub(BEGIN.len() + end.len());
    let body: String = workload.chars().map(plain).take(room).collect();
    match body.trim_matches('-') {
        "" => format!("{BEGIN}workload{end}"),
        body => format!("{BEGIN}{body}{end}"),
    }
}
