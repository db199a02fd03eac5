//! Writing an answer: text for people, or JSON and YAML for programs.

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::arguments::Format;
use crate::text::{Cell, Text, Tone};

/// Writes an answer in a format; `text` makes the one for people, and is told whether it may be wide.
pub(crate) fn write(format: Option<Format>, answer: &impl Serialize, text: impl FnOnce(bool) -> Text) -> Result<()> {
    match format {
        Some(Format::Json) => raw(&(serde_json::to_string_pretty(answer).context("the answer is no JSON")? + "\n")),
        Some(Format::Yaml) => raw(&serde_saphyr::to_string(answer).context("the answer is no YAML")?),
        Some(Format::Wide) => people(&text(true)),
        None => people(&text(false)),
    }
}

/// Writes text for people: with colours where standard output is a terminal that has them.
pub(crate) fn people(text: &Text) -> Result<()> {
    heard(anstream::stdout().lock().write_all(text.styled().as_bytes()))
}

/// Writes text as it is.
pub(crate) fn raw(text: &str) -> Result<()> {
    heard(io::stdout().lock().write_all(text.as_bytes()))
}

/// A reader that closed the pipe has heard enough.
fn heard(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("standard output cannot be written"),
    }
}

/// Says on standard error what could not be read, so that an answer is never taken for more than it is.
pub(crate) fn notes(notes: &[String]) {
    let mut text = Text::default();
    for note in notes {
        text.say(Cell::new("note: ", Tone::Doubtful)).line(note);
    }
    // there is no one left to tell where standard error is closed
    let _ = anstream::stderr().lock().write_all(text.styled().as_bytes());
}
