//! Text for people: lines, tables in columns as kubectl writes them, and colours that only a terminal sees.
//!
//! Whatever comes from objects and records is written by others, so control characters are replaced: they could rewrite a
//! terminal.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

/// How much a piece of text matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As the rest.
    #[default]
    Plain,
    /// A heading.
    Strong,
    /// Fine.
    Good,
    /// To be looked at.
    Doubtful,
    /// Wrong.
    Bad,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Good => colour(AnsiColor::Green),
            Self::Doubtful => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red),
        }
    }
}

/// A piece of text with its tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// `True`, `False` or `Unknown` of a condition.
    pub(crate) fn condition(status: &str) -> Self {
        let tone = match status {
            "True" => Tone::Good,
            "False" => Tone::Bad,
            _ => Tone::Doubtful,
        };
        Self::new(status, tone)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Text under way.
#[derive(Debug, Default)]
pub(crate) struct Text(Vec<Cell>);

impl Text {
    /// Adds a piece.
    pub(crate) fn say(&mut self, cell: impl Into<Cell>) -> &mut Self {
        self.0.push(cell.into());
        self
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.say(format!("{}\n", text.as_ref()))
    }

    /// Adds a heading.
    pub(crate) fn heading(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.say(Cell::new(format!("{}\n", text.as_ref()), Tone::Strong))
    }

    /// Adds an empty line, unless the text has not begun.
    pub(crate) fn gap(&mut self) -> &mut Self {
        if !self.0.is_empty() {
            self.line("");
        }
        self
    }

    /// Adds rows under a head, in columns as wide as their widest cell; nothing where there are no rows.
    pub(crate) fn table(&mut self, head: &[&str], rows: Vec<Vec<Cell>>) -> &mut Self {
        if rows.is_empty() {
            return self;
        }
        let head = head.iter().map(|name| Cell::new(*name, Tone::Strong)).collect();
        self.rows(std::iter::once(head).chain(rows).collect())
    }

    /// Adds a field and its value to a list of fields, without a name what goes on with the field before; nothing where there is no
    /// value.
    pub(crate) fn field(&mut self, name: &str, value: impl Into<Cell>) -> &mut Self {
        let value = value.into();
        if value.text.is_empty() {
            return self;
        }
        let name = if name.is_empty() { String::new() } else { format!("{name}:") };
        self.say(format!("{name:<13}")).say(value).line("")
    }

    fn rows(&mut self, rows: Vec<Vec<Cell>>) -> &mut Self {
        let rows: Vec<Vec<Cell>> = rows.into_iter().map(|row| row.into_iter().map(one_line).collect()).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let last = row.iter().rposition(|cell| !cell.text.is_empty());
            for (column, (cell, width)) in row.into_iter().zip(&widths).enumerate() {
                if last.is_none_or(|last| column > last) {
                    break;
                }
                let padding = if last == Some(column) { 0 } else { width - cell.text.width() + 3 };
                self.say(cell).say(" ".repeat(padding));
            }
            self.line("");
        }
        self
    }

    /// The text with its colours as escape sequences.
    pub(crate) fn styled(&self) -> String {
        let piece = |cell: &Cell| {
            let (style, text) = (cell.tone.style(), clean(&cell.text));
            if style.is_plain() { text } else { format!("{style}{text}{style:#}") }
        };
        self.0.iter().map(piece).collect()
    }
}

/// Without control characters but the ends of lines.
fn clean(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\n' { char::REPLACEMENT_CHARACTER } else { char }).collect()
}

fn one_line(cell: Cell) -> Cell {
    Cell { text: clean(&cell.text).replace('\n', " "), ..cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &Text) -> String {
        anstream::adapter::strip_str(&text.styled()).to_string()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_have_no_end_of_spaces() {
        let mut text = Text::default();
        text.table(
            &["NAME", "READY", "WHY"],
            vec![
                vec!["клиника города".into(), Cell::condition("True"), "".into()],
                vec!["a".into(), Cell::condition("False"), "line\nline".into()],
            ],
        );
        let expected = "NAME             READY   WHY\nклиника города   True\na                False   line line\n";
        assert_eq!(plain(&text), expected);
    }

    #[test]
    fn what_others_wrote_cannot_rewrite_the_terminal() {
        let mut text = Text::default();
        text.line("a\u{1b}[2Jb\r").table(&["X"], vec![vec!["\u{9b}2J".into()]]);
        assert!(!text.styled().contains("\u{1b}[2J") && !text.styled().contains(['\r', '\u{9b}']), "{text:?}");
        assert_eq!(plain(&text), "a\u{fffd}[2Jb\u{fffd}\nX\n\u{fffd}2J\n");
    }

    #[test]
    fn colours_are_for_what_matters() {
        let mut text = Text::default();
        text.say(Cell::condition("True")).say(" ");
        assert_eq!(text.styled(), "\u{1b}[32mTrue\u{1b}[0m ");
    }
}
