//! The messages of the chart's admission policies, as their templates have them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Where they are.
const FOLDER: &str = "charts/shekara/templates/admission";
/// Where those are that several policies share, and whose they are.
const SHARED: (&str, &str) = ("charts/shekara/templates/_helpers.tpl", "shekara-covered-pods and others");

/// Each message with the name of its policy, in the order of the files.
pub(super) fn messages(root: &Path) -> Result<Vec<(String, String)>> {
    let mut files: Vec<_> = fs::read_dir(root.join(FOLDER)).with_context(|| FOLDER)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut found = vec![];
    for file in files {
        let text = fs::read_to_string(file.path()).with_context(|| file.path().display().to_string())?;
        let mut policy = String::new();
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            if let Some(name) = line.strip_prefix("  name: ") {
                policy = name.to_owned();
            }
            found.extend(message(line, lines.get(index + 1..).unwrap_or_default()).map(|text| (policy.clone(), text)));
        }
    }
    let (path, name) = SHARED;
    let text = fs::read_to_string(root.join(path)).context(path)?;
    let lines: Vec<&str> = text.lines().collect();
    let shared = lines.iter().enumerate();
    found.extend(shared.filter_map(|(index, line)| Some((name.to_owned(), message(line, lines.get(index + 1..)?)?))));
    Ok(found)
}

/// The message that begins in this line, given those that follow.
fn message(line: &str, following: &[&str]) -> Option<String> {
    let begin = line.trim_start();
    let depth = line.len() - begin.len();
    let (expression, first) = match (begin.strip_prefix("message: "), begin.strip_prefix("messageExpression: ")) {
        (Some(text), _) => (false, text),
        (_, Some(text)) => (true, text),
        _ => return None,
    };
    let deeper = following.iter().take_while(|line| line.len() - line.trim_start().len() > depth).map(|line| line.trim());
    let block = deeper.collect::<Vec<_>>().join(" ");
    let text = if first == ">-" { block.as_str() } else { first };
    let text = without_templates(text);
    Some(if expression { literals(&text) } else { text.trim_matches('"').to_owned() })
}

/// What helm fills in is left out.
fn without_templates(text: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        left.push_str(before);
        left.push('…');
        rest = after.split_once("}}").map_or("", |(_, rest)| rest);
    }
    left + rest
}

/// The texts of a CEL expression, and `…` for what stands between them.
fn literals(expression: &str) -> String {
    let parts: Vec<&str> = expression.split('"').collect();
    let texts: Vec<&str> = parts.iter().skip(1).step_by(2).copied().collect();
    let begins = parts.first().is_some_and(|first| !first.trim().is_empty());
    let ends = parts.last().is_some_and(|last| !last.trim().is_empty());
    format!("{}{}{}", if begins { "…" } else { "" }, texts.join("…"), if ends { "…" } else { "" })
}
