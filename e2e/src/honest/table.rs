//! The table of what came of clients, as docs/clients.md has it.

use super::outcome::Outcome;

/// What came of a client: who it is; the listed party; the unlisted one by its name; and where its address was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row([String; 4]);

impl Row {
    /// A client that did what is promised of it: refused by the listed party where there is an outcome of that, and by the unlisted
    /// party in both ways.
    #[must_use]
    pub fn new(what: &str, listed: Option<&Outcome>, by_name: &Outcome, by_address: &Outcome) -> Self {
        let listed = listed.map_or_else(|| "the same bytes".to_owned(), said);
        Self([what.to_owned(), listed, said(by_name), said(by_address)])
    }

    /// A client that did not.
    #[must_use]
    pub fn failed(what: &str) -> Self {
        Self([what.to_owned(), "FAILED".to_owned(), String::new(), String::new()])
    }
}

fn said(outcome: &Outcome) -> String {
    format!("{:.0} ms: {}", outcome.took * 1e3, outcome.words)
}

/// The lines of the table, in Markdown.
#[must_use]
pub fn render(rows: &[Row]) -> String {
    let head = ["client", "listed", "unlisted, by name", "unlisted, by a known address"].map(str::to_owned);
    let rule = ["---"; 4].map(str::to_owned);
    let lines = [head, rule].into_iter().chain(rows.iter().map(|row| row.0.clone()));
    // a backslash keeps a bar from ending its cell
    lines.map(|cells| format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_in_a_client_s_words_ends_no_cell() {
        let table =
            render(&[Row(["psql".into(), "the same bytes".into(), "9 ms: a|b".into(), String::new()]), Row::failed("nc")]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "| --- | --- | --- | --- |");
        assert_eq!(lines[2], "| psql | the same bytes | 9 ms: a\\|b |  |");
        assert_eq!(lines[3], "| nc | FAILED |  |  |");
    }
}
