//! The examples of this source tree, with the image of the clients in place of the placeholder.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::environment::source_tree;

/// The image that the examples' workloads have for a placeholder.
pub const PLACEHOLDER: &str = "docker.io/library/debian:bookworm-slim";

/// Every object of the folder `examples`, in the order in which they are to be applied.
///
/// # Errors
/// When a file cannot be read.
pub fn read() -> Result<Vec<Value>> {
    let folder = source_tree()?.join("examples");
    let entries = std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut objects = Vec::new();
    for file in &files {
        objects.extend(parse(file)?);
    }
    Ok(objects)
}

fn parse(file: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_saphyr::from_multiple(&text).with_context(|| format!("{} is not YAML", file.display()))
}

/// The kind of an object.
#[must_use]
pub fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// Puts another image in place of the placeholder, wherever it is.
pub fn set_image(object: &mut Value, image: &str) {
    match object {
        Value::String(text) if text == PLACEHOLDER => image.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| set_image(item, image)),
        Value::Object(fields) => fields.values_mut().for_each(|field| set_image(field, image)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
